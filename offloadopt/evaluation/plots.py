"""Pictures of a comparison. Position carries every meaning, colour none, so all eyes and printers read them alike."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.evaluation.formatting import share
from offloadopt.evaluation.reference import SAME_COST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from offloadopt.evaluation.report import Report
    from offloadopt.evaluation.statistics import Statistics

INK, MUTED, GRID, ZONE, BAR = "#1c2733", "#66727f", "#dde2e7", "#eff2f5", "#b9c2cb"
"""Colours of text, secondary text, grid lines, the zone of equal costs and quartile bars."""
ACCENT, DOT = "#0b5fa5", "#86a9c9"
"""Colours of means and of single instances."""
DOTS = 200
"""Most dots per method; above that each dot is a quantile."""
SHORTEST_MS = 1e-6
"""Times that a method reports as zero stand here on a logarithmic axis."""
Picture = Callable[["Report", "Axes | None"], "Axes"]


# ------------------------------------------------------------------------------------------------- the two pictures


def gap_distribution(report: Report, ax: Axes | None = None) -> Axes:
    """One row per method, best mean on top: a dot per instance, below them quartiles, median and mean with interval."""
    ax = _axes(ax, rows=len(report.methods))
    rows = sorted(report.statistics, key=lambda row: np.inf if row.gap_mean is None else row.gap_mean)
    means = np.array([np.nan if row.gap_mean is None else row.gap_mean for row in rows])
    everything = np.concatenate([means, *report.gaps.values()])
    floor, end, middle = _zone(everything, portion=0.12)
    ax.axvspan(end, floor, color=ZONE, lw=0, zorder=0)
    for place, row in enumerate(rows):
        gaps = report.gaps[row.name]
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
    ax.set_xlabel(f"gap to the {report.reference.kind}, %", color=INK)
    ax.text(middle, -0.62, _zone_word(report), ha="center", va="bottom", color=MUTED, fontsize=9)
    _quiet(ax, grid="x")
    ax.tick_params(axis="y", labelsize=10)
    return ax


def gap_against_time(report: Report, ax: Axes | None = None) -> Axes:
    """Mean gap with interval against the time of a decision made alone (filled) and in a batch (hollow)."""
    ax = _axes(ax, rows=8)
    rows = [row for row in report.statistics if row.gap_mean is not None]
    ends = np.array([gap for row in rows for gap in (row.gap_low, row.gap_mean, row.gap_high) if gap is not None])
    floor, end, middle = _zone(ends, portion=0.1)
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
    ax.set_xlabel("time of a decision, ms", color=INK)
    ax.set_ylabel(f"mean gap to the {report.reference.kind}, %", color=INK)
    left = ax.get_yaxis_transform()
    ax.text(-0.01, middle, _zone_word(report), transform=left, ha="right", va="center", fontsize=9, color=INK)
    _quiet(ax, grid="both")
    _explain_marks(ax)
    _name_points(ax, names, marks)
    return ax


# ------------------------------------------------------------------------------------------------------ as files


def png(report: Report, picture: Picture) -> bytes:
    """A picture as a PNG file."""
    figure = _figure(report, picture)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=160, facecolor="white")
    return data.getvalue()


def svg(report: Report, picture: Picture) -> str:
    """A picture as SVG text without a background; its letters stay letters."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": picture.__name__}):
        figure = _figure(report, picture)
        data = io.StringIO()
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    return data.getvalue()


def _figure(report: Report, picture: Picture) -> Figure:
    from matplotlib.figure import Figure

    rows = len(report.methods) if picture is gap_distribution else 8
    figure = Figure(figsize=(7.6, _height(rows)), layout="constrained")
    picture(report, figure.add_subplot())
    return figure


# ----------------------------------------------------------------------------------------------------------- parts


def _axes(ax: Axes | None, rows: int) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7.6, _height(rows)), layout="constrained")[1]


def _height(rows: int) -> float:
    return 1.1 + 0.46 * max(rows, 2)


def _zone(gaps: FloatArray, portion: float) -> tuple[float, float, float]:
    """Begin, end and middle of the zone that stands for gaps too small for a logarithmic axis.

    It begins at the decade below the smallest gap above `SAME_COST` and takes about ``portion`` of the axis.
    """
    above = gaps[np.isfinite(gaps) & (gaps > SAME_COST)]
    floor = float(10.0 ** (np.ceil(np.log10(above.min())) - 1.0)) if len(above) else 1e-4
    width = (_top(gaps, floor) / floor) ** portion
    return floor, floor / width, floor / width**0.5


def _top(gaps: FloatArray, floor: float) -> float:
    """Where the logarithmic axis of gaps ends: a little above the largest, and a decade long at least."""
    return 1.5 * max(float(np.max(gaps, initial=0.0, where=np.isfinite(gaps))), 10 * floor)


def _draw_summary(ax: Axes, place: float, gaps: FloatArray, row: Statistics, floor: float) -> None:
    """Middle half as a bar, median as a tick, mean as a diamond on its interval; none where they fall into the zone."""
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
    """At most `DOTS` values with the same distribution."""
    return gaps if len(gaps) <= DOTS else np.quantile(gaps, (np.arange(DOTS) + 0.5) / DOTS).astype(np.float64)


def _spread(dots: int) -> FloatArray:
    """Even vertical scatter within +-0.25 (golden-ratio sequence), so that equal gaps stay visible side by side."""
    return np.asarray(0.5 * (np.arange(dots) * 0.6180339887 % 1.0) - 0.25, dtype=np.float64)


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def _zone_word(report: Report) -> str:
    return "optimal" if report.reference.proved else "best found"


def _percent_axis(axis: Any, floor: float) -> None:
    """Decades in %, none within the zone of equal costs."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=12))
    axis.set_major_formatter(lambda gap, _: f"{100 * gap:g}" if gap >= 0.99 * floor else "")
    axis.set_minor_formatter(NullFormatter())


def _quiet(ax: Axes, grid: str) -> None:
    ax.minorticks_off()
    ax.set_axisbelow(True)
    ax.grid(axis=grid, color=GRID, lw=0.8)  # type: ignore[arg-type]
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(GRID)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=0)


def _explain_marks(ax: Axes) -> None:
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


def _name_points(
    ax: Axes, names: list[tuple[float, float, str]], marks: list[tuple[float, float, float, float]]
) -> None:
    """Write each name beside its point ``(x, y)``, at the first place that covers no mark ``(x, x, y, y)`` or name."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    figure = ax.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()  # settles where a point is in pixels
    corners = [ax.transData.transform([(left, low), (right, high)]) for left, right, low, high in marks]
    taken = [Bbox([first - 4, last + 4]) for first, last in corners]
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
            if not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)
        if label.arrow_patch is not None:
            label.arrow_patch.set_visible(right == 26)  # a name right beside its point needs no line to it
