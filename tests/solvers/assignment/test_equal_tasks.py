"""Tasks of equal load: positions on servers against enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.assignment.equal_tasks import assign_to_positions, useful_positions
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.assignment.local_search import assignment_cost

from toys.priced_costs import enumerate_optimum, random_costs


@pytest.mark.parametrize("seed", range(5))
def test_positions_equal_enumeration_and_prices(seed: int) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=2, equal=True)
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    found = assign_to_positions(cost, load[0], capacity, useful_positions(cost, load[0], capacity))
    nothing = np.zeros(2)
    assert assignment_cost(cost, load, capacity, nothing, found) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-12
    )
    by_prices = Exact(relative_gap=0)._prove_by_prices(cost, load, capacity, None, 0, Deadline())
    assert assignment_cost(cost, load, capacity, nothing, by_prices.assignment) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-9
    )


def test_a_position_is_useful_as_long_as_its_marginal_cost_is_below_the_largest_saving() -> None:
    cost = np.array([[10.0, 1.0, 12.0], [10.0, 4.0, 12.0], [10.0, 9.0, np.inf], [10.0, 9.0, 12.0]])
    # Marginal costs s^2 (2k - 1) / F = 2, 6, 10, ... on server 1, whose largest saving is 9; none on server 2.
    counts = useful_positions(cost, 2.0, np.array([2.0, 2.0]))
    assert counts[0] == 3  # the boundary case is kept
    assert counts[1] <= 1
    found = assign_to_positions(cost, 2.0, np.array([2.0, 2.0]), counts)
    assert found.tolist() == [1, 0, 0, 0] or found.tolist() == [1, 1, 0, 0]  # 1 + 2 against 10, then 4 + 6 against 10


def test_missing_links_are_never_assigned() -> None:
    cost = np.array([[5.0, np.inf], [5.0, 0.1]])
    found = assign_to_positions(cost, 1.0, np.array([1.0]), np.array([2]))
    assert found.tolist() == [0, 1]
