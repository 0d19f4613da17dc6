"""Figures of a report show every number where it belongs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offloadopt.evaluation import Report, plots

MakeReport = Callable[..., Report]


@pytest.mark.parametrize("draw", [Report.plot, Report.plot_gap_time])
@pytest.mark.parametrize("which", ["report", "hopeless"])
def test_figures_are_drawn_on_the_axes_that_are_given(
    draw: Callable[[Report, Axes], Axes], which: str, request: pytest.FixtureRequest
) -> None:
    ax = Figure().add_subplot()
    assert draw(request.getfixturevalue(which), ax) is ax
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    assert ax.get_xlabel()


def test_the_same_figure_gives_the_same_bytes(report: Report) -> None:
    assert plots.png(report.plot, 3) == plots.png(report.plot, 3)
    assert plots.svg(report.plot, 3, salt="a") == plots.svg(report.plot, 3, salt="a")


def test_every_gap_is_drawn_best_method_on_top(make_report: MakeReport) -> None:
    report = make_report({"worse": [12.0, 13.0, 10.0], "best": [10.0, 10.0, 10.0]}, {"best": [10.0, 10.0, 10.0]})
    ax = report.plot(Figure().add_subplot())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["best", "worse"]
    drawn = np.concatenate([np.asarray(dots.get_offsets())[:, 0] for dots in ax.collections])
    assert sorted(drawn) == pytest.approx([0.2, 0.3])
    shares = [label.get_text() for label in ax.texts]
    assert shares[:2] == ["100 %", "33.3 %"]


def test_a_mean_below_every_gap_stays_on_the_axis(make_report: MakeReport) -> None:
    best = np.full(1000, 10.0)
    report = make_report({"best": best, "rare": np.where(np.arange(1000) == 0, 11.0, best)}, {"best": best})
    ax = report.plot(Figure().add_subplot())
    low = ax.get_xlim()[0]
    assert any(np.allclose(line.get_xdata(), 1e-4) for line in ax.lines)
    assert low < 1e-4


def test_many_instances_are_drawn_as_quantiles(make_report: MakeReport) -> None:
    best = np.full(5000, 10.0)
    report = make_report({"a": best, "b": best + np.linspace(1, 2, 5000)}, {"a": best})
    dots = max(report.plot(Figure().add_subplot()).collections, key=lambda dots: len(dots.get_offsets()))
    drawn = np.asarray(dots.get_offsets())[:, 0]
    assert len(drawn) == plots.DOTS
    assert np.median(drawn) == pytest.approx(0.15, rel=1e-3)


def test_points_stand_at_mean_gap_and_time(make_report: MakeReport) -> None:
    report = make_report({"best": [10.0, 10.0], "other": [11.0, 12.0]}, {"best": [10.0, 10.0]})
    ax = report.plot_gap_time(Figure().add_subplot())
    filled = [line for line in ax.lines if line.get_marker() == "o" and line.get_markerfacecolor() != "none"]
    assert [4.0, 0.15] in [[line.get_xdata()[0], pytest.approx(line.get_ydata()[0])] for line in filled]
    assert {label.get_text() for label in ax.texts} >= {"best", "other"}
