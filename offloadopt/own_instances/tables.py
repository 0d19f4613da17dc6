"""Tables of own instances: one row per instance, slot, user, server ..., one column per array.

Columns that number something have the singular of its name, from 0: ``instance``, ``slot``, ``user``, ``server``. All
other columns are arrays, or components of one: ``position_m.x``. An array is the same for all values of a number that
its table has no column of: a table of users without ``instance`` holds for every instance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, FloatArray, Instances, IntArray, Problem
from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.own_instances.axes import Axis, axes_of, documented

INSTANCE, SLOT = "instance", "slot"
MOST_NUMBER = 10**7
"""Largest number in a column that numbers something."""
MOST_ENTRIES = 10**6
"""Combinations of numbers, beyond twice the rows, among which the missing one is looked for."""
Columns = Mapping[str, NDArray[Any]]


def index_names(problem: Problem[Any]) -> set[str]:
    """Return the names of all columns that number something."""
    fields = documented(problem).items()
    counted = {axis.index for name, spec in fields for axis in axes_of(name, spec) if not axis.components}
    return {INSTANCE, SLOT, *counted}


def column_names(name: str, spec: ArrayField) -> dict[str, tuple[int, ...]]:
    """Return the columns of an array, with the entry of its last axis that each is; none for a whole array."""
    axes = axes_of(name, spec)
    if axes and axes[-1].components:
        return {f"{name}.{component}": (k,) for k, component in enumerate(axes[-1].components)}
    return {name: ()}


def decode(columns: Columns, problem: Problem[Any], path: Path) -> dict[str, FloatArray]:
    """Make arrays of a table; an axis that the table does not number has length 1.

    Raises
    ------
    InvalidInput
        If a column is no index and no array, a number is no whole one, or a combination comes twice or is missing.
    """
    numbers, fields = index_names(problem), documented(problem)
    arrays_of = {column: name for name, spec in fields.items() for column in column_names(name, spec)}
    lower = {column.lower(): column for column in arrays_of}
    values = {lower.get(name, name): column for name, column in columns.items() if name not in numbers}
    for name in values:
        if name not in arrays_of:
            raise UnknownName(f"{path}: unknown column {name!r}; {nearest(name, {*arrays_of, *numbers})}")
    found: dict[str, FloatArray] = {}
    for name in dict.fromkeys(arrays_of[column] for column in values):
        spec = fields[name]
        index = _index(columns, numbers, problem, name, spec, path)
        shape = tuple(int(each.max()) + 1 for each in index.values())
        parts = []
        for column in column_names(name, spec):
            if column not in values:
                raise InvalidInput(f"{path}: column {column!r} is missing; {name!r} has it")
            parts.append(_spread(values[column], index, shape, path))
        found[name] = np.stack(parts, axis=-1) if len(parts) > 1 else parts[0]
    return found


def _index(
    columns: Columns, numbers: Iterable[str], problem: Problem[Any], name: str, spec: ArrayField, path: Path
) -> dict[str, IntArray]:
    """Numbers of each row along the array's axes: instance, slot if it has one, and its own; 0 where none is given."""
    axes = [axis for axis in axes_of(name, spec) if not axis.components]
    slots = [SLOT] if spec.per_slot and (problem.horizon > 1 or SLOT in columns) else []
    wanted = [INSTANCE, *slots, *(axis.index for axis in axes)]
    for number in numbers:
        if number in columns and number not in wanted:
            raise InvalidInput(f"{path}: {name!r} has no {number}; allowed: columns {', '.join(wanted)}")
    rows = len(next(iter(columns.values())))
    return {
        number: _whole(columns[number], number, path) if number in columns else np.zeros(rows, dtype=np.int64)
        for number in wanted
    }


def _whole(column: NDArray[Any], name: str, path: Path) -> IntArray:
    numbers = np.asarray(column, dtype=np.float64)
    wrong = ~((numbers >= 0) & (numbers <= MOST_NUMBER) & (numbers == np.rint(numbers)))
    if wrong.any():
        raise InvalidInput(f"{path}: {name} is {numbers[wrong][0]:g}; allowed: 0, 1, 2, ...")
    return numbers.astype(np.int64)


def _spread(column: NDArray[Any], index: Mapping[str, IntArray], shape: tuple[int, ...], path: Path) -> FloatArray:
    """Arrange a column by its index; every combination has one row."""
    entries = math.prod(shape)
    if entries > MOST_ENTRIES + 2 * len(column):
        most = ", ".join(f"{name} up to {length - 1}" for name, length in zip(index, shape, strict=True))
        raise InvalidInput(f"{path} has {len(column):,} rows and numbers {most}; allowed: a row for each combination")
    place = np.ravel_multi_index(tuple(index.values()), shape)
    times = np.bincount(place, minlength=entries)
    if (times != 1).any():
        wrong = int(np.flatnonzero(times != 1)[0])
        where = ", ".join(f"{name} {k}" for name, k in zip(index, np.unravel_index(wrong, shape), strict=True))
        raise InvalidInput(f"{path} has {times[wrong]} rows for {where}; allowed: 1 (numbers begin with 0)")
    values = np.empty(len(place))
    values[place] = column
    return values.reshape(shape)


def repeated(arrays: Columns, tabled: Iterable[str], problem: Problem[Any]) -> dict[str, NDArray[Any]]:
    """Repeat those arrays that come from tables along axes that have length 1 there and are longer otherwise."""
    count = max((len(array) for array in arrays.values() if array.ndim), default=1)
    found = dict(arrays)
    for name in tabled:
        array = arrays[name]
        wanted = (count, *documented(problem)[name].full_shape(problem.horizon))
        if array.ndim == len(wanted):
            shape = tuple(want if own == 1 else own for own, want in zip(array.shape, wanted, strict=True))
            array = np.broadcast_to(array, shape)
        found[name] = array
    return found


def encode(problem: Problem[Any], instances: Instances) -> dict[str, dict[str, NDArray[Any]]]:
    """Write instances as tables: columns by the name of the table, which tells what its rows are."""
    tables: dict[str, dict[str, NDArray[Any]]] = {}
    for name, spec in documented(problem).items():
        if name not in instances:
            continue
        axes = [axis for axis in axes_of(name, spec) if not axis.components]
        slots = [Axis(f"{SLOT}s", problem.horizon)] if problem.horizon > 1 and spec.per_slot else []
        index = [Axis(f"{INSTANCE}s", instances.count), *slots, *axes]
        title = "_".join(axis.name for axis in index[1:]) or index[0].name
        table = tables.setdefault(title, {})
        if not table:
            grid = np.indices([axis.length for axis in index])
            table.update({axis.index: numbers.reshape(-1) for axis, numbers in zip(index, grid, strict=True)})
        for column, entry in column_names(name, spec).items():
            values = instances[name]
            table[column] = (values[..., entry[0]] if entry else values).reshape(-1)
    return tables
