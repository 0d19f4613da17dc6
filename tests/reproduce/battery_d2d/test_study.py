"""Trainings, their held-out tests, and learners' settings."""

from __future__ import annotations

from offloadopt.reproduce.battery_d2d.study import MADDPG, RMAPPO, BatteryD2DStudy, Point
from offloadopt.reproduce.battery_d2d.sweeps import capacity_figure

from toys.tiny_papers.battery_d2d import BASE, STUDY, TINY


def test_one_training_serves_all_points_unless_each_has_its_own() -> None:
    (once,) = STUDY.learned(1, "paper", methods=[RMAPPO])
    assert once.parameters["scenario"] == STUDY.at(Point("paper"))
    assert len(once.parameters["tests"]) == 3
    each = BatteryD2DStudy(TINY.replace(each_point=True), BASE)
    own = each.learned(1, "paper", each.points("paper"), [RMAPPO])
    assert len(own) == 3
    for unit in own:
        (test,) = unit.parameters["tests"]
        assert unit.parameters["scenario"] == test["scenario"]
    capacity = [unit.labels["point"] for unit in capacity_figure(each).units if unit.labels.get("method") == RMAPPO]
    assert set(capacity) == {Point(preset, place).name for preset in TINY.presets for place in (400.0, 500.0)}


def test_recurrent_agents_learn_from_pieces_that_fit_the_horizon() -> None:
    for horizon, chunk in ((100, 10), (5, 5), (6, 2), (7, 1)):
        assert STUDY.fitting("rmappo", {"horizon": horizon})["settings"]["chunk"] == chunk


def test_in_windows_more_environments_learn_side_by_side() -> None:
    learners = [STUDY.agents(RMAPPO, STUDY.window, window) for window in (False, True)]
    assert [learner["settings"]["num_envs"] for learner in learners] == [2, TINY.window_environments]


def test_without_rmappo_no_window_is_trained_in() -> None:
    assert BatteryD2DStudy(TINY.replace(steps={MADDPG: 60}), BASE).trained_in_windows(1) == []
    (unit,) = STUDY.trained_in_windows(1)
    (test,) = unit.parameters["tests"]
    assert test["most_tasks"] == TINY.window_tasks
    assert test["scenario"] == unit.parameters["scenario"] == STUDY.window
