"""The dual bound is valid at any prices, and what it excludes is in no better assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.core import Instances, Observation
from offloadopt.solvers.shared_servers import dual_bound
from offloadopt.solvers.shared_servers.core_milp import priced_mode_costs
from offloadopt.solvers.shared_servers.dual_bound import (
    bound_at,
    maximise_bound,
    rounding_margin,
    servers_of_bound,
    undecided_options,
)

from toys.shared_slots import loose_bound, one_slot, slot_tasks


def test_the_bound_is_below_every_assignment_for_any_prices() -> None:
    problem = one_slot(4, 2, time_weight=0.9, cpu_server_hz=2e9)
    instance = problem.sample(1, seed=3)
    slot = slot_tasks(problem, instance)
    every = np.array(list(itertools.product(range(5), repeat=4)))
    least = problem.costs(Observation(instance)).cost(every[None])[0].min()
    rng = np.random.default_rng(4)
    best = -np.inf
    for _ in range(200):
        price = 10.0 ** rng.uniform(-12, -8, (2, 4))
        bound = bound_at(slot, rng.uniform(0.0, 1.0, 4), price, Deadline())
        best = max(best, bound.value)
        assert bound.value <= least * (1 + 1e-13)
        climbed = maximise_bound(slot, bound, least, 0.0, Deadline())
        assert bound.value <= climbed.value <= least * (1 + 1e-13)
    assert climbed.value > best


def test_checks_of_the_deadline_change_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = one_slot(12, 3, time_weight=0.9, cpu_server_hz=2e9)
    slot = slot_tasks(problem, problem.sample(1, seed=3))
    task_price, price = np.linspace(0.2, 0.9, 12), np.full((3, 12), 1e-10)
    found = []
    for tasks in (1, dual_bound.BLOCK_TASKS):
        monkeypatch.setattr(dual_bound, "BLOCK_TASKS", tasks)
        bound = bound_at(slot, task_price, price, Deadline())
        found.append(maximise_bound(slot, bound, 12.0, 1e-6, Deadline()))
    assert found[0].value == found[1].value
    np.testing.assert_array_equal(found[0].cpu_price, found[1].cpu_price)
    whole = bound_at(slot, task_price, price, Deadline(0.0))
    monkeypatch.setattr(dual_bound, "BLOCK_TASKS", 1)
    early = bound_at(slot, task_price, price, Deadline(0.0))
    assert (early.terms <= whole.terms + 1e-5).all()  # up to the tolerance of the prices
    assert np.isneginf(early.priced_cost).all()
    assert whole.value - 0.3 < early.value < whole.value
    assert bound_at(slot, task_price, price, Deadline()).value == whole.value


@pytest.mark.parametrize("time_weight", [0.1, 0.7, 0.9])
def test_nothing_that_a_better_assignment_uses_is_fixed_away(time_weight: float) -> None:
    problem = one_slot(4, 2, time_weight=time_weight, cpu_server_hz=3e9)
    fixed = 0
    for seed in range(10):
        instance = problem.sample(1, seed=seed)
        bound, every, cost = loose_bound(problem, instance, seed)
        priced_cost = priced_mode_costs(problem.splitting(instance).take(0), bound.cpu_price)
        for upper in np.quantile(cost, [0.0, 0.01, 0.1]):
            kept = undecided_options(bound, priced_cost, float(upper) * (1 + 1e-12))
            fixed += np.sum(~kept)
            for assignment in every[cost <= upper]:
                site = (assignment - 1) % 2
                for i in np.flatnonzero(assignment):
                    number = np.sum((assignment > 0) & (site == site[i]))
                    assert kept[int(assignment[i] > 2), i, site[i], number - 1]
    assert fixed > 100


def test_the_rounded_dual_solution_uses_servers_that_exist_and_leaves_tasks_without_links_local() -> None:
    problem = one_slot(6, 2, time_weight=0.9)
    instances = problem.sample(1, seed=2)
    position = np.array(instances["position_m"])
    position[0, 3] = 1e95
    instance = Instances({**instances, "position_m": position})
    slot = slot_tasks(problem, instance)
    bound = bound_at(slot, np.full(6, 0.9), np.full((2, 6), 1e-10), Deadline())
    server = servers_of_bound(bound)
    assert set(server.tolist()) <= {-1, 0, 1}
    assert server[3] == -1
    assert (server >= 0).any()
    assert 0.0 < rounding_margin(slot, bound) < 1e-9
