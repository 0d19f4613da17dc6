"""Tables that are stated by their parts: units of a replicate, columns of a row, picture and claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offloadopt.reproduce.artefact import Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.study import Measured, measured
from offloadopt.reproduce.summary import summarised


@dataclass(eq=False, kw_only=True)
class Table(Artefact):
    """Measurements of methods, with a row for each of them and each label of their units.

    Attributes
    ----------
    study : Study
    name, keys : str, tuple of str
        As of every artefact. Keys but ``method`` are labels of units, unless ``columns`` or ``read`` finds them.
    over : callable, optional
        Units of a replicate.
    columns : callable, optional
        Key columns of a measurement; ``None`` if it does not belong to the table.
    numbers : sequence of str
        Columns after them; by default everything that is measured.
    read : callable, optional
        Rows of a unit, in place of ``columns`` and ``numbers``.
    derive : callable, optional
        Adds columns to the table.
    picture : callable, optional
        Draws the summary of the table.
    claimed : sequence of callable
        Each gives claims from the table, as the builders do.
    """

    study: Any
    name: str
    keys: tuple[str, ...] = ()
    over: Callable[[int], Iterable[Unit]] | None = None
    columns: Callable[[Unit, Measured], Row | None] | None = None
    numbers: Sequence[str] = ()
    read: Callable[[Unit, Result], Iterable[Row]] | None = None
    derive: Callable[[DataFrame], DataFrame] | None = None
    picture: Callable[[DataFrame], Figure] | None = None
    claimed: Sequence[Callable[[DataFrame], Iterable[Claim]]] = ()

    def plan(self) -> Iterable[Unit]:
        """The units of each replicate."""
        for replicate in self.study.replicates:
            yield from self.units_of(replicate)

    def units_of(self, replicate: int) -> Iterable[Unit]:
        """The units of one replicate."""
        return () if self.over is None else self.over(replicate)

    def place(self, unit: Unit, found: Measured) -> Row | None:
        """Key columns of a measurement."""
        if self.columns is not None:
            return self.columns(unit, found)
        return {key: found.method if key == "method" else unit.labels[key] for key in self.keys}

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each measurement that belongs to the table."""
        if self.read is not None:
            yield from self.read(unit, result)
            return
        for found in measured(unit, result):
            place = self.place(unit, found)
            if place is not None:
                yield {**place, **{name: found.numbers[name] for name in self.numbers or found.numbers}}

    def frame(self, results: Mapping[str, Result]) -> DataFrame:
        """Build the table with the derived columns."""
        frame = super().frame(results)
        return frame if self.derive is None else self.derive(frame)

    def draw(self, frame: DataFrame) -> Figure:
        """Draw the picture."""
        if self.picture is None:
            raise NotImplementedError(f"{self.name} has no picture")
        return self.picture(summarised(frame, self.keys))

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
        """The claims of each builder."""
        return [claim for build in self.claimed for claim in build(frame)]
