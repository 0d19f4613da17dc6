"""Trainings, their held-out tests, and learners' settings."""

from __future__ import annotations

from dataclasses import replace

from offloadopt.reproduce.battery_d2d.setting import (
    RMAPPO,
    Point,
    Setting,
)
from offloadopt.reproduce.battery_d2d.sweeps import CapacityFigure

from toys.tiny_papers.battery_d2d import BASE, SETTING, TINY


def test_one_training_serves_all_points_unless_each_has_its_own() -> None:
    once = [unit for unit in SETTING.learned(1, "paper") if unit.labels["method"] == RMAPPO]
    assert [unit.parameters["scenario"] for unit in once] == [SETTING.at(Point("paper"))]
    assert len(once[0].parameters["tests"]) == 3
    each = Setting(replace(TINY, each_point=True), BASE)
    own = [unit for unit in each.learned(1, "paper") if unit.labels["method"] == RMAPPO]
    assert len(own) == 3
    for unit in own:
        (test,) = unit.parameters["tests"]
        assert unit.parameters["scenario"] == test["scenario"]
    capacity = [unit.labels["point"] for unit in CapacityFigure(each).units if unit.labels.get("method") == RMAPPO]
    assert set(capacity) == {Point(preset, place).name for preset in TINY.presets for place in (400.0, 500.0)}


def test_recurrent_agents_learn_from_pieces_that_fit_the_horizon() -> None:
    for horizon, chunk in ((100, 10), (5, 5), (6, 2), (7, 1)):
        assert SETTING.learner("rmappo", {"horizon": horizon})["settings"]["chunk"] == chunk
