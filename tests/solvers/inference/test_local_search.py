"""Local optima of a slot: no move or exchange is cheaper, costs are the problem's, infeasible starts are left."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt import clock
from offloadopt.clock import Deadline
from offloadopt.solvers.inference.local_search import local_search
from offloadopt.solvers.inference.resource_allocation import local_set_costs

from toys.inference_slots import cost_of_options, shares_of, slot_of, small_inference


def test_a_search_leaves_starts_that_cannot_be_done() -> None:
    problem = small_inference(users=6, servers=1, tasks_min=4, horizon=1, battery_j=1e6, limit_s=0.4)
    instances = problem.sample(3, seed=0)
    for row in range(3):
        slot = slot_of(problem, instances, row)
        own = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 16)
        for where in (0, 1):
            start = np.full(slot.tasks, where)
            assert shares_of(slot, start).min() == 0.0  # together they cannot be in time
            option, cost, _ = local_search(slot, own, start, Deadline())
            assert cost < slot.failure * slot.tasks
            assert cost == pytest.approx(cost_of_options(problem, instances.take([row]), [slot], [option])[0], rel=1e-9)


@pytest.mark.parametrize("swaps", [False, True])
def test_no_move_and_no_exchange_of_a_local_optimum_costs_less(swaps: bool) -> None:
    problem = small_inference(users=4, servers=2, horizon=1, battery_j=1e6, limit_s=0.6)
    instances = problem.sample(1, seed=1)
    slot = slot_of(problem, instances, 0)
    local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 16)
    option = np.arange(slot.tasks) % 3
    start = cost_of_options(problem, instances, [slot], [option])[0]
    option, cost, _ = local_search(slot, local_cost, option, Deadline(), swaps)
    assert cost < start
    near = []
    for j in range(slot.tasks):
        near += [np.where(np.arange(slot.tasks) == j, other, option) for other in range(-1, 3)]
        if swaps:
            for k in np.flatnonzero((option > 0) & (option[j] > 0)):
                exchanged = option.copy()
                exchanged[[j, k]] = option[[k, j]]
                near.append(exchanged)
    many = instances.take(np.zeros(len(near), dtype=np.int64))
    assert (cost_of_options(problem, many, [slot] * len(near), near) >= cost * (1 - 1e-9)).all()


def test_a_search_in_many_calls_ends_where_one_call_does(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_inference(users=4, servers=2, horizon=1, battery_j=1e6, limit_s=0.6)
    slot = slot_of(problem, problem.sample(1, seed=1), 0)
    local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 16)
    start = np.arange(slot.tasks) % 3
    whole, cost, _ = local_search(slot, local_cost, start, Deadline())
    monkeypatch.setattr(clock, "LOOK_S", 0.0)
    option, same, _ = local_search(slot, local_cost, start, Deadline())
    assert option.tolist() == whole.tolist()
    assert same == cost
