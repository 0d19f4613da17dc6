"""A training curve is averaged over equal stretches of its steps."""

from __future__ import annotations

import pytest

from offloadopt.reproduce.battery_d2d.learning import POINTS, TrainingFigure

from toys.tiny_papers.battery_d2d import SETTING


def test_a_curve_is_averaged_over_equal_stretches() -> None:
    figure = TrainingFigure(SETTING)
    unit = figure.units[0]
    curve = [{"step": step, "cost": float(step)} for step in range(1, 10 * POINTS + 1)]
    rows = list(figure.rows(unit, {"curve": curve}))
    assert [row["step"] for row in rows] == [10.0 * number for number in range(1, POINTS + 1)]
    assert [row["cost"] for row in rows] == pytest.approx([10.0 * number - 4.5 for number in range(1, POINTS + 1)])
    assert {(row["preset"], row["method"]) for row in rows} == {(unit.labels["preset"], unit.labels["method"])}


def test_a_training_without_records_has_no_rows() -> None:
    figure = TrainingFigure(SETTING)
    assert list(figure.rows(figure.units[0], {"curve": []})) == []
    assert not figure.claims(None)  # type: ignore[arg-type]
