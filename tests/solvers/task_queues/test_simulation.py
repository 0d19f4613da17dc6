"""The simulation of task queues against the problem's own evaluation, over random changes of random decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Instances
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.solvers.task_queues.simulation import Course, change_of, course, keep_change, room, total_cost
from offloadopt.solvers.task_queues.tables import tables

from toys.small_task_queues import CASES, NEARLY_EMPTY, small_d2d

SCENARIOS: dict[str, dict[str, Any]] = {**CASES, "nearly empty": NEARLY_EMPTY}


def evaluated(problem: BatteryD2D, instance: Instances, made: Course) -> float:
    device = np.maximum(made.device, 0)[None]
    decisions = problem.choose(problem.target(instance, device), made.mode[None])
    return float(problem.evaluate(instance, decisions).cost[0])


def check_changes(problem: BatteryD2D, instance: Instances, changes: int) -> None:
    """Change one or two tasks of the same or of different slots, again and again."""
    t, rng = tables(problem.hindsight_data(instance), 0), np.random.default_rng(5)
    shape, devices = t.arrives.shape, problem.devices
    made = course(t, rng.integers(0, devices, shape), rng.integers(0, problem.modes, shape))
    space, tasks = room(t), np.argwhere(t.arrives)
    assert total_cost(made) == pytest.approx(evaluated(problem, instance, made), rel=1e-12)
    for _ in range(changes):
        some = tasks[rng.integers(0, len(tasks), rng.integers(1, 3))]
        for slot, agent in some:
            made.device[slot, agent], made.mode[slot, agent] = rng.integers(devices), rng.integers(problem.modes)
        first, last, before = int(some[:, 0].min()), int(some[:, 0].max()), total_cost(made)
        change = change_of(t, made, space, first, last)
        assert total_cost(made) == before
        keep_change(t, made, space, first, last)
        cost = evaluated(problem, instance, made)
        assert total_cost(made) == pytest.approx(cost, rel=1e-12)
        assert before + change == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("name", SCENARIOS)
def test_changes_cost_what_the_problem_says(name: str) -> None:
    problem = small_d2d(**{**SCENARIOS[name], "horizon": 6, "users": 3})
    check_changes(problem, problem.sample(1, seed=3), 20)


def test_also_over_many_slots_in_which_batteries_end() -> None:
    problem = offloadopt.problem("battery_d2d", horizon=40, battery_j=120.0)
    assert isinstance(problem, BatteryD2D)
    check_changes(problem, problem.sample(1, seed=3), 15)
