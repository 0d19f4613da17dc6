"""Bounds at prices of the servers against the proved optimum and against enumerated options."""

from __future__ import annotations

import itertools

import numpy as np

from offloadopt import solver
from offloadopt.solvers.inference.dual_bound import bound_at_prices
from offloadopt.solvers.inference.resource_allocation import local_set_costs

from toys.inference_slots import cost_of_options, slot_of, small_inference


def test_any_prices_give_a_bound() -> None:
    problem = small_inference(users=3, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(2, seed=1)
    best = solver("exact", problem).run(problem, instances).objective
    rng = np.random.default_rng(0)
    for row in range(2):
        slot = slot_of(problem, instances, row)
        own = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 4)
        for _ in range(50):
            assert bound_at_prices(slot, own, 10.0 ** rng.uniform(-3, 1, (2, 2))).value <= best[row]


def test_the_increase_of_a_choice_bounds_every_decision_that_makes_it() -> None:
    problem = small_inference(users=2, servers=2, tasks_max=2, horizon=1, battery_j=1e6)
    instances = problem.sample(1, seed=3)
    slot = slot_of(problem, instances, 0)
    local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, 4)
    bound = bound_at_prices(slot, local_cost, np.full((2, 2), 0.3))
    every = np.array(list(itertools.product(range(-1, 3), repeat=slot.tasks)), dtype=np.int64)
    many = instances.take(np.zeros(len(every), dtype=np.int64))
    cost = cost_of_options(problem, many, [slot] * len(every), list(every))
    for j in range(slot.tasks):
        assert cost[every[:, j] == -1].min() >= bound.value + bound.failure_increase[j] - 1e-9
        for k in range(2):
            assert cost[every[:, j] == k + 1].min() >= bound.value + bound.remote_increase[j, k] - 1e-9
    for i in range(2):
        place = np.arange(slot.first_task[i], slot.first_task[i + 1])
        chosen = ((every[:, place] == 0) << np.arange(len(place))).sum(axis=1)
        for number in range(1 << len(place)):
            least = cost[chosen == number].min()
            assert least >= bound.value + bound.local_increase[i, number] - 1e-9
