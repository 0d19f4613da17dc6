"""Enumeration of sets, task prices and the set-partitioning MILP against exhaustive enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.inference.dual_bound import bound_at_prices
from offloadopt.solvers.inference.exact import InferenceExact
from offloadopt.solvers.inference.resource_allocation import local_set_costs, share_server
from offloadopt.solvers.inference.set_partitioning import (
    SETS_PER_CALL,
    SetEnumeration,
    SetPartitioningMilp,
    TaskSets,
    improve_task_prices,
    options_of_solution,
)

from toys.inference_slots import least_of_all, slot_of, small_inference


def test_a_slot_with_too_many_sets_to_enumerate_in_time_still_has_a_bound() -> None:
    problem = small_inference(users=8, servers=3, horizon=1, battery_j=1e6)
    slot = slot_of(problem, problem.sample(1, seed=4), 0)
    own = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 16)
    reference, task_price = bound_at_prices(slot, own, np.full((3, 2), 0.5)), np.full(slot.tasks, 0.6)
    unlimited, slack = np.zeros(3), 0.02
    full = SetEnumeration(slot, own, reference, Deadline()).sets_within(task_price, unlimited, slack)
    assert full is not None
    assert SetEnumeration(slot, own, reference, Deadline(0.0)).sets_within(task_price, unlimited, slack) is None
    late, bound = InferenceExact().prove(slot, None, Deadline(0.0))  # type: ignore[attr-defined]
    _, proved = InferenceExact().prove(slot, None, Deadline())  # type: ignore[attr-defined]
    assert -np.inf < bound < proved
    assert len(late) == slot.tasks


def test_sets_found_in_many_pieces_are_those_found_at_once() -> None:
    problem = small_inference(users=3, servers=2, tasks_min=4, images_max=1, limit_s=20.0, horizon=1, battery_j=1e6)
    slot = slot_of(problem, problem.sample(1, seed=4), 0)
    own = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 16)
    reference, task_price = bound_at_prices(slot, own, np.full((2, 2), 0.5)), np.full(slot.tasks, slot.failure)
    found = SetEnumeration(slot, own, reference, Deadline()).sets_within(task_price, np.full(2, np.inf), 1e9)
    assert found is not None
    sets, (least, _) = found
    reduced_cost = sets.cost - sets.members @ task_price
    every = {}
    for k in range(2):
        for chosen in itertools.product((False, True), repeat=slot.tasks):
            members = np.flatnonzero(chosen)
            if len(members):
                rows = np.ascontiguousarray(slot.remote[members, k])
                cost = share_server(
                    len(members), rows, np.ones(len(members)), slot.second_price, slot.limit_s,
                    slot.failure * len(members), np.zeros(2), np.empty(len(members)), np.empty(len(members)),
                )  # fmt: skip
                if np.isfinite(cost):
                    every[k, chosen] = cost
        assert least[k] == pytest.approx(reduced_cost[sets.owner == k].min())
    served = sets.owner < 2
    assert {(int(k), tuple(own)) for k, own in zip(sets.owner[served], sets.members[served], strict=True)} == set(every)
    assert len(every) > SETS_PER_CALL  # so that it went on several times


def test_task_prices_and_the_milp_close_the_gap_to_the_least_cost() -> None:
    problem = small_inference(users=2, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(2, seed=2)
    for row in range(2):
        slot = slot_of(problem, instances, row)
        local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 4)
        least = least_of_all(problem, instances, row)
        reference = bound_at_prices(slot, local_cost, np.full((2, 2), 0.5))
        enumeration = SetEnumeration(slot, local_cost, reference, Deadline())
        failing, upper = np.full(slot.tasks, -1, dtype=np.int64), float(slot.failure_costs.sum())
        prices = improve_task_prices(enumeration, np.zeros(slot.tasks), failing, upper, 1e-6, Deadline())
        assert prices is not None
        assert prices.bound <= least * (1 + 1e-9) <= prices.upper * (1 + 2e-9)
        assert (prices.task_price <= slot.failure_costs).all()
        found = enumeration.sets_within(prices.task_price, np.full(2, np.inf), prices.upper - prices.bound + 1e-6)
        assert found is not None
        milp = SetPartitioningMilp(slot, found[0], prices, 1e-9 * upper)
        bound = milp.prove(Deadline())
        assert bound <= least * (1 + 1e-9)
        assert bound == pytest.approx(least, rel=1e-6)
        assert len(milp.option) == slot.tasks


def test_options_take_the_largest_sets_that_do_not_overlap() -> None:
    problem = small_inference(users=1, servers=2, tasks_min=3, tasks_max=3, horizon=1)
    slot = slot_of(problem, problem.sample(1, seed=0), 0)
    members = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
    sets = TaskSets(np.array([0, 1, 2]), members, np.ones(3))
    assert options_of_solution(slot, sets, np.array([0.9, 0.8, 0.5])).tolist() == [1, 1, 0]
    assert options_of_solution(slot, sets, np.array([0.1, 0.8, 0.5])).tolist() == [-1, 2, 2]


def test_a_union_holds_each_set_once() -> None:
    members = np.array([[True, False], [False, True]])
    first = TaskSets(np.array([0, 1]), members, np.array([1.0, 2.0]))
    second = TaskSets(np.array([1, 1]), members, np.array([3.0, 2.0]))
    both = first.union(second)
    found = {
        (int(owner), tuple(own.tolist())): cost
        for owner, own, cost in zip(both.owner, both.members, both.cost, strict=True)
    }
    assert found == {(0, (True, False)): 1.0, (1, (False, True)): 2.0, (1, (True, False)): 3.0}
