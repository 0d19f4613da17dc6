"""Figures that compare methods along an axis, stated as data: places, units at each, panels and claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.study import Measured, Study, measured
from offloadopt.reproduce.summary import summarised

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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

    def finish(self, ax: Axes, summary: pd.DataFrame, label: str, title: str) -> None:
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

    def draw(
        self, ax: Axes, summary: pd.DataFrame, x: str, styles: Mapping[str, plots.Style], by: str = "method"
    ) -> None:
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
    study : Study
    name : str
    axis : Axis
    keys : tuple of str, optional
        By default the columns of the axis and of what is compared.
    at : callable, optional
        Units of a replicate at a place of the axis.
    over : callable, optional
        Units of a replicate that cover several places.
    read : callable, optional
        Rows of a unit; by default one for each method and place, with all numbers.
    panels : sequence of Panel
    columns : int
        Of panels.
    claimed : sequence of callable
        Each gives claims from the table, as the builders do.
    styles : mapping, optional
        By default those of the study.
    by : str
        Column of what is compared.
    numbers : sequence of str
        Columns of the table; by default everything that is measured.
    keeps : callable, optional
        Whether a measurement belongs to the figure; by default all do.
    derive : callable, optional
        Adds columns to the table.
    legend_columns : int
    wide_bands : bool
        Whether intervals of few replicates are drawn, which may cover the picture.
    """

    study: Study
    name: str
    axis: Axis
    keys: tuple[str, ...] = ()
    at: Callable[[int, Any], Iterable[Unit]] | None = None
    over: Callable[[int], Iterable[Unit]] | None = None
    read: Callable[[Unit, Result], Iterable[Row]] | None = None
    panels: Sequence[Panel]
    columns: int = 2
    claimed: Sequence[Callable[[pd.DataFrame], Iterable[Claim]]] = ()
    styles: Mapping[str, plots.Style] | None = None
    by: str = "method"
    numbers: Sequence[str] = ()
    keeps: Callable[[Measured], bool] | None = None
    derive: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    legend_columns: int = 5
    wide_bands: bool = True

    def __post_init__(self) -> None:
        self.keys = self.keys or (self.axis.column, self.by)

    def plan(self) -> Iterable[Unit]:
        """The units of each replicate: those at each place, then those over several."""
        for replicate in self.study.replicates:
            for place in self.axis.values if self.at is not None else ():
                yield from self.at(replicate, place)
            if self.over is not None:
                yield from self.over(replicate)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """A row for each method and place."""
        if self.read is not None:
            yield from self.read(unit, result)
            return
        for found in measured(unit, result):
            if self.keeps is None or self.keeps(found):
                method = found.method if self.by == "method" else unit.labels[self.by]
                kept = {name: found.numbers[name] for name in self.numbers or found.numbers}
                yield {self.axis.column: self.axis.place(found.scenario), self.by: method, **kept}

    def frame(self, results: Mapping[str, Result]) -> pd.DataFrame:
        """Build the table with the derived columns."""
        frame = super().frame(results)
        return frame if self.derive is None else self.derive(frame)

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw a panel for each number."""
        summary = summarised(frame, self.keys)
        if not self.wide_bands:
            summary = plots.hide_wide_bands(summary, [panel.number for panel in self.panels])
        figure, axes = plots.panels(self.columns, -(-len(self.panels) // self.columns))
        for ax, panel in zip(axes, self.panels, strict=True):
            self.draw_panel(ax, summary, panel)
        plots.legend(figure, axes, self.legend_columns)
        return figure

    def draw_panel(self, ax: Axes, summary: pd.DataFrame, panel: Panel, title: str = "") -> None:
        """Draw one panel."""
        styles = self.study.styles if self.styles is None else self.styles
        panel.draw(ax, summary, self.axis.column, styles, self.by)
        self.axis.finish(ax, summary, panel.label, title)

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """The claims of each builder."""
        return [claim for build in self.claimed for claim in build(frame)]
