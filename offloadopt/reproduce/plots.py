"""Style of all pictures: lines with interval bands in colours safe for colour-blind readers (Okabe and Ito 2008).

Each series also has a line style or a marker of its own, so that it can be read in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offloadopt.pictures.style import GRID as GRID
from offloadopt.pictures.style import INK as INK
from offloadopt.pictures.style import MUTED as MUTED
from offloadopt.reproduce.artefact import Axes, DataFrame, Figure, Series

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE, GREY = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7", "#7f8790",
)  # fmt: skip
PANEL_WIDTH, PANEL_HEIGHT = 4.4, 3.5


@dataclass(frozen=True)
class Style:
    """Label, colour, line and marker of a series."""

    label: str
    color: str
    line: str = "-"
    marker: str = ""

    @property
    def plain(self) -> Style:
        """The same without markers, for curves of many points."""
        return replace(self, marker="")


def panels(columns: int, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Create a figure and its panels, row by row."""
    from matplotlib.figure import Figure

    width = PANEL_WIDTH * columns + (0.4 if columns > 1 else 2.0)
    figure = Figure(figsize=(width, PANEL_HEIGHT * rows + 0.7), layout="constrained")
    return figure, list(np.ravel(np.array(figure.subplots(rows, columns))))


def series(ax: Axes, summary: DataFrame, x: str, y: str, style: Style, scale: float = 1.0) -> None:
    """Draw a line through the means with a band for the intervals."""
    summary = summary.sort_values(x)
    place = summary[x].to_numpy(dtype=float)
    ax.plot(
        place,
        scale * summary[y].to_numpy(dtype=float),
        color=style.color,
        ls=style.line,
        marker=style.marker,
        ms=5,
        lw=1.8,
        label=style.label,
    )
    low, high = (scale * summary[f"{y}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
    ax.fill_between(place, low, high, color=style.color, alpha=0.16, lw=0)


def lines(
    ax: Axes,
    summary: DataFrame,
    x: str,
    y: str,
    styles: Mapping[str, Style],
    scale: float = 1.0,
    by: str = "method",
) -> None:
    """Draw the `series` of each method in ``styles`` that has numbers, in their order."""
    for method, style in styles.items():
        chosen = summary[(summary[by] == method) & summary[y].notna()]
        if len(chosen):
            series(ax, chosen, x, y, style, scale)


def hide_wide_bands(summary: DataFrame, numbers: Sequence[str]) -> DataFrame:
    """Collapse the bands of points with fewer than three replicates onto the mean.

    Their Student's t intervals, which the tables keep, would cover the whole picture.

    Parameters
    ----------
    summary : DataFrame
        As `summarised` gives it, with columns ``replicates``, and ``<number>_low`` and ``<number>_high``.
    numbers : sequence of str
        Columns whose bands are drawn.
    """
    few = summary["replicates"] < 3
    ends = {
        f"{number}_{end}": summary[f"{number}_{end}"].mask(few, summary[number])
        for number in numbers
        for end in ("low", "high")
    }
    return summary.assign(**ends)


def dots(
    ax: Axes, rows: Sequence[tuple[str, Style]], summaries: Sequence[Series], number: str, scale: float = 1.0
) -> None:
    """Draw a row for each name from the top: the mean as a marker on its interval, with the number above it."""
    for place, ((_, style), summary) in enumerate(zip(rows, summaries, strict=True)):
        mean, low, high = (scale * float(summary[name]) for name in (number, f"{number}_low", f"{number}_high"))
        ax.plot([low, high], [place, place], color=style.color, lw=2, alpha=0.6, solid_capstyle="butt")
        ax.plot(mean, place, color=style.color, marker=style.marker or "o", ms=7, ls="")
        text = f"{mean:#.3g}".rstrip(".")
        ax.annotate(text, (mean, place), (0, 7), textcoords="offset points", ha="center", fontsize=8, color=INK)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.6)


def fit_to_means(ax: Axes, least: float | None = None) -> None:
    """Limit the y axis to the lines; wide bands of few replicates are cut off."""
    in_data = [line for line in ax.get_lines() if line.get_transform().contains_branch_seperately(ax.transData)[1]]
    found = [np.asarray(line.get_ydata(), dtype=float) for line in in_data]
    drawn = np.concatenate([values[np.isfinite(values)] for values in found])
    margin = 0.12 * float(np.ptp(drawn)) or 0.05 * abs(float(drawn[0])) or 1.0
    ax.set_ylim(drawn.min() - margin if least is None else least, drawn.max() + margin)


def logarithmic(ax: Axes, *names: str) -> None:
    """Make axes ``x`` or ``y`` logarithmic, with plain numbers at the ticks."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for name in names:
        axis = ax.xaxis if name == "x" else ax.yaxis
        ax.set(**{f"{name}scale": "log"})
        low, high = sorted(getattr(ax, f"get_{name}lim")())
        # Less than two decades need ticks within them.
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=12))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())


def level(ax: Axes, value: float, style: Style) -> None:
    """Draw a horizontal reference line."""
    ax.axhline(value, color=style.color, ls=style.line, lw=1.6, label=style.label)


def published(ax: Axes, *, x: float | None = None, y: float | None = None) -> None:
    """Mark a published value of x or y by a thin dotted line."""
    look: dict[str, Any] = {"color": VERMILION, "ls": ":", "lw": 1.4, "label": "as published"}
    if x is not None:
        ax.axvline(x, **look)
    if y is not None:
        ax.axhline(y, **{**look, "label": "_" if x is not None else look["label"]})


def published_points(ax: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Mark published values by hollow markers."""
    ax.plot(x, y, color=VERMILION, marker="o", ms=6, mfc="none", ls="", zorder=4, label="as published")


def finish(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Set labels, title and a light grid, and remove the frame."""
    ax.set_xlabel(x, color=INK)
    ax.set_ylabel(y, color=INK)
    if title:
        ax.set_title(title, color=INK, fontsize=10.5, loc="left")
    ax.set_axisbelow(True)
    ax.grid(color=GRID, lw=0.8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        ax.spines[side].set_color(GRID)
    ax.tick_params(which="both", colors=MUTED, labelcolor=INK, labelsize=9, length=0)


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 5) -> None:
    """Draw one legend below all panels, with each label once."""
    found: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=min(columns, len(found)),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def smoothed(frame: DataFrame, number: str, by: Sequence[str], window: int) -> DataFrame:
    """Moving means over ``window`` rows of each group, in the order of ``step``; shorter at the beginning."""
    frame = frame.sort_values([*by, "step"], ignore_index=True)
    moving = frame.groupby(list(by), sort=False)[number].rolling(max(1, window), min_periods=1).mean()
    return frame.assign(**{number: moving.reset_index(level=list(range(len(by))), drop=True)})
