"""Figures of a comparison: the distribution of gaps, and mean gap against decision time.

Meaning is carried by position alone, never by colour, so that the figures work in print and for colour-blind readers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.evaluation.formatting import share
from offloadopt.evaluation.reference import SAME_COST, Reference
from offloadopt.evaluation.statistics import Statistics
from offloadopt.pictures.style import ACCENT, BAR, DOT, INK, MUTED, ZONE, plain_axes
from offloadopt.pictures.svg import to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 200
"""Maximum number of dots per method; with more instances each dot is a quantile."""
SHORTEST_MS = 1e-6
"""Position on the logarithmic axis of times that a method reports as zero."""
TIME_ROWS = 8
"""Height of the figure of gap against time, in rows of the other figure."""
Draw = Callable[["Axes"], "Axes"]
"""Draws a figure on the axes that it is given."""


# -------------------------------------------------------------------------------------------------- the two figures


def gap_distribution(
    statistics: Sequence[Statistics],
    gaps_by_method: Mapping[str, FloatArray],
    reference: Reference,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw one row per method, smallest mean gap on top.

    A dot per instance; below the dots the quartiles, the median and the mean with its interval.

    Parameters
    ----------
    statistics : sequence of Statistics
        One per method.
    gaps_by_method : mapping of str to array [count]
        Relative gaps, NaN where an instance has none.
    reference : Reference
        What the gaps are measured from.
    ax : matplotlib Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = _axes(ax, rows=len(statistics))
    rows = sorted(statistics, key=lambda row: np.inf if row.gap_mean is None else row.gap_mean)
    means = np.array([np.nan if row.gap_mean is None else row.gap_mean for row in rows])
    everything = np.concatenate([means, *gaps_by_method.values()])
    floor, end, middle = _equal_zone(everything, portion=0.12)
    ax.axvspan(end, floor, color=ZONE, lw=0, zorder=0)
    for place, row in enumerate(rows):
        gaps = gaps_by_method[row.name]
        equal = share(float(np.mean(gaps <= SAME_COST)))
        ax.text(middle, place, equal, ha="center", va="center", color=INK, fontsize=9)
        gaps = gaps[np.isfinite(gaps)]
        dots = _thinned(gaps[gaps > SAME_COST])
        ax.scatter(dots, place - 0.1 + _spread(len(dots)), s=9, color=DOT, alpha=0.7, lw=0, zorder=2)
        _draw_summary(ax, place + 0.3, gaps, row, floor)
    ax.set_xscale("log")
    ax.set_xlim(end, _top(everything, floor))
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.set_yticks(range(len(rows)), [_short(row.name) for row in rows], parse_math=False)
    _percent_axis(ax.xaxis, floor)
    ax.set_xlabel(f"gap to the {reference.kind}, %", color=INK)
    ax.text(middle, -0.62, _zone_label(reference), ha="center", va="bottom", color=MUTED, fontsize=9)
    plain_axes(ax, grid="x")
    ax.tick_params(axis="y", labelsize=10)
    return ax


def gap_against_time(
    statistics: Sequence[Statistics], reference: Reference, *, horizon: int = 1, ax: Axes | None = None
) -> Axes:
    """Draw each method's mean gap with its interval against its decision time.

    Filled marks: one instance per call. Hollow marks: all instances in one call, time per instance.

    Parameters
    ----------
    statistics : sequence of Statistics
        One per method.
    reference : Reference
        What the gaps are measured from.
    horizon : int
        Slots of an episode: with more than one, the time is that of a whole episode.
    ax : matplotlib Axes, optional
        Where to draw; a new figure unless given.
    """
    ax = _axes(ax, rows=TIME_ROWS)
    rows = [row for row in statistics if row.gap_mean is not None]
    ends = np.array([gap for row in rows for gap in (row.gap_low, row.gap_mean, row.gap_high) if gap is not None])
    floor, end, middle = _equal_zone(ends, portion=0.1)
    ax.axhspan(end, floor, color=ZONE, lw=0, zorder=0)
    names: list[tuple[float, float, str]] = []
    marks: list[tuple[float, float, float, float]] = []
    for row in rows:
        gap = row.gap_mean if row.gap_mean is not None and row.gap_mean > floor else middle
        batched = max(row.batched_ms, SHORTEST_MS)
        alone = batched if row.decision_ms_median is None else max(row.decision_ms_median, SHORTEST_MS)
        ax.plot([batched, alone], [gap, gap], color=DOT, lw=1, zorder=2)
        ax.plot(batched, gap, ls="", marker="o", ms=6, color=ACCENT, mfc="none", mew=1.2, zorder=4)
        if row.decision_ms_median is not None:
            ax.plot(alone, gap, ls="", marker="o", ms=7, color=ACCENT, zorder=5)
        low, high = gap, gap
        if gap > floor and row.gap_low is not None and row.gap_high is not None:
            low, high = max(row.gap_low, floor), row.gap_high
            ax.plot([alone, alone], [low, high], color=ACCENT, lw=2, solid_capstyle="butt", zorder=3)
        names.append((alone, gap, _short(row.name)))
        marks += [(min(batched, alone), max(batched, alone), gap, gap), (alone, alone, low, high)]
    ax.set_xscale("log")
    ax.set_yscale("log")
    times = [time for left, right, *_ in marks for time in (left, right)] or [1.0]
    ax.set_xlim(min(times) / 3, max(times) * 6)
    ax.set_ylim(end, _top(ends, floor))
    _percent_axis(ax.yaxis, floor)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    ax.set_xlabel("time of a decision, ms" if horizon == 1 else "time to decide a whole episode, ms", color=INK)
    ax.set_ylabel(f"mean gap to the {reference.kind}, %", color=INK)
    left = ax.get_yaxis_transform()
    ax.text(-0.01, middle, _zone_label(reference), transform=left, ha="right", va="center", fontsize=9, color=INK)
    plain_axes(ax, grid="both")
    _legend_of_marks(ax)
    _label_points(ax, names, marks)
    return ax


# ------------------------------------------------------------------------------------------------------ as files


def png(draw: Draw, rows: int) -> bytes:
    """Return a figure as a PNG file, ``rows`` methods high."""
    figure = _figure(draw, rows)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=160, facecolor="white")
    return data.getvalue()


def svg(draw: Draw, rows: int, salt: str) -> str:
    """Return a figure as SVG text without background, ``rows`` methods high; text stays text, not outlines.

    Equal ``salt`` gives equal ids within the SVG, so that the same figure gives the same bytes.
    """
    return to_svg(_figure(draw, rows), salt)


def _figure(draw: Draw, rows: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, _height(rows)), layout="constrained")
    draw(figure.add_subplot())
    return figure


# ----------------------------------------------------------------------------------------------------------- parts


def _axes(ax: Axes | None, rows: int) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7.6, _height(rows)), layout="constrained")[1]


def _height(rows: int) -> float:
    return 1.1 + 0.46 * max(rows, 2)


def _equal_zone(gaps: FloatArray, portion: float) -> tuple[float, float, float]:
    """Compute begin, end and middle of the shaded zone for gaps of 0, which a logarithmic axis cannot show.

    The zone begins at the decade below the smallest gap above `SAME_COST` and takes about ``portion`` of the axis.
    """
    above = gaps[np.isfinite(gaps) & (gaps > SAME_COST)]
    floor = float(10.0 ** (np.ceil(np.log10(above.min())) - 1.0)) if len(above) else 1e-4
    width = (_top(gaps, floor) / floor) ** portion
    return floor, floor / width, floor / width**0.5


def _top(gaps: FloatArray, floor: float) -> float:
    """Compute the upper limit of the logarithmic axis of gaps: above the largest gap, at least one decade long."""
    return 1.5 * max(float(np.max(gaps, initial=0.0, where=np.isfinite(gaps))), 10 * floor)


def _draw_summary(ax: Axes, place: float, gaps: FloatArray, row: Statistics, floor: float) -> None:
    """Draw the quartiles as a bar, the median as a tick, the mean as a diamond on its interval, unless in the zone."""
    if len(gaps):
        low, middle, high = np.quantile(gaps, [0.25, 0.5, 0.75])
        if high > floor:
            ax.plot([max(low, floor), high], [place, place], color=BAR, lw=6, solid_capstyle="butt", zorder=3)
        if middle > floor:
            ax.plot([middle, middle], [place - 0.1, place + 0.1], color=INK, lw=1.6, zorder=4)
    if row.gap_mean is not None and row.gap_mean > floor:
        if row.gap_low is not None and row.gap_high is not None:
            ends = [max(row.gap_low, floor), row.gap_high]
            ax.plot(ends, [place, place], color=ACCENT, lw=1.8, solid_capstyle="butt", zorder=5)
        ax.plot(row.gap_mean, place, ls="", marker="D", ms=4.5, color=ACCENT, zorder=6)


def _thinned(gaps: FloatArray) -> FloatArray:
    """Reduce to at most `DOTS` values with the same distribution: quantiles."""
    return gaps if len(gaps) <= DOTS else np.quantile(gaps, (np.arange(DOTS) + 0.5) / DOTS).astype(np.float64)


def _spread(dots: int) -> FloatArray:
    """Compute even vertical offsets within +-0.25 (golden-ratio sequence), so that equal gaps stay visible."""
    return np.asarray(0.5 * (np.arange(dots) * 0.6180339887 % 1.0) - 0.25, dtype=np.float64)


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def _zone_label(reference: Reference) -> str:
    return "optimal" if reference.proved else "best found"


def _percent_axis(axis: Any, floor: float) -> None:
    """Label decades in %, none within the zone of equal costs."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=12))
    axis.set_major_formatter(lambda gap, _: f"{100 * gap:g}" if gap >= 0.99 * floor else "")
    axis.set_minor_formatter(NullFormatter())


