"""The local search of task queues against the cost of every decision, and against the rule from which it starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.clock import Deadline
from offloadopt.core import IntArray
from offloadopt.solvers.task_queues.baselines import TaskQueuesGreedy
from offloadopt.solvers.task_queues.local_search import (
    PLANS,
    REPEATS,
    Annealing,
    TaskQueuesLocalSearch,
    greedy_decision,
)
from offloadopt.solvers.task_queues.tables import tables
from offloadopt.testing import check_solver

from toys.small_task_queues import CASES, all_costs, small_d2d


@pytest.mark.parametrize("case", ["paper", "batteries are depleted", "tight deadlines"])
def test_it_finds_the_cheapest_of_all_decisions(case: str) -> None:
    problem = small_d2d(**CASES[case])
    instances = problem.sample(2, seed=11)
    solutions = TaskQueuesLocalSearch(moves=2_000).run(problem, instances)
    least = [all_costs(problem, instances.take([row])).min() for row in range(2)]
    np.testing.assert_allclose(solutions.objective, least, rtol=1e-9)


def test_at_the_size_of_the_paper_it_is_far_below_the_rule() -> None:
    problem = offloadopt.problem("battery_d2d")
    instances = problem.sample(1, seed=999)
    solutions = TaskQueuesLocalSearch(moves=300).run(problem, instances)
    assert solutions.objective[0] < 0.5 * TaskQueuesGreedy().run(problem, instances).objective[0]


def test_runs_of_all_plans_share_the_moves_and_the_best_decision_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_d2d(**CASES["batteries are depleted"])
    instance = problem.sample(1, seed=11)
    t = tables(problem.hindsight_data(instance), 0)
    found, run = list[tuple[tuple[float, float, float], float]](), Annealing._run

    def noted(search: Annealing, device: IntArray, mode: IntArray, plan: Any, moves: int, until: Any) -> Any:
        made, cost = run(search, device, mode, plan, moves, until)
        found.append((plan, cost))
        return made, cost

    monkeypatch.setattr(Annealing, "_run", noted)
    device, mode = greedy_decision(problem, instance, Deadline())
    search = Annealing(t, device[0], mode[0], np.random.default_rng(0))
    made = search.improve(1_000, Deadline())
    assert made == pytest.approx(1_000 * t.arrives.sum(), rel=0.01)
    assert [plan for plan, _ in found[: len(PLANS)]] == list(PLANS)
    best = min(found[: len(PLANS)], key=lambda each: each[1])[0]
    assert [plan for plan, _ in found[len(PLANS) :]] == [best] * REPEATS
    assert search.cost == min(cost for _, cost in found)


def test_the_time_limit_ends_it() -> None:
    problem = offloadopt.problem("battery_d2d")
    solutions = TaskQueuesLocalSearch(time_limit_s=0.2).run(problem, problem.sample(1, seed=999))
    assert solutions.seconds[0] < 1.5
    assert 0 < solutions.details["moves"][0] < 20_000 * 400


def test_it_conforms() -> None:
    check_solver(TaskQueuesLocalSearch(moves=20), small_d2d())
