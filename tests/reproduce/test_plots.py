"""Pictures show the means with their intervals, and hide what cannot be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from offloadopt.reproduce import plots
from offloadopt.reproduce.summary import REPLICATE, summarised

STYLE = plots.Style("a label", plots.BLUE, "-", "o")


def summary(replicates: int) -> pd.DataFrame:
    rows = [{"x": x, REPLICATE: r, "y": 10.0 * x + r} for x in (2, 1) for r in range(replicates)]
    return summarised(pd.DataFrame(rows), ("x",))


@pytest.mark.parametrize(("replicates", "hidden"), [(2, True), (3, False)])
def test_bands_of_fewer_than_three_replicates_collapse_onto_the_mean(replicates: int, hidden: bool) -> None:
    found, table = plots.hide_wide_bands(summary(replicates), ["y"]), summary(replicates)
    assert (found["y_low"] == found["y"]).all() == hidden
    assert (found["y_high"] == found["y"]).all() == hidden
    pd.testing.assert_series_equal(found["y"], table["y"])
    assert hidden or found.equals(table)


def test_a_series_runs_along_x_through_scaled_means() -> None:
    _, (ax,) = plots.panels(1)
    plots.series(ax, summary(3), "x", "y", STYLE, 100.0)
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[1.0, 1100.0], [2.0, 2100.0]])
    low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    assert low == pytest.approx(100.0 * summary(3)["y_low"].min())


def test_limits_follow_lines_and_not_bands() -> None:
    _, (ax,) = plots.panels(1)
    plots.series(ax, summary(2), "x", "y", STYLE)
    plots.fit_to_means(ax)
    low, high = ax.get_ylim()
    assert 9.0 < low < 10.5 < 20.5 < high < 22.0
    plots.fit_to_means(ax, 0.0)
    assert ax.get_ylim()[0] == 0.0


def test_one_legend_has_each_label_once() -> None:
    figure, axes = plots.panels(2)
    for ax in axes:
        plots.series(ax, summary(3), "x", "y", STYLE)
    plots.published(axes[0], x=1.5, y=15.0)
    plots.legend(figure, axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a label", "as published"]


def test_dots_stand_in_rows_from_the_top_with_their_numbers() -> None:
    _, (ax,) = plots.panels(1)
    rows = [("one", STYLE), ("two", STYLE)]
    plots.dots(ax, rows, [row for _, row in summary(3).iterrows()], "y")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]
    assert [text.get_text() for text in ax.texts] == ["21.0", "11.0"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_moving_means_stay_within_their_group_and_are_shorter_at_the_beginning() -> None:
    frame = pd.DataFrame({"of": ["a", "b"] * 4, "step": [4, 4, 3, 3, 2, 2, 1, 1], "y": [8.0, 0, 4, 0, 2, 0, 0, 0]})
    found = plots.smoothed(frame, "y", ["of"], 2)
    assert found[found["of"] == "a"]["y"].tolist() == [0.0, 1.0, 3.0, 6.0]
    assert (found[found["of"] == "b"]["y"] == 0.0).all()
