"""Axes of instance arrays: what each counts, and the components of the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from offloadopt.core import ArrayField, Problem


@dataclass(frozen=True)
class Axis:
    """One axis of an array, behind the instances and the slots.

    Attributes
    ----------
    name : str
        What it counts, in the plural.
    length : int
    components : tuple of str
        Names of the entries where they mean different things, for example ``("x", "y")``; empty where they are counted.
    """

    name: str
    length: int
    components: tuple[str, ...] = ()

    @property
    def index(self) -> str:
        """Name of the column that numbers the axis in a table, from 0."""
        return singular(self.name)


def singular(plural: str) -> str:
    """Return the singular of an English plural that is regular."""
    return plural.removesuffix("s")


def axes_of(name: str, spec: ArrayField) -> tuple[Axis, ...]:
    """Return the axes of an array; those that the problem does not name are numbered."""
    found = []
    for number, length in enumerate(spec.shape):
        given = spec.axes[number] if number < len(spec.axes) else f"{name}_axis_{number + 1}s"
        components = tuple(given.split()) if len(given.split()) > 1 else ()
        found.append(Axis(given, length, components))
    return tuple(found)


def shape_text(problem: Problem[Any], name: str, spec: ArrayField) -> str:
    """Describe an array's shape in words, for example ``instances x 30 users x 2 servers``."""
    slots = [f"{problem.horizon} slots"] if problem.horizon > 1 and spec.per_slot else []
    parts = [f"({', '.join(axis.components)})" if axis.components else f"{axis.length} {axis.name}"
             for axis in axes_of(name, spec)]  # fmt: skip
    return " x ".join(["instances", *slots, *parts])


def documented(problem: Problem[Any]) -> Mapping[str, ArrayField]:
    """Return all arrays that a user may give: needed ones, optional ones, and those that others follow from."""
    fields = {**problem.instance_fields, **problem.given_fields}
    return {name: fields[name] for name in sorted(fields, key=lambda name: fields[name].optional)}
