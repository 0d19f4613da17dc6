"""Branch and price against enumeration, with and without its limits."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.assignment.branch_and_price import column_generation
from offloadopt.solvers.assignment.branch_and_price.search import BranchAndPrice
from offloadopt.solvers.assignment.dual_bound import find_prices
from offloadopt.solvers.assignment.local_search import assignment_cost

from toys.priced_costs import enumerate_optimum, random_costs


@pytest.mark.parametrize("rounds", [1, 400])
@pytest.mark.parametrize("seed", range(5))
def test_it_proves_the_enumerated_optimum(seed: int, rounds: int) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=3)
    best = enumerate_optimum(costs)[0]
    core = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    search = BranchAndPrice(core, find_prices(*core[:3]), np.zeros(7, dtype=np.int64))
    with patch.object(column_generation, "ROUNDS", rounds):
        bound = search.search(1e-9, 10_000, Deadline())
    assert bound == pytest.approx(best, rel=1e-8)
    assert assignment_cost(*core, search.assignment) == pytest.approx(best, rel=1e-12)
    assert all(node.parent < index for index, node in enumerate(search.nodes))


def test_a_node_limit_leaves_a_valid_bound() -> None:
    costs = random_costs(np.random.default_rng(2), tasks=8, servers=3)
    core = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    search = BranchAndPrice(core, np.zeros(3), np.zeros(8, dtype=np.int64))
    with patch.object(column_generation, "ROUNDS", 1):
        bound = search.search(1e-9, 2, Deadline())
    assert np.isfinite(bound)
    assert bound <= enumerate_optimum(costs)[0]


def test_a_target_is_reached_whatever_is_found() -> None:
    costs = random_costs(np.random.default_rng(3), tasks=7, servers=3)
    best = float(enumerate_optimum(costs)[0])
    core = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    search = BranchAndPrice(core, find_prices(*core[:3]), np.zeros(7, dtype=np.int64))
    bound = search.search(1e-6, 10_000, Deadline(), target=best - 1e-4)
    assert best - 1e-4 <= bound <= best + 1e-12
