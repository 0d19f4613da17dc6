"""Measurements are the problem's own numbers on the same instances."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d import BatteryD2D, BatteryD2DScenario
from offloadopt.reproduce.battery_d2d.measurements import MEASURE, TERMS

from toys.tiny_papers.battery_d2d import STUDY


def test_averages_are_the_problems_own_on_the_same_instances() -> None:
    scenario = STUDY.scenario("paper", disconnect_chance=0.0, task_chance=1.0)
    found = MEASURE.apply_solvers(scenario, {"all": {"name": "all-edge", "options": {"mode": 0}}}, 4, 7)["all"]
    problem = BatteryD2D(BatteryD2DScenario(**scenario))
    instances = problem.sample(4, 7)
    # The only edge device is the last of three targets.
    outcome = problem.evaluate(instances, problem.choose(np.full((4, 6, 2), 2), np.zeros((4, 6, 2), dtype=np.int64)))
    total = {name: values.sum() for name, values in outcome.metrics.items()}
    assert found["cost"] == pytest.approx(outcome.cost.mean())
    assert sum(found[name] for name in TERMS) == pytest.approx(found["cost"])
    assert found["failed"] == pytest.approx(total["failures"] / (4 * 6 * 2))
    assert found["delay_2_s"] == pytest.approx(total["delay_2_s"] / total["finished_2"])
    assert found["finished_j"] == pytest.approx(total["energy_j"] / (48 - total["failures"]))
    seconds = 1.0 / (total["degradation"] / (4 * 3 * 6 * 1.0))  # lives of three batteries in four episodes of 6 s
    assert found["life_years"] == pytest.approx(seconds / 86400 / 365.25)
    assert found["worn_years"] == pytest.approx(found["life_years"] / 5)


def test_what_has_no_denominator_is_left_out() -> None:
    scenario = STUDY.scenario("paper", task_chance=0.0)
    found = MEASURE.apply_solvers(scenario, {"all": {"name": "all-edge", "options": {}}}, 2, 7)["all"]
    assert found["cost"] == 0.0
    assert {"failed", "delay_1_s", "finished_j", "life_years", "worn_years"}.isdisjoint(found)


def test_windows_are_the_first_that_have_few_enough_tasks() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**STUDY.scenario("paper")))
    windows = MEASURE.draw(problem, 5, 3, most_tasks=4)
    tasks = windows["arrives"].sum(axis=(1, 2))
    assert windows.count == 5
    assert (tasks <= 4).all()
    many = problem.sample(200, 3)
    first = np.flatnonzero(many["arrives"].sum(axis=(1, 2)) <= 4)[:5]
    np.testing.assert_array_equal(windows["cycles"], many["cycles"][first])
    with pytest.raises(InvalidInput, match="most_tasks = -1"):
        MEASURE.draw(problem, 1, 3, most_tasks=-1)


def test_a_curve_counts_decisions_of_agents_and_costs_of_the_fleet() -> None:
    problem = BatteryD2D(BatteryD2DScenario(**STUDY.scenario("paper")))

    def curve(learner: str, recorded: list[dict[str, float]]) -> list[dict[str, float]]:
        return MEASURE.learning(problem, {"name": learner}, recorded)["curve"]

    step = {"step": 10, "train/reward": -2.0, "episode/cost": 2.0}
    assert curve("ppo", [step, {"step": 20, "train/imitation_error": 1.0}]) == [{"step": 10, "cost": 24.0}]
    recorded = {"step": 10, "episode/cost": 0.4, "episode/objective": 5.0, "episode/tasks": 3.0}
    assert curve("maddpg", [recorded]) == [{"step": 10, "cost": 5.0}]
    # Slots of two episodes of six, and what is left of a third; a step of a joint learner is a slot of two agents.
    slots = [{"step": 4 * number, "train/reward": -float(number % 6 == 0) * number} for number in range(1, 15)]
    assert curve("ppo-sb3", slots) == [{"step": 48, "cost": 6.0}, {"step": 96, "cost": 12.0}]
    assert curve("dqn-sb3", slots) == [{"step": 24, "cost": 6.0}, {"step": 48, "cost": 12.0}]
