"""Quantities over slots: lines, and amounts stacked upon each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.arrays import FloatArray
from offloadopt.pictures.style import INK, WARNING, colour, label, legend, line_style, plain_axes, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = 12
"""Lines that are drawn one by one, at most; of more series the range and the median are drawn."""


def draw_lines(
    ax: Axes,
    series: Mapping[str, FloatArray],
    unit: str,
    *,
    limit: float | None = None,
    limit_name: str = "capacity",
    at_borders: bool = False,
) -> None:
    """Draw one line per series ``[slots]``; of many series their median and range.

    Parameters
    ----------
    ax : Axes
    series : mapping of str to array [slots]
    unit : str
        Label of the y-axis.
    limit : float, optional
        Drawn as a dashed line, with its name.
    limit_name : str
    at_borders : bool
        Whether series ``[slots + 1]`` hold the values between slots, not those within.
    """
    names, values = list(series), np.stack(list(series.values()))
    if not at_borders:  # a slot's value holds until its end
        values = np.concatenate([values, values[:, -1:]], axis=1)
    slots, drawn = np.arange(values.shape[1]), "default" if at_borders else "steps-post"
    if len(names) > LINES:
        low, high, step = values.min(axis=0), values.max(axis=0), None if at_borders else "post"
        ax.fill_between(slots, low, high, step=step, color=colour(0), alpha=0.2, lw=0, label=f"range of {len(names)}")  # type: ignore[arg-type]
        ax.plot(slots, np.median(values, axis=0), drawstyle=drawn, color=colour(0), lw=1.4, label="median")
    else:
        for number, name in enumerate(names):
            style = line_style(number)
            ax.plot(slots, values[number], drawstyle=drawn, lw=1.2, color=colour(number), ls=style, label=name)
    if limit is not None and np.isfinite(limit):
        ax.axhline(limit, color=WARNING, lw=1.0, ls="--", label=limit_name)
    _finish(ax, unit, len(slots) - 1)


def draw_stacked(
    ax: Axes, amounts: Mapping[str, FloatArray], unit: str, *, line: FloatArray | None = None, line_name: str = ""
) -> None:
    """Draw amounts ``[slots]`` stacked upon each other, and a line for comparison.

    Parameters
    ----------
    ax : Axes
    amounts : mapping of str to array [slots]
        At least 0.
    unit : str
        Label of the y-axis.
    line : array [slots], optional
    line_name : str
    """

    def until_the_end(values: FloatArray) -> FloatArray:
        return np.append(values, values[-1])

    count = len(next(iter(amounts.values())))
    slots, base = np.arange(count + 1), np.zeros(count + 1)
    for number, (name, values) in enumerate(amounts.items()):
        top = base + until_the_end(values)
        ax.fill_between(slots, base, top, step="post", color=colour(number), lw=0, label=name)
        base = top
    if line is not None:
        ax.plot(slots, until_the_end(line), drawstyle="steps-post", color=INK, lw=1.2, label=line_name)
    _finish(ax, unit, count)


def _finish(ax: Axes, unit: str, slots: int) -> None:
    ax.set_xlim(0, max(slots, 1))
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    plain_axes(ax, grid="y")
    whole_ticks(ax)
    label(ax, x="slot", y=unit)
    legend(ax)
