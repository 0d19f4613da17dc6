"""`offloadopt list`: problems and presets, and which method serves which problem."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from offloadopt import registry
from offloadopt.cli.options import Json
from offloadopt.cli.terminal import note, print_json, print_table
from offloadopt.core import Problem
from offloadopt.errors import OffloadError
from offloadopt.registry import serves

SERVES, PROVES, HINDSIGHT, OFFLINE = "yes", "proof", "hindsight", "offline"
"""Cells of the matrix: serves; serves and proves a bound; the same with all of nature known; that without a proof."""
NEEDED, USED, REFUSED = "needed", "used", "refused"
"""What learners do with demonstrations."""
LINE = 78
"""Longest line that is printed, where the names allow it."""


def list_(as_json: Json = False) -> None:
    """List problems with their presets, and the solvers and learners that serve each of them."""
    problems = _problems()
    found: dict[str, list[dict[str, Any]]] = {
        "problems": [
            {"name": name, "summary": _summary(type(problem)), "presets": dict(type(problem.scenario).presets)}
            for name, problem in problems.items()
        ],
        "solvers": [_method("solvers", name, kinds, problems) for name, kinds in _kinds("solvers").items()],
        "learners": [_method("learners", name, kinds, problems) for name, kinds in _kinds("learners").items()],
    }
    if as_json:
        print_json(found)
        return
    for entry in found["problems"]:
        presets = ", ".join(entry["presets"]) or "none"
        print(entry["name"])
        for text in (entry["summary"], f"presets: {presets}"):
            print(textwrap.fill(text, LINE, initial_indent="    ", subsequent_indent="    "))
    for group in ("solvers", "learners"):
        rows = [(entry["name"], *(_cell(entry, name) for name in problems)) for entry in found[group]]
        headers = [name.replace("_", "_\n") for name in problems]  # narrow, so that all fit a line
        print_table([group.removesuffix("s"), *headers], rows, text_columns=1 + len(headers))
    print("yes        serves the problem's default preset")
    print("proof      and proves a lower bound of every decision's cost")
    print("hindsight  and does so with all of nature's slots known in advance")
    print("offline    searches with all of nature's slots known, without a proof")
    learners = found["learners"]
    by_use = {use: [each["name"] for each in learners if each["demonstrations"] == use] for use in (NEEDED, REFUSED)}
    uses = "; ".join(f"{use} by {', '.join(names)}" for use, names in by_use.items() if names)
    print(textwrap.fill(f"--demos    {uses}; {USED} by all other learners", LINE, subsequent_indent=" " * 11))
    print("`offloadopt list --json` says what each method is.")


def _cell(entry: dict[str, Any], problem: str) -> str:
    return str(entry["serves"].get(problem, "-"))


def _method(group: str, name: str, kinds: tuple[Any, ...], problems: dict[str, Problem[Any]]) -> dict[str, Any]:
    """A method's summary and, by problem, how it serves its default scenario."""
    served = {}
    for known, problem in problems.items():
        if serves(group, name, problem):
            kind = registry.serving(group, name, problem)
            solves = group == "solvers"
            cells = (PROVES, HINDSIGHT) if solves and kind.proves else (SERVES, OFFLINE)
            served[known] = cells[solves and kind.hindsight and problem.horizon > 1]
    method = {"name": name, "summary": _summary(kinds[0]), "serves": served}
    return method if group == "solvers" else {**method, "demonstrations": _use_of_demonstrations(kinds)}


def _use_of_demonstrations(kinds: tuple[Any, ...]) -> str:
    if any(kind.needs_demonstrations for kind in kinds):
        return NEEDED
    return USED if any(kind.uses_demonstrations for kind in kinds) else REFUSED


def _problems() -> dict[str, Problem[Any]]:
    """Every problem with its default scenario."""
    made = {}
    for name in registry.names("problems"):
        try:
            made[name] = registry.problem(name)
        except OffloadError as error:
            note(f"note: {error}")
    return made


def _kinds(group: str) -> dict[str, tuple[Any, ...]]:
    """Every method's implementations; one that cannot be loaded does not hide the others."""
    loaded = {}
    for name in registry.names(group):
        try:
            loaded[name] = registry.implementations(group, name)
        except OffloadError as error:
            note(f"note: {error}")
    return loaded


def _summary(kind: type) -> str:
    """First line of the class's docstring; of a problem, of its module, which tells more."""
    module = inspect.getmodule(kind) if issubclass(kind, Problem) else None
    text = (getattr(module, "__doc__", None) or kind.__doc__ or "").strip()
    return text.partition("\n")[0]
