"""Exhaustive windows of `battery_d2d`: the reference of `exact`, which uses the MILP and no enumeration."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Status
from offloadopt.errors import Unsupported
from offloadopt.solvers import enumeration
from offloadopt.solvers.task_queues.exact import TaskQueuesExact
from offloadopt.solvers.task_queues.exhaustive import TaskQueuesExhaustive
from offloadopt.testing import check_solver

from toys.small_task_queues import CASES, all_costs, small_d2d

WINDOWS: dict[str, dict[str, Any]] = {
    "one user, three slots": {"users": 1, "servers": 2, "horizon": 3, "task_chance": 1.0},
    "three users without modes": {"users": 3, "dvfs": False},
    "slots shorter than deadlines": CASES["long deadlines and short slots"],
}


def test_it_is_the_least_cost_of_all_decisions() -> None:
    problem = small_d2d()
    instances = problem.sample(4, seed=3)
    found = TaskQueuesExhaustive().run(problem, instances)
    for row in range(4):
        costs = all_costs(problem, instances.take([row]))
        assert found.objective[row] == pytest.approx(costs.min(), rel=1e-12)
        assert found.details["enumerated"][row] == len(costs)
    assert (found.status == Status.OPTIMAL).all()


@pytest.mark.parametrize("window", WINDOWS)
def test_exact_agrees_with_it(window: str) -> None:
    problem = small_d2d(**WINDOWS[window])
    instances = problem.sample(2, seed=8)
    least = TaskQueuesExhaustive().run(problem, instances)
    proved = TaskQueuesExact().run(problem, instances)
    assert (least.status == Status.OPTIMAL).all()
    assert (proved.bound <= least.objective * (1 + 1e-9)).all()
    assert (least.bound <= proved.objective).all()
    np.testing.assert_allclose(proved.objective, least.objective, rtol=1e-4)


def test_windows_with_too_many_decisions_are_refused() -> None:
    message = (
        "solver 'exhaustive': 60 options for each of up to 800 tasks are 60^800 decisions; allowed: at most 2000000"
    )
    with pytest.raises(Unsupported, match=re.escape(message)):
        TaskQueuesExhaustive().require(offloadopt.problem("battery_d2d"))


def test_a_time_limit_leaves_the_best_so_far_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "ENTRIES_AT_ONCE", 1)
    problem = small_d2d()
    found = TaskQueuesExhaustive(time_limit_s=1e-9).run(problem, problem.sample(2, seed=3))
    assert (found.status == Status.FEASIBLE).all()
    assert (found.bound == -np.inf).all()


def test_it_conforms() -> None:
    check_solver(TaskQueuesExhaustive(), small_d2d())
