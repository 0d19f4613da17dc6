"""Sizes of a scenario with which given arrays would be instances: what an error about a shape offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from offloadopt.errors import OffloadError

Shape = tuple[int, ...]
MOST_TRIES = 50
"""Scenarios that are tried at most."""


def shape_fault(problem: Any, shapes: Mapping[str, Shape]) -> str:
    """Say which array has a wrong shape, and the sizes with which all arrays would fit.

    Parameters
    ----------
    problem : Problem
    shapes : mapping of str to tuple
        Shapes of arrays with the axis of instances; at least one is wrong.
    """
    fields, slots = problem.instance_fields, problem.horizon
    wrong = next(name for name, shape in shapes.items() if shape[1:] != fields[name].full_shape(slots))
    allowed = ", ".join(map(str, ("count", *fields[wrong].full_shape(slots))))
    fit = " ".join(f"--set {field}={length}" for field, length in fitting_sizes(problem, shapes).items())
    hint = f"; all arrays fit {fit}" if fit else ""
    return f"{wrong} has shape {list(shapes[wrong])}; allowed: [{allowed}]{hint}"


def fitting_sizes(problem: Any, shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Return whole-number fields of the scenario, changed so that all arrays fit; empty where none are found.

    Parameters
    ----------
    problem : Problem
        Its instance fields name the axes of their arrays (`ArrayField.axes`): an axis that is called like a field of
        the scenario has that length. An axis with another name is fitted by a field that no other axis determines.
    shapes : mapping of str to tuple
        Shapes of arrays with the axis of instances.
    """
    scenario = problem.scenario
    numbers = [name for name in type(scenario).model_fields if type(getattr(scenario, name)) is int]
    found: dict[str, int] = {}
    for name, length in _named_lengths(problem, shapes):
        if name in numbers and found.setdefault(name, length) != length:
            return {}
    made = _changed(problem, found)
    for field in [name for name in numbers if name not in found][:MOST_TRIES]:
        wrong = [] if made is None else list(_wrong_lengths(made, shapes))
        if not wrong or made is None:
            break
        trial = {**found, field: getattr(scenario, field) + wrong[0]}
        tried = _changed(problem, trial)
        if tried is not None and not list(_wrong_lengths(tried, shapes)):
            found, made = trial, tried
    if made is None or list(_wrong_lengths(made, shapes)):
        return {}
    return {name: length for name, length in found.items() if length != getattr(scenario, name)}


def _changed(problem: Any, sizes: Mapping[str, int]) -> Any:
    """The problem with other sizes; None if its scenario refuses them."""
    try:
        return type(problem)(problem.scenario.replace(**sizes))
    except OffloadError:
        return None


def _named_lengths(problem: Any, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, int]]:
    for name, spec in problem.instance_fields.items():
        behind = shapes.get(name, ())[1:]
        if spec.per_slot and len(behind) == len(spec.shape) + 1:
            yield "horizon", behind[0]
            behind = behind[1:]
        elif spec.per_slot and len(behind) == len(spec.shape) and problem.horizon > 1 and behind:
            yield "horizon", 1
        if len(behind) == len(spec.shape):
            yield from zip(spec.axes, behind, strict=False)


def _wrong_lengths(problem: Any, shapes: Mapping[str, Shape]) -> Iterator[int]:
    """By how much each axis is longer than it should be; 1 for arrays with another number of axes."""
    for name, spec in problem.instance_fields.items():
        if name not in shapes:
            continue
        wanted = (*((problem.horizon,) if problem.horizon > 1 and spec.per_slot else ()), *spec.shape)
        behind = shapes[name][1:]
        if len(behind) != len(wanted):
            yield 1
        else:
            yield from (own - right for own, right in zip(behind, wanted, strict=True) if own != right)
