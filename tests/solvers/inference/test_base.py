"""Plans of one slot: costs and energies as the problem computes them, prices until the batteries suffice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Instances
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.solvers.inference.base import (
    instance_tasks,
    optimal_shares,
    plan_cost,
    plan_within_batteries,
    search_joule_prices,
    search_plan,
    slot_decisions,
    slot_in_joules,
    sum_by_user,
    task_energies,
)
from offloadopt.solvers.inference.resource_allocation import SlotTasks, slot_tasks

from toys.inference_slots import small_inference


def first_tasks(problem: TwinInference, instances: Instances, row: int) -> tuple[Any, Any]:
    tasks, held_j = problem.observed_tasks(problem.observe(instances, problem.reset(instances)))
    return instance_tasks(tasks, row), held_j[row]


def planner(slot: SlotTasks) -> Any:
    return search_plan(slot, np.ones(slot.tasks, dtype=np.int64), exchanges=False)


@pytest.mark.parametrize("changes", [{}, {"battery_j": 0.3}, {"server_drains": True, "battery_j": 0.5}], ids=str)
def test_cost_and_energy_of_a_plan_are_the_problems(changes: dict[str, Any]) -> None:
    problem = small_inference(users=3, servers=2, horizon=1, **changes)
    instances, rng = problem.sample(4, seed=1), np.random.default_rng(0)
    for row in range(4):
        tasks, held_j = first_tasks(problem, instances, row)
        slot, joules = (
            slot_tasks(tasks, problem.cost_weights, np.zeros(3), 0.0),
            slot_in_joules(tasks, problem.cost_weights),
        )
        option = rng.integers(-1, 3, slot.tasks)
        shares = optimal_shares(slot, option)
        rows = (slot.first_task, slot.local, slot.remote, joules.local, joules.remote, slot.second_price, slot.failure)
        one = instances.take([row])
        outcome = problem.evaluate(one, slot_decisions(problem, [(slot, option, shares)]))
        assert plan_cost(option, shares, *rows, held_j) == pytest.approx(outcome.cost[0], rel=1e-9)
        energies = sum_by_user(slot, task_energies(option, shares, joules.local, joules.remote))
        if (energies <= held_j).all():
            assert energies.sum() == pytest.approx(outcome.metrics["drained_j"][0], rel=1e-9)


def test_a_plan_within_batteries_takes_no_more_than_they_hold_and_costs_less_than_one_that_fails() -> None:
    problem = small_inference(users=3, servers=2, horizon=1, battery_j=0.6, start_share=0.5)
    instances = problem.sample(4, seed=2)
    cheaper = 0
    for row in range(4):
        tasks, held_j = first_tasks(problem, instances, row)
        one = instances.take([row])
        unpriced = slot_tasks(tasks, problem.cost_weights, np.zeros(3), 0.0)
        costs = [
            problem.evaluate(one, slot_decisions(problem, [plan])).cost[0]
            for plan in (
                plan_within_batteries(tasks, problem.cost_weights, np.zeros(3), held_j, planner),
                (unpriced, *planner(unpriced)),
            )
        ]
        assert costs[0] <= costs[1] * (1 + 1e-9)
        cheaper += costs[0] < 0.99 * costs[1]
    assert cheaper > 0


def test_the_search_of_prices_ends_close_to_the_least_that_fits() -> None:
    tried: list[Any] = []

    def drained_energy(price: Any) -> Any:  # user 0 needs a price of 3, user 1 none
        tried.append(price.copy())
        return np.array([3.0 / max(price[0], 1e-9), 0.5])

    search_joule_prices(drained_energy, np.zeros(2), np.ones(2), 0.01, 1.02, Deadline())
    fits = [price[0] for price in tried if 3.0 / max(price[0], 1e-9) <= 1.0]
    assert 3.0 <= min(fits) <= 3.0 * 1.02
    assert all(price[1] == 0.0 for price in tried)


def test_tasks_of_a_full_server_may_still_be_in_time_one_by_one() -> None:
    problem = small_inference(users=6, servers=1, tasks_min=4, horizon=1, battery_j=1e6, limit_s=0.4)
    tasks, _ = first_tasks(problem, problem.sample(1, seed=0), 0)
    slot = slot_tasks(tasks, problem.cost_weights, np.zeros(6), 0.0)
    shares = optimal_shares(slot, np.ones(slot.tasks, dtype=np.int64))
    assert (shares.sum(axis=0) <= 1 + 1e-9).all()
    assert (shares == 0).any()
