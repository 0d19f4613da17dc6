"""The offline optimum of task queues against the cost of every decision, as the problem computes it."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Instances, Status
from offloadopt.solvers.task_queues import exact
from offloadopt.solvers.task_queues.exact import TaskQueuesExact
from offloadopt.testing import check_solver

from toys.small_task_queues import CASES, NEARLY_EMPTY, all_costs, small_d2d


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_cheapest_of_all_decisions(case: str) -> None:
    problem = small_d2d(**CASES[case])
    instances = problem.sample(3, seed=11)
    solutions = TaskQueuesExact(relative_gap=1e-6).run(problem, instances)
    least = np.array([all_costs(problem, instances.take([row])).min() for row in range(3)])
    np.testing.assert_allclose(solutions.objective, least, rtol=1e-9)
    assert (solutions.bound <= least * (1 + 1e-9)).all()
    assert (solutions.status == Status.OPTIMAL).all(), solutions.gap


def test_where_senders_batteries_are_depleted_the_bound_holds() -> None:
    problem = small_d2d(**NEARLY_EMPTY)
    instances = problem.sample(3, seed=11)
    solutions = TaskQueuesExact(time_limit_s=0.5).run(problem, instances)
    least = np.array([all_costs(problem, instances.take([row])).min() for row in range(3)])
    assert (solutions.bound <= least * (1 + 1e-9)).all()
    assert (solutions.objective >= least * (1 - 1e-9)).all()


def test_a_time_limit_leaves_a_bound() -> None:
    problem = offloadopt.problem("battery_d2d", users=4, horizon=6)
    solutions = TaskQueuesExact(time_limit_s=0.2).run(problem, problem.sample(1, 0))
    assert 0.0 <= solutions.bound[0] <= solutions.objective[0]
    assert Status(int(solutions.status[0])) in (Status.BOUNDED, Status.OPTIMAL)


def test_it_conforms() -> None:
    check_solver(TaskQueuesExact(), small_d2d())
    check_solver(TaskQueuesExact(), small_d2d(dvfs=False))


def test_the_limit_of_an_instance_is_60_s_unless_set() -> None:
    assert TaskQueuesExact().time_limit_s == 60.0
    assert TaskQueuesExact(time_limit_s=None).time_limit_s is None


def test_costs_of_ten_billions_leave_the_bound_true_without_a_good_incumbent() -> None:
    path = Path(__file__).parents[2] / "known_values" / "false_proofs" / "battery_costs_of_1e10.json"
    case = json.loads(path.read_text(encoding="utf-8"))
    problem = offloadopt.problem("battery_d2d", **case["scenario"])
    instances = Instances({name: np.array([values]) for name, values in case["instance"].items()})
    best = offloadopt.solve(problem, instances, "exhaustive").objective[0]
    with patch.object(exact, "MOVES", (0, 0)):
        found = offloadopt.solve(problem, instances, "exact")
    assert 0.99 * best <= found.bound[0] <= best * (1 + 1e-9)
