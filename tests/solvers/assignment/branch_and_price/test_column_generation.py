"""Bounds of prices of tasks against enumeration and against the bound of prices of servers."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.assignment.branch_and_price.column_generation import (
    ColumnGeneration,
    groups_of_columns,
    prices_of_tasks,
    set_bounds,
    task_price_bound,
)
from offloadopt.solvers.assignment.core_milp import CoreCosts
from offloadopt.solvers.assignment.dual_bound import find_prices, price_bound
from offloadopt.solvers.assignment.local_search import assignment_cost

from toys.priced_costs import enumerate_optimum, random_costs


def core_of(seed: int, *, identical: bool = False) -> tuple[CoreCosts, float]:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=3)
    if identical:
        costs.option_cost[0, :, 2] = costs.option_cost[0, :, 1]
        costs.capacity[0, 1] = costs.capacity[0, 0]
    return (costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)), float(enumerate_optimum(costs)[0])


@pytest.mark.parametrize("identical", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_bound_lies_between_that_of_servers_prices_and_the_optimum(seed: int, identical: bool) -> None:
    core, best = core_of(seed, identical=identical)
    v = find_prices(*core[:3])
    start = np.zeros(7, dtype=np.int64)
    search = ColumnGeneration(core, prices_of_tasks(core, v), start, float(assignment_cost(*core, start)), [])
    found = search.search(0.0, 1e-9, Deadline())
    assert price_bound(*core, v) - 1e-9 <= found.bound <= best + 1e-12
    assert found.upper >= best - 1e-12
    assert found.upper == pytest.approx(assignment_cost(*core, found.assignment), rel=1e-12)
    assert found.upper - found.bound <= 0.05 * best  # the linear programme is nearly integral


def test_any_prices_give_a_bound() -> None:
    core, best = core_of(0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        price = rng.uniform(-1.0, 4.0, 7)
        bound, sets = task_price_bound(core, price, 0.0, Deadline())
        assert bound <= best
        assert len(sets) == 3
        least = np.minimum(price, core[0][:, 0]).sum() + set_bounds(core, price).sum()
        assert least == pytest.approx(bound, rel=1e-12)


def test_without_any_set_the_tasks_stay_local() -> None:
    core, _ = core_of(2)
    nothing = np.zeros(7, dtype=np.int64)
    only_local = np.column_stack([core[0][:, 0], np.full((7, 3), np.inf)])
    search = ColumnGeneration((only_local, *core[1:]), only_local[:, 0], nothing, 2.0 * only_local[:, 0].sum(), [])
    assert search.search(0.0, 1e-9, Deadline()).upper == pytest.approx(only_local[:, 0].sum())


def test_identical_servers_are_one_group() -> None:
    core, _ = core_of(1, identical=True)
    first, size, group = groups_of_columns(core)
    assert sorted(size) == [1, 2]
    assert group[0] == group[1] != group[2]
    assert (group[first] == np.arange(2)).all()
