"""Tables that have the same methods in each preset, with panels for each preset in their picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Axes, DataFrame, Figure, Measured, Row, Unit
from offloadopt.reproduce.summary import summarised


@dataclass(eq=False, kw_only=True)
class PresetTable(Artefact):
    """Measurements of methods in each preset, which is the first key; ``columns`` are those between it and the method.

    Attributes
    ----------
    needs : callable
        Units of a replicate in a preset.
    panels : int
        For each preset.
    draw_panels : callable
        Draws them from the summary of a preset, whose name is the last argument.
    beside : bool
        Whether presets stand side by side.
    legend_columns : int
    """

    needs: Callable[[int, str], Iterable[Unit]]
    panels: int
    draw_panels: Callable[[Sequence[Axes], DataFrame, str], None]
    beside: bool = False
    legend_columns: int = 7

    def units_of(self, replicate: int) -> Iterable[Unit]:
        """The units in each preset."""
        return (unit for preset in self.study.sizes.presets for unit in self.needs(replicate, preset))

    def place(self, unit: Unit, found: Measured) -> Row | None:
        """The columns between the preset and the method."""
        columns = self.columns(unit, found) if self.columns is not None else {}
        return None if columns is None else {"preset": unit.labels["preset"], **columns, "method": found.method}

    def draw(self, frame: DataFrame) -> Figure:
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
