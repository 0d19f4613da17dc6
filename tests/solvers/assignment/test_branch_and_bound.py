"""Branch and bound against enumeration, with and without its node limit."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.solvers.assignment.branch_and_bound import branch_and_bound
from offloadopt.solvers.assignment.dual_bound import find_prices
from offloadopt.solvers.assignment.local_search import assignment_cost
from offloadopt.structures.assignment import PricedAssignment

from toys.priced_costs import enumerate_optimum, random_costs


@pytest.mark.parametrize("seed", range(6))
def test_it_proves_the_enumerated_optimum(seed: int) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=3)
    best = enumerate_optimum(costs)[0]
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    start = np.zeros(7, dtype=np.int64)
    found, proved, nodes = branch_and_bound(*arguments, find_prices(*arguments[:3]), start, 1e-12, 1e-6, 10_000)
    assert assignment_cost(*arguments, found) == pytest.approx(best, rel=1e-12)
    assert proved == pytest.approx(best, rel=1e-9)
    assert nodes < 10_000
    assert not start.any()


def test_excluded_options_are_not_used() -> None:
    costs = random_costs(np.random.default_rng(0), tasks=6, servers=2)
    cost = costs.option_cost[0].copy()
    cost[:3, 0] = cost[3:, 2] = np.inf
    excluded = PricedAssignment(cost[None], costs.load, costs.capacity)
    arguments = cost, costs.load[0], costs.capacity[0], np.zeros(2)
    start = np.array([1, 1, 1, 0, 0, 0])
    found, proved, _ = branch_and_bound(*arguments, np.zeros(2), start, 1e-12, 1e-6, 10_000)
    assert np.isfinite(cost[np.arange(6), found]).all()
    best = enumerate_optimum(excluded)[0]
    assert assignment_cost(*arguments, found) == pytest.approx(best, rel=1e-12)
    assert proved == pytest.approx(best, rel=1e-9)


def test_a_node_limit_leaves_a_valid_bound() -> None:
    costs = random_costs(np.random.default_rng(1), tasks=9, servers=3)
    best = enumerate_optimum(costs)[0]
    nothing = np.zeros(3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], nothing
    v = find_prices(*arguments[:3])
    found, proved, nodes = branch_and_bound(*arguments, v, np.zeros(9, dtype=np.int64), 1e-12, 1e-6, 2)
    assert nodes > 2
    assert proved <= best <= assignment_cost(*arguments, found) * (1 + 1e-12)
