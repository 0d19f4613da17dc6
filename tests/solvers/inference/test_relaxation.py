"""The relaxation of a slot: bounds, task prices and clearing prices against the least cost of all options."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.inference.dual_bound import bound_at_prices
from offloadopt.solvers.inference.relaxation import clearing_prices, relax
from offloadopt.solvers.inference.resource_allocation import local_set_costs

from toys.inference_slots import cost_of_options, least_of_all, shares_of, slot_of, small_inference


def test_the_bound_rises_towards_the_least_cost_and_never_exceeds_it() -> None:
    problem = small_inference(users=2, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(3, seed=4)
    for row in range(3):
        slot = slot_of(problem, instances, row)
        local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 4)
        least, start = least_of_all(problem, instances, row), np.full((2, 2), 0.1)
        relaxed = relax(slot, local_cost, start, least, 1e-9 * least, Deadline())
        assert bound_at_prices(slot, local_cost, start).value <= relaxed.bound.value <= least
        assert relaxed.bound.value >= 0.9 * least
        assert (relaxed.task_price <= slot.failure_costs).all()
        assert cost_of_options(problem, instances.take([row]), [slot], [relaxed.options])[0] >= least * (1 - 1e-9)


def test_without_time_left_the_first_bound_is_returned() -> None:
    problem = small_inference(users=2, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    slot = slot_of(problem, problem.sample(1, seed=4), 0)
    local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 4)
    start = np.full((2, 2), 0.1)
    relaxed = relax(slot, local_cost, start, 1e9, 0.0, Deadline(0.0))
    assert relaxed.bound.value == bound_at_prices(slot, local_cost, start).value
    assert (relaxed.options == -1).all()


def test_clearing_prices_of_whole_tasks_give_the_servers_cost() -> None:
    problem = small_inference(users=2, servers=2, tasks_min=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(1, seed=1)
    slot = slot_of(problem, instances, 0)
    option = np.array([1, 1, 2, 1])
    fractions = (option[:, None] == np.arange(1, 3)).astype(float)
    prices, cost = clearing_prices(slot, fractions, np.zeros((2, 2)))
    assert cost == pytest.approx(cost_of_options(problem, instances, [slot], [option])[0], rel=1e-9)
    shares = shares_of(slot, option)
    for k in range(2):
        used = shares[option == k + 1].sum(axis=0)
        assert (used <= 1 + 1e-9).all()
        np.testing.assert_allclose(used[prices[k] > 0], 1.0, rtol=1e-9)  # only scarce resources have a price
