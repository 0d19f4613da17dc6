"""Names for problems, solvers, learners and mathematical models, looked up lazily.

A name means the same on every problem. Under one name the registry holds one implementation for each structure
(`offloadopt.structures`); the first whose ``serves`` fits the problem is used. Adding one is one line of
``registry.toml``, or an entry point of the same group in anybody's package, which may also bear a name that exists::

    [project.entry-points."offloadopt.solvers"]
    exact = "my_package.my_module:MyExact"
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from offloadopt.core import Learner, Problem, Solver
from offloadopt.errors import InvalidInput, OffloadError, UnknownName, Unsupported, is_name, nearest, shown

BUILT_IN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    group: {name: tuple(f"offloadopt.{place}" for place in places) for name, places in table.items()}
    for group, table in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).items()
}
"""``"module:Class"`` of each implementation, by group and name: the table of ``registry.toml``."""


def names(group: str) -> dict[str, tuple[str, ...]]:
    """All names of ``group`` with where their implementations are found.

    Parameters
    ----------
    group : {"problems", "solvers", "learners", "models"}

    Returns
    -------
    dict of str to tuple of str
        ``"module:Class"`` of each implementation. Built-in names come first and plugins' names after them; under one
        name, too, built-in implementations come before plugins'.
    """
    found = dict(BUILT_IN[group])
    for name, places in _plugins(group, tuple(sys.path)).items():
        found[name] = (*found.get(name, ()), *places)
    return found


@cache
def _plugins(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """What packages on ``path`` add to ``group``: reading all their metadata takes too long to do it at every look."""
    found: dict[str, tuple[str, ...]] = {}
    for point in entry_points(group=f"offloadopt.{group}"):
        found[point.name] = (*found.get(point.name, ()), point.value)
    return found


def implementations(group: str, name: str) -> tuple[Any, ...]:
    """Load the classes registered under ``name``, in the order in which they are tried.

    Raises
    ------
    UnknownName
        With the nearest known name.
    OffloadError
        If a class cannot be loaded, for example because a plugin's package is missing.
    """
    known = names(group)
    if not is_name(name, known):
        raise UnknownName(f"no {group.removesuffix('s')} {name!r}; {nearest(name, known)}")
    return tuple(_load(group, name, place) for place in known[name])


def get(group: str, name: str) -> Any:
    """Load the class registered under ``name``; of several implementations the first."""
    known = BUILT_IN[group] if is_name(name, BUILT_IN[group]) else names(group)
    if not is_name(name, known):
        raise UnknownName(f"no {group.removesuffix('s')} {name!r}; {nearest(name, known)}")
    return _load(group, name, known[name][0])


def _load(group: str, name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OffloadError(f"{group.removesuffix('s')} {name!r} ({place}) cannot be loaded: {error}") from error


def serving(group: str, name: str, problem: Problem[Any]) -> Any:
    """Choose the implementation of ``name`` for the structure of ``problem``.

    Parameters
    ----------
    group : {"solvers", "learners"}
    name : str
    problem : Problem

    Returns
    -------
    type
        The first implementation whose ``serves`` is a structure of the problem. Its ``require`` may still refuse the
        problem's scenario.

    Raises
    ------
    Unsupported
        If no implementation serves the problem.
    """
    if not isinstance(problem, Problem):
        raise InvalidInput(f"problem = {shown(problem)}; allowed: a Problem, for example problem('multi_server')")
    kind = _kind_for(group, name, problem)
    if kind is not None:
        return kind
    needs = " or ".join(kind.serves.__name__ for kind in implementations(group, name))
    others = [other for other in names(group) if other != name and serves(group, other, problem)]
    raise Unsupported(
        f"{group.removesuffix('s')} {name!r} does not serve problem {problem.name!r}; it needs the structure {needs}; "
        f"{group} that serve it: {', '.join(others)}"
    )


def _kind_for(group: str, name: str, problem: Problem[Any]) -> Any | None:
    """The first implementation of ``name`` for the problem's structure, if there is one."""
    return next((kind for kind in implementations(group, name) if isinstance(problem, kind.serves)), None)


def serves(group: str, name: str, problem: Problem[Any]) -> bool:
    """Tell whether the method ``name``, with its default options, serves ``problem`` as it is.

    Parameters
    ----------
    group : {"solvers", "learners"}
    name : str
    problem : Problem
        The method's ``require`` decides; a plugin that cannot be loaded serves nothing.
    """
    try:
        kind = _kind_for(group, name, problem)
        if kind is None:
            return False
        kind().require(problem)
    except OffloadError:
        return False
    return True


def problem(name: str, preset: str | None = None, **changes: Any) -> Problem[Any]:
    """Make a problem by name, with the scenario of a preset and some fields changed.

    Parameters
    ----------
    name : str
        A name of the group ``problems``.
    preset : str, optional
        A name of the scenario's ``presets``; by default the first, or the fields' own defaults if there are none.
    changes
        Fields of the scenario by name.
    """
    kind: type[Problem[Any]] = get("problems", name)
    return kind(kind.scenario_type.preset(preset, **changes))


def solver(name: str, problem: Problem[Any] | None = None, **options: Any) -> Solver:
    """Make a solver by name.

    Parameters
    ----------
    name : str
        A name of the group ``solvers``; `names` and ``offloadopt list`` tell them.
    problem : Problem, optional
        Chooses among the implementations of the name. May be left out where there is but one.
    options
        Fields of the solver.

    Raises
    ------
    InvalidInput
        If the name has several implementations and no problem is given, or an option is wrong.
    Unsupported
        If no implementation serves the problem.
    """
    made: Solver = _make("solvers", name, problem, options)
    return made


def learner(name: str, problem: Problem[Any] | None = None, **options: Any) -> Learner:
    """Make a learner by name, as `solver` makes a solver."""
    made: Learner = _make("learners", name, problem, options)
    return made


def _make(group: str, name: str, problem: Problem[Any] | None, options: Mapping[str, Any]) -> Any:
    """A method of the problem's structure, or of the only one that the name has."""
    if problem is not None:
        made = serving(group, name, problem)(**options)
        made.require(problem)
        return made
    kinds = implementations(group, name)
    if len(kinds) > 1:
        kind = group.removesuffix("s")
        raise InvalidInput(
            f"{kind} {name!r} has {len(kinds)} implementations; give the problem: {kind}({name!r}, problem)"
        )
    return kinds[0](**options)
