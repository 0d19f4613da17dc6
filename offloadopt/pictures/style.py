"""Colours and axes of all figures. Matplotlib is imported where something is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID, ZONE, BAR = "#1c2733", "#66727f", "#dde2e7", "#eff2f5", "#b9c2cb"
"""Colours of text, secondary text, grid lines, shaded zones and what is secondary among the marks."""
ACCENT, DOT = "#0b5fa5", "#86a9c9"
"""Colours of what matters most, and of single instances."""
LOCAL = "#9aa4ae"
"""Colour of local computing."""
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#b3a100")
"""Colours of servers, users and terms, told apart by colour-blind readers too (after Okabe and Ito)."""
WARNING = "#c1121f"
"""Colour of what fails, overflows or is over a limit."""


def line_style(number: int) -> str:
    """Return the line style of the n-th member of a group: dashed where colours begin again."""
    return "-" if number < len(SERIES) else "--"


def colour(number: int) -> str:
    """Return the colour of the n-th member of a group; after the last colour they begin again."""
    return SERIES[number % len(SERIES)]


def plain_axes(ax: Axes, grid: str | None = None) -> None:
    """Remove frame and ticks, and draw the grid along ``"x"``, ``"y"`` or ``"both"``."""
    from matplotlib.ticker import ScalarFormatter

    ax.minorticks_off()
    ax.set_axisbelow(True)
    if grid is not None:
        ax.grid(axis=grid, color=GRID, lw=0.8)  # type: ignore[arg-type]
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(GRID)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=9, length=0)
    for axis in (ax.xaxis, ax.yaxis):  # the power of ten that all ticks share would stand in the legend
        if isinstance(axis.get_major_formatter(), ScalarFormatter):
            axis.set_major_formatter("{x:g}")


def label(ax: Axes, *, x: str = "", y: str = "") -> None:
    """Label the axes; a long text has as many lines as the figure's width asks for."""
    ax.set_xlabel(textwrap.fill(x, max(20, int((_width(ax) - 0.8) / 0.072))), color=INK, fontsize=9)
    ax.set_ylabel(y, color=INK, fontsize=9)


def legend(ax: Axes, handles: Sequence[Any] | None = None) -> None:
    """Put the legend above the axes, by default of all that has a label; its rows fit the figure."""
    names = ax.get_legend_handles_labels()[1] if handles is None else [each.get_label() for each in handles]
    ax.legend(
        **({} if handles is None else {"handles": handles}),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=_columns(ax, names),
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        handlelength=1.2,
        columnspacing=1.0,
        borderpad=0.1,
    )


def legend_rows(ax: Axes) -> int:
    """Return the number of rows of the legend above the axes."""
    found = ax.get_legend()
    names = [] if found is None else [each.get_text() for each in found.get_texts()]
    return -(-len(names) // _columns(ax, names)) if names else 0


def title(ax: Axes, text: str) -> None:
    """Write a title above the legend."""
    lines = textwrap.fill(text, max(20, int((_width(ax) - 0.8) / 0.08)))
    ax.set_title(lines, loc="left", fontsize=10, color=INK, pad=8.0 + 14.0 * legend_rows(ax))


def _columns(ax: Axes, names: Sequence[str]) -> int:
    """Number of a legend's columns that the figure has room for."""
    widest = max(map(len, names), default=1)
    return max(1, min(len(names), int((_width(ax) - 0.8) / (0.45 + 0.065 * widest))))


def _width(ax: Axes) -> float:
    figure = ax.get_figure(root=True)
    return 7.6 if figure is None else float(figure.get_figwidth())


def whole_ticks(ax: Axes, which: str = "x") -> None:
    """Use whole numbers as ticks."""
    from matplotlib.ticker import MaxNLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
