"""Identical servers are merged, bounded and split again."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.assignment.identical_servers import groups_of_servers, merge_servers, split_servers
from offloadopt.solvers.assignment.local_search import assignment_cost
from offloadopt.structures.assignment import PricedAssignment

from toys.priced_costs import enumerate_optimum, random_costs


@pytest.mark.parametrize("seed", range(4))
def test_identical_servers_are_merged_without_loss(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = random_costs(rng, tasks=7, servers=2)
    columns = [0, 1, 2, 1]  # servers 1 and 3 are reached at the same cost, with capacities of their own
    costs = PricedAssignment(drawn.option_cost[..., columns], drawn.load, rng.uniform(0.5, 4.0, (1, 3)))
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    group = groups_of_servers(cost)
    np.testing.assert_array_equal(group, [0, 1, 0])
    merged_cost, merged_capacity = merge_servers(cost, capacity, group)
    best = enumerate_optimum(costs)[0]
    assert enumerate_optimum(PricedAssignment(merged_cost[None], load[None], merged_capacity[None]))[0] <= best
    proof = Exact(relative_gap=0).prove(cost, load, capacity, deadline=Deadline())
    assert assignment_cost(cost, load, capacity, np.zeros(3), proof.assignment) == pytest.approx(best, rel=1e-9)
    assert proof.bound <= best * (1 + 1e-12)
    spread_out = split_servers(np.array([1, 1, 2, 0, 1, 2, 0]), load, capacity, group)
    assert set(spread_out[[0, 1, 4]]) <= {1, 3}
    np.testing.assert_array_equal(spread_out[[2, 3, 5, 6]], [2, 0, 2, 0])


def test_groups_are_numbered_in_the_order_of_their_first_servers() -> None:
    rng = np.random.default_rng(0)
    columns = rng.exponential(size=(120, 3))
    cost = np.column_stack([np.ones(120), columns[:, [2, 0, 2, 1, 0]]])
    np.testing.assert_array_equal(groups_of_servers(cost), [0, 1, 0, 2, 1])
    cost[110, 3] += 1.0  # differs beyond the first tasks that are compared
    np.testing.assert_array_equal(groups_of_servers(cost), [0, 1, 2, 3, 1])


def test_a_split_balances_load_by_capacity() -> None:
    load, capacity = np.array([4.0, 2.0, 1.0, 1.0]), np.array([1.0, 3.0])
    option = split_servers(np.array([1, 1, 1, 0]), load, capacity, np.array([0, 0]))
    assert option.tolist() == [2, 1, 2, 0] or option.tolist() == [2, 2, 1, 0]
    assert option[3] == 0
