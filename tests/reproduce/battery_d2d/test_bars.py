"""Bars show what the rows hold, and nothing where there is no number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from offloadopt.reproduce import plots
from offloadopt.reproduce.battery_d2d import bars


def rows() -> list[tuple[str, pd.Series]]:
    terms = dict(zip(bars.TERM_LOOKS, (1.0, 2.0, 3.0, 4.0), strict=True))
    numbers = {"cost": 10.0, "finished_j": 250.0, "delay_1_s": 0.5, **terms}
    summary = pd.DataFrame([{"method": "a", **numbers}, {"method": "b", **numbers, "finished_j": 2.5}])
    return bars.rows_of(summary, ["b", "a"])


def test_rows_come_in_the_order_of_the_methods() -> None:
    assert [name for name, _ in rows()] == ["b", "a"]
    assert [row["finished_j"] for _, row in rows()] == [2.5, 250.0]


def test_a_bar_has_its_number_at_its_end() -> None:
    _, (ax,) = plots.panels(1)
    bars.draw_bars(ax, rows(), "finished_j", 2.0)
    assert [bar.get_width() for bar in ax.patches] == [5.0, 500.0]
    assert [text.get_text() for text in ax.texts] == ["5.00", "500"]
    _, (bare,) = plots.panels(1)
    bars.draw_bars(bare, rows(), "no such number")
    assert np.isnan([bar.get_width() for bar in bare.patches]).all()


def test_terms_are_stacked_up_to_the_cost() -> None:
    _, axes = plots.panels(3)
    bars.draw_terms(axes, rows(), "a title")
    ends = [bar.get_x() + bar.get_width() for bar in axes[0].patches]
    assert ends == pytest.approx([1.0, 3.0, 6.0, 10.0] * 2)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["b", "a"]
    assert {label.get_text() for label in axes[1].get_yticklabels()} <= {""}
