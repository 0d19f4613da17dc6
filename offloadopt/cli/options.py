"""What the commands share: their options, and the objects that these name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from offloadopt import api, registry
from offloadopt.cli.terminal import note
from offloadopt.core import Instances, Problem, Settings, Solver
from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.formats import strict_json
from offloadopt.magnitudes import unusual_field

ProblemName = Annotated[
    str, typer.Argument(metavar="PROBLEM", show_default=False, help="A name from `offloadopt list`.")
]
SolverName = Annotated[str, typer.Option("--solver", metavar="NAME", help="A name from `offloadopt list`.")]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", show_default="the first", help="Named scenario.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the scenario; repeatable. `none` unsets it."),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Change a field of the solver or learner; repeatable."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="The same seed gives the same result.")]
RelativeGap = Annotated[
    float | None, typer.Option("--relative-gap", help="Stop once cost and proved bound are this close.")
]
TimeLimit = Annotated[float | None, typer.Option("--time-limit", metavar="SECONDS", help="Limit for each instance.")]
Input = Annotated[
    list[Path] | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help="Your own instances, not drawn ones: .json, .npz, .parquet, .csv (see `offloadopt template`); repeatable.",
    ),
]
Fill = Annotated[
    bool, typer.Option("--fill", help="Draw the arrays that the files of --input do not hold, as --seed says.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace our files in the output folder; others' are refused.")
]


def fields(texts: Iterable[str] | None, flag: str, settings: type[Settings]) -> dict[str, Any]:
    """``key=value`` texts as fields of ``settings``, whose own validation reads the values."""
    found: dict[str, Any] = {}
    for text in texts or ():
        key, equals, value = (part.strip() for part in text.partition("="))
        if not key or not equals:
            raise InvalidInput(f"{flag} {text!r}; allowed: KEY=VALUE")
        if key not in settings.model_fields:
            raise UnknownName(f"unknown field {key!r} of {settings.__name__}; {nearest(key, settings.model_fields)}")
        found[key] = _structure(flag, text, value) if value[:1] in ("[", "{") else value
        if value.lower() == "none":
            found[key] = None
    return found


def _structure(flag: str, text: str, value: str) -> Any:
    """A list or an object as JSON."""
    try:
        return strict_json.parse(value)
    except InvalidInput as error:
        raise InvalidInput(f"{flag} {text!r}: {error}") from None


def make_problem(
    name: str, preset: str | None, changes: Iterable[str] | None, files: Sequence[Path] | None = None
) -> Problem[Any]:
    """The problem that PROBLEM, --preset and --set name, or else the scenario that the documents of --input state."""
    kind: type[Problem[Any]] = registry.get("problems", name)
    scenario_type = kind.scenario_type
    if files and preset is None and not changes:
        from offloadopt.own_instances import read_scenario

        stated = next((stated for file in files if (stated := read_scenario(file, name)) is not None), None)
        if stated is not None:
            return kind(scenario_type(**stated))
    scenario = scenario_type.preset(preset, **fields(changes, "--set", scenario_type))
    unusual = unusual_field(scenario) if changes else None
    if unusual is not None:
        note(f"warning: {unusual}")
    return kind(scenario)


def make_solver(
    name: str,
    problem: Problem[Any],
    options: Iterable[str] | None,
    relative_gap: float | None,
    time_limit_s: float | None,
) -> Solver:
    """Make the solver for ``problem`` that --solver, --option and the limits name; limits left out are its own."""
    kind: type[Solver] = registry.serving("solvers", name, problem)
    made = kind(**{**fields(options, "--option", kind), **limits(relative_gap, time_limit_s)})
    made.require(problem)
    return made


def with_options(names: Iterable[str], problem: Problem[Any]) -> list[str | tuple[str, dict[str, Any]]]:
    """Read texts of --method: a name or folder as it is, ``NAME:key=value,key=value`` as a pair of name and options."""
    found: list[str | tuple[str, dict[str, Any]]] = []
    known = registry.names("solvers")
    for text in names:
        name, colon, given = text.partition(":")
        if not colon or Path(text).is_dir():
            found.append(text)
            continue
        if name not in known:
            raise UnknownName(f"--method {text!r}: no solver {name!r}; {nearest(name, known)}")
        kind = registry.serving("solvers", name, problem)
        found.append((name, fields(_outside_brackets(given), f"--method {name}:", kind)))
    return found


def _outside_brackets(text: str) -> list[str]:
    """Split at commas, but for those within brackets, which belong to a value."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def limits(relative_gap: float | None, time_limit_s: float | None) -> dict[str, float]:
    """Return the limits that are given, as fields of a solver."""
    given = {"relative_gap": relative_gap, "time_limit_s": time_limit_s}
    return {name: value for name, value in given.items() if value is not None}


def take_instances(
    problem: Problem[Any], files: Sequence[Path] | None, count: int | None, seed: int, default: int, fill: bool
) -> Instances:
    """``count`` instances: the first ones of ``files``, or drawn; without a count all of them, or ``default``."""
    if not files:
        if fill:
            raise InvalidInput("--fill completes the files of --input; allowed: together with --input")
        return problem.sample(default if count is None else count, seed)
    instances = api.load_instances(files, problem, fill_seed=seed if fill else None, display=True)
    if count is None:
        return instances
    if count > instances.count:
        held = " and ".join(map(str, files))
        raise InvalidInput(f"--count {count}; allowed: at most {instances.count}, which is what {held} holds")
    return instances.take(slice(count))
