"""Lines hold a slot's value until its end; stacks end at the sum."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from offloadopt.pictures.over_slots import LINES, draw_lines, draw_stacked


def test_lines_hold_until_the_end_of_the_slot_and_borders_are_points() -> None:
    values = np.array([1.0, 3.0, 2.0])
    ax = Figure().add_subplot()
    draw_lines(ax, {"a": values, "b": 2 * values}, "J", limit=5.0)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 1], [1, 3], [2, 2], [3, 2]])
    assert ax.get_xlim() == (0, 3)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "capacity"]
    borders = Figure().add_subplot()
    draw_lines(borders, {"a": values}, "J", at_borders=True)
    np.testing.assert_array_equal(borders.lines[0].get_xydata(), [[0, 1], [1, 3], [2, 2]])
    assert borders.get_xlim() == (0, 2)


def test_many_lines_are_shown_as_median_and_range() -> None:
    ax = Figure().add_subplot()
    draw_lines(ax, {str(n): np.array([1.0 * n, 2.0 * n]) for n in range(LINES + 1)}, "J", limit=np.inf)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"range of {LINES + 1}", "median"]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [LINES / 2, LINES, LINES])


def test_stacked_amounts_end_at_their_sum() -> None:
    ax = Figure().add_subplot()
    amounts = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 0.5])}
    draw_stacked(ax, amounts, "J", line=np.array([4.0, 1.0]), line_name="green")
    tops = [patch.get_paths()[0].vertices[:, 1].max() for patch in ax.collections]
    assert tops == [2.0, 4.0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [4.0, 1.0, 1.0])
