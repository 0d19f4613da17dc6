"""Legends and titles have the lines that a figure's width asks for."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offloadopt.pictures import style


def axes(width: float) -> Axes:
    ax = Figure(figsize=(width, 2.0)).add_subplot()
    for number in range(10):
        ax.plot([0, 1], [0, number], label=f"device {number}")
    return ax


def test_a_narrow_figure_has_more_rows_of_its_legend() -> None:
    rows = []
    for width in (7.6, 3.7):
        ax = axes(width)
        assert style.legend_rows(ax) == 0
        style.legend(ax)
        rows.append(style.legend_rows(ax))
    assert rows == [2, 5]


def test_long_texts_are_wrapped() -> None:
    ax = axes(3.7)
    style.title(ax, "Which device executes whose task when, and what else there is to say")
    style.label(ax, x="s; the colour of a bar is that of the device whose task it is")
    assert ax.get_title(loc="left").count("\n") == 1
    assert ax.get_xlabel().count("\n") == 1


def test_colours_begin_again_with_another_line_style() -> None:
    assert style.colour(0) == style.colour(len(style.SERIES))
    assert style.line_style(0) != style.line_style(len(style.SERIES))
    assert style.WARNING not in style.SERIES
