"""Tables of what one instance's decisions are: who does what, as columns of equal length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.arrays import Decisions, Instances

MOST_ROWS = 30
"""Rows that are printed; of a longer table the counts."""


@dataclass(frozen=True)
class Table:
    """A table that prints itself: row by row, or counts if it has many rows.

    Attributes
    ----------
    columns : mapping of str to array [rows]
        Numbers or texts; a unit is the last part of the name, as in ``cpu_hz``.
    counted : str, optional
        The column whose values are counted where there are many rows.
    noun : str
        What the rows are, in the plural.
    """

    columns: Mapping[str, NDArray[Any]]
    counted: str | None = None
    noun: str = "rows"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def cells(self) -> list[tuple[str, ...]]:
        """Return the rows as texts."""
        return list(
            zip(*([_text(value) for value in column.tolist()] for column in self.columns.values()), strict=True)
        )

    def summary(self) -> list[str]:
        """Count the rows by what stands in the column ``counted``; without it return ranges and means of numbers."""
        if self.counted is not None:
            values, counts = np.unique(self.columns[self.counted], return_counts=True)
            order = np.argsort(-counts, kind="stable")
            shown = [f"{values[k]} {counts[k]:,} ({counts[k] / len(self):.1%})" for k in order[:MOST_ROWS]]
            more = [f"and {len(values) - MOST_ROWS} more"] if len(values) > MOST_ROWS else []
            return [f"{len(self):,} {self.noun}: {', '.join([*shown, *more])}"]
        numbers = {name: column for name, column in self.columns.items() if column.dtype.kind in "iuf" and len(column)}
        return [f"{name}: {_text(c.min())} to {_text(c.max())}, mean {c.mean():.4g}" for name, c in numbers.items()]

    def __str__(self) -> str:
        if len(self) > MOST_ROWS:
            return "\n".join(self.summary())
        rows = [tuple(self.columns), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.rjust, row, widths)).rstrip() for row in rows)

    def to_html(self) -> str:
        """Return the rows, or the counts of a long table, as HTML; every cell is escaped."""
        if len(self) > MOST_ROWS:
            return "".join(f"<p>{escape(line)}</p>" for line in self.summary())
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.cells())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    _repr_html_ = to_html


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def task_table(
    problem: Any,
    instances: Instances,
    decisions: Decisions,
    entry: str,
    names: Iterable[str],
    *,
    where: NDArray[Any] | None = None,
    rows: NDArray[np.bool_] | None = None,
) -> Table:
    """Make a table with a row per slot and entry of the decision arrays' first axis.

    Parameters
    ----------
    problem : Problem
    instances : Instances
    decisions : Decisions
        Of one instance.
    entry : str
        What the first axis of the decision arrays counts, for example ``"task"``.
    names : iterable of str
        The decision arrays to show, of those with one number per entry.
    where : array [slots, entries], optional
        Texts that say where each is done, by which a long table is counted.
    rows : bool array [slots, entries], optional
        The rows to show; by default all.

    Returns
    -------
    Table
        With the agents' own costs where the entries are the agents; empty where the arrays have no common first axis.
    """
    shapes = {spec.shape[:1] for spec in problem.decision_fields.values()}
    if len(shapes) != 1 or shapes == {()}:
        return Table({})
    shape = (problem.horizon, *shapes.pop())
    slot, number = np.indices(shape)
    columns: dict[str, NDArray[Any]] = {entry: number}
    if problem.horizon > 1:
        columns = {"slot": slot, **columns}
    if where is not None:
        columns["where"] = where
    for name in names:
        if len(problem.decision_fields[name].shape) == 1:
            columns[name] = decisions[name][0].reshape(shape)
    if shape[1] == problem.num_agents:
        costs = [outcome.agent_cost[0] for _, _, outcome in problem.rollout_of(instances, decisions)]
        columns["cost"] = np.stack(costs)
    chosen = np.ones(shape, dtype=bool) if rows is None else rows
    shown = {name: column[chosen] for name, column in columns.items()}
    return Table(shown, None if where is None else "where", f"{entry}s")
