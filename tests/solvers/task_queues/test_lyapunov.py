"""Drift plus penalty of task queues: energy prices where batteries are small, the greedy rule where v is large."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.solvers.task_queues.lyapunov import TaskQueuesLyapunov


def make(**changes: Any) -> BatteryD2D:
    problem = offloadopt.problem("battery_d2d", **{"users": 3, "servers": 2, "horizon": 6, **changes})
    assert isinstance(problem, BatteryD2D)
    return problem


class ShortlyTuned(TaskQueuesLyapunov):
    """Tuned on few instances."""

    tuning_decisions = 600


def test_where_energy_is_short_its_price_pays() -> None:
    problem = make(horizon=30, battery_j=150.0)
    instances = problem.sample(20, 0)
    solutions = ShortlyTuned().run(problem, instances)
    greedy = offloadopt.solver("greedy", problem).run(problem, instances)
    assert solutions.objective.mean() < 0.8 * greedy.objective.mean()
    assert (solutions.details["v"] == ShortlyTuned().tuned(problem)[0]).all()
    # Without a price of energy the two are the same.
    free = TaskQueuesLyapunov(v=1e12).run(problem, instances)
    np.testing.assert_allclose(free.objective, greedy.objective, rtol=1e-6)


def test_the_smaller_v_the_less_energy_is_used() -> None:
    problem = make(horizon=20, battery_j=200.0)
    instances = problem.sample(20, 1)
    used = [
        problem.evaluate(instances, TaskQueuesLyapunov(v=v).run(problem, instances).decisions)
        .metrics["energy_j"]
        .mean()
        for v in (0.1, 10.0, 1e6)
    ]
    assert used[0] < used[-1]


def test_v_must_be_positive() -> None:
    with pytest.raises(InvalidInput, match="v = 0"):
        TaskQueuesLyapunov(v=0)


def test_other_problems_are_refused() -> None:
    other = offloadopt.problem("carbon_mimo", horizon=2)
    with pytest.raises(Unsupported, match="'all-edge' does not serve problem 'carbon_mimo'; it needs the structure"):
        offloadopt.solver("all-edge").run(other, other.sample(1, 0))
