"""Tables that have the same methods in each preset, with panels for each preset in their picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.battery_d2d.study import BatteryD2DStudy
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.study import Measured, measured
from offloadopt.reproduce.summary import summarised

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(eq=False, kw_only=True)
class PresetTable(Artefact):
    """Measurements of methods in each preset.

    Attributes
    ----------
    study : BatteryD2DStudy
    name, keys : str, tuple of str
        As of every artefact; the first key is the preset.
    needs : callable
        Units of a replicate in a preset.
    made : callable
        Rows of a unit, as of `Artefact.rows`.
    panels : int
        For each preset.
    draw_panels : callable
        Draws them from the summary of a preset, whose name is the last argument.
    beside : bool
        Whether presets stand side by side.
    legend_columns : int
    claimed : sequence of callable
        Each gives claims from the table, as the builders do.
    """

    study: BatteryD2DStudy
    name: str
    keys: tuple[str, ...]
    needs: Callable[[int, str], Iterable[Unit]]
    made: Callable[[Unit, Result], Iterable[Row]]
    panels: int
    draw_panels: Callable[[Sequence[Axes], pd.DataFrame, str], None]
    beside: bool = False
    legend_columns: int = 7
    claimed: Sequence[Callable[[pd.DataFrame], Iterable[Claim]]] = ()

    def plan(self) -> Iterable[Unit]:
        """The units of each replicate and preset."""
        for replicate in self.study.replicates:
            for preset in self.study.sizes.presets:
                yield from self.needs(replicate, preset)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """The rows of a unit."""
        return self.made(unit, result)

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the panels of each preset."""
        summary = summarised(frame, self.keys)
        presets = [preset for preset in self.study.sizes.presets if preset in set(frame["preset"])]
        size = (self.panels * len(presets), 1) if self.beside else (self.panels, len(presets))
        figure, axes = plots.panels(*size)
        for number, preset in enumerate(presets):
            of_preset = axes[self.panels * number : self.panels * (number + 1)]
            self.draw_panels(of_preset, summary[summary["preset"] == preset], preset)
        plots.legend(figure, axes, self.legend_columns)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """The claims of each builder."""
        return [claim for build in self.claimed for claim in build(frame)]


def placed(place: Callable[[str, Measured], Row | None]) -> Callable[[Unit, Result], Iterable[Row]]:
    """A row for each measurement that ``place`` finds a place for in its preset: columns before the method."""

    def made(unit: Unit, result: Result) -> Iterable[Row]:
        for found in measured(unit, result):
            columns = place(unit.labels["preset"], found)
            if columns is not None:
                yield {"preset": unit.labels["preset"], **columns, "method": found.method, **found.numbers}

    return made