def _legend_of_marks(ax: Axes) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", marker="o", color=ACCENT, ms=7, label="decided alone (median)"),
        Line2D([], [], ls="", marker="o", color=ACCENT, mfc="none", ms=6, label="in a batch (per instance)"),
    ]
    ax.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=MUTED,
        handletextpad=0.2,
        borderpad=0.2,
    )


def _label_points(
    ax: Axes, names: list[tuple[float, float, str]], marks: list[tuple[float, float, float, float]]
) -> None:
    """Write each name beside its point ``(x, y)``, at the first place that covers no mark ``(x, x, y, y)`` or name."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    figure = ax.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()  # fixes the positions in pixels
    corners = [ax.transData.transform([(left, low), (right, high)]) for left, right, low, high in marks]
    occupied = [Bbox([first - 4, last + 4]) for first, last in corners]
    beside = [
        (9, 0, "left", "center"),
        (-9, 0, "right", "center"),
        (0, 9, "center", "bottom"),
        (0, -9, "center", "top"),
    ]
    further = [(26, sign * 13 * step, "left", "center") for step in (1, 2, 3, 4, 5) for sign in (1, -1)]
    leader = {"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 1, "shrinkB": 5}
    for x, y, name in names:
        label = ax.annotate(
            name,
            (x, y),
            (0, 0),
            textcoords="offset points",
            color=INK,
            fontsize=9.5,
            parse_math=False,
            arrowprops=leader,
        )
        for right, up, horizontal, vertical in [*beside, *further]:
            label.set(position=(right, up), ha=horizontal, va=vertical)
            label.get_window_extent()  # moves the label; its own extent would include the line
            box = Text.get_window_extent(label)
            if not any(box.overlaps(other) for other in occupied):
                break
        occupied.append(box)
        if label.arrow_patch is not None:
            label.arrow_patch.set_visible(right == 26)  # a name right beside its point needs no line to it
