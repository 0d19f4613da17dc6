"""`offloadopt list`: what there is to solve, to solve it with, and to train."""

from __future__ import annotations

import inspect
from typing import Any

from offloadopt import registry
from offloadopt.cli.options import Json
from offloadopt.cli.terminal import note, print_json, print_table
from offloadopt.core import Problem
from offloadopt.errors import OffloadError


def list_(as_json: Json = False) -> None:
    """List problems with their presets, solvers and learners."""
    problems = _load("problems")
    found: dict[str, list[dict[str, Any]]] = {
        "problems": [
            {"name": name, "summary": _summary(kind), "presets": dict(kind.scenario_type.presets)}
            for name, kind in problems.items()
        ]
    }
    for group in ("solvers", "learners"):
        found[group] = [
            {"name": name, "summary": _summary(kind), "serves": _served(kind, problems)}
            | ({"proves": kind.proves} if group == "solvers" else {})
            for name, kind in _load(group).items()
        ]
    if as_json:
        print_json(found)
        return
    presets = [
        (f"{problem['name']}  {preset}", ", ".join(f"{key}={value}" for key, value in values.items()) or "the defaults")
        for problem in found["problems"]
        for preset, values in problem["presets"].items()
    ]
    print_table(
        ["problem", "what it is"], [(entry["name"], entry["summary"]) for entry in found["problems"]], text_columns=2
    )
    print_table(["preset", "scenario"], presets, text_columns=2)
    print_table(
        ["solver", "what it is", "serves", "proves"],
        [
            (entry["name"], entry["summary"], " ".join(entry["serves"]), "yes" if entry["proves"] else "no")
            for entry in found["solvers"]
        ],
        text_columns=4,
    )
    print_table(
        ["learner", "what it is", "serves"],
        [(entry["name"], entry["summary"], " ".join(entry["serves"])) for entry in found["learners"]],
        text_columns=3,
    )


def _load(group: str) -> dict[str, Any]:
    """Every class of a group; one that cannot be loaded (a plugin's missing package) does not hide the others."""
    loaded = {}
    for name in registry.names(group):
        try:
            loaded[name] = registry.get(group, name)
        except OffloadError as error:
            note(f"note: {error}")
    return loaded


def _summary(kind: type) -> str:
    """First line of the docstring: a problem's module tells more than its class, which names the paper's equation."""
    module = inspect.getmodule(kind) if issubclass(kind, Problem) else None
    return (getattr(module, "__doc__", None) or kind.__doc__ or "").strip().partition("\n")[0]


def _served(kind: Any, problems: dict[str, Any]) -> list[str]:
    return [name for name, problem in problems.items() if issubclass(problem, kind.serves)]
