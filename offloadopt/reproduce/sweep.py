"""Figures that compare methods along an axis, stated as data: places, units at each, panels and claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Axes, DataFrame, Figure, Measured, Row, Unit
from offloadopt.reproduce.summary import summarised

LEAST = 1e-6
"""Smallest mean that a logarithmic axis must show."""


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a sweep.

    Attributes
    ----------
    column : str
        Of the table.
    label : str
    values : sequence of float
        Places at which everything is measured.
    field : str
        Of the scenario; by default the column's name.
    logarithmic : bool
    ticks : bool
        Whether there are ticks at the values alone.
    """

    column: str
    label: str
    values: Sequence[Any] = ()
    field: str = ""
    logarithmic: bool = False
    ticks: bool = True

    def place(self, scenario: Mapping[str, Any]) -> Any:
        """Value of the axis in a scenario."""
        return scenario[self.field or self.column]

    def finish(self, ax: Axes, summary: DataFrame, label: str, title: str = "") -> None:
        """Set scale, ticks and labels."""
        if self.logarithmic:
            plots.logarithmic(ax, "x")
        if self.ticks:
            ticks = sorted(set(summary[self.column]))
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        plots.finish(ax, self.label, label, title)


@dataclass(frozen=True)
class Panel:
    """One number of a sweep.

    Attributes
    ----------
    number, label : str
        Column of the table, and text at the axis.
    scale : float
        Factor of the number in the picture.
    span : (float, float), optional
        Factors of the smallest and the largest mean at the ends of a logarithmic axis; without them it is linear.
    least : float, optional
        Lower end of a linear axis.
    without : sequence of str
        Methods that are not drawn.
    published : mapping
        The paper's values by place.
    """

    number: str
    label: str
    scale: float = 1.0
    span: tuple[float, float] | None = None
    least: float | None = None
    without: Sequence[str] = ()
    published: Mapping[float, float] = field(default_factory=dict)

    def draw(self, ax: Axes, summary: DataFrame, x: str, styles: Mapping[str, plots.Style], by: str = "method") -> None:
        """Draw the methods and the published values, and set the vertical axis."""
        shown = {name: style for name, style in styles.items() if name not in self.without}
        plots.lines(ax, summary, x, self.number, shown, self.scale, by)
        if self.published:
            plots.published_points(ax, list(self.published), list(self.published.values()))
        if self.span is None:
            plots.fit_to_means(ax, self.least)
            return
        means = summary[summary[by].isin(list(shown))][self.number]
        means = self.scale * means[means > LEAST]
        ax.set_ylim(self.span[0] * means.min(), self.span[1] * means.max())
        plots.logarithmic(ax, "y")


@dataclass(eq=False, kw_only=True)
class Sweep(Artefact):
    """All methods on the same held-out instances at every place of one axis.

    Attributes
    ----------
    axis : Axis
    at : callable, optional
        Units of a replicate at a place of the axis; those of ``over`` cover several places.
    panels : sequence of Panel
    grid : int
        Panels side by side.
    styles : mapping, optional
        By default those of the study.
    by : str
        Column of what is compared.
    without : sequence of str
        Tests of trainings that are not part of the sweep.
    legend_columns : int
    wide_bands : bool
        Whether intervals of few replicates are drawn, which may cover the picture.
    """

    axis: Axis
    at: Callable[[int, Any], Iterable[Unit]] | None = None
    panels: Sequence[Panel]
    grid: int = 2
    styles: Mapping[str, plots.Style] | None = None
    by: str = "method"
    without: Sequence[str] = ()
    legend_columns: int = 5
    wide_bands: bool = True

    def __post_init__(self) -> None:
        self.keys = self.keys or (self.axis.column, self.by)

    def units_of(self, replicate: int) -> Iterable[Unit]:
        """The units at each place, then those over several."""
        if self.at is not None:
            for place in self.axis.values:
                yield from self.at(replicate, place)
        yield from super().units_of(replicate)

    def place(self, unit: Unit, found: Measured) -> Row | None:
        """The place from the scenario of the measurement."""
        if found.test in self.without:
            return None
        method = found.method if self.by == "method" else unit.labels[self.by]
        return {self.axis.column: self.axis.place(found.scenario), self.by: method}

    def draw(self, frame: DataFrame) -> Figure:
        """Draw a panel for each number."""
        summary = summarised(frame, self.keys)
        if not self.wide_bands:
            summary = plots.hide_wide_bands(summary, [panel.number for panel in self.panels])
        figure, axes = plots.panels(self.grid, -(-len(self.panels) // self.grid))
        styles = self.study.styles if self.styles is None else self.styles
        for ax, panel in zip(axes, self.panels, strict=True):
            panel.draw(ax, summary, self.axis.column, styles, self.by)
            self.axis.finish(ax, summary, panel.label)
        plots.legend(figure, axes, self.legend_columns)
        return figure
