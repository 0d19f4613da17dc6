"""The MILP against enumeration, with identical tasks, and at its deadline."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.assignment.core_milp import AssignmentMilp, groups_of_tasks
from offloadopt.solvers.assignment.dual_bound import find_prices, price_bound
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.assignment.local_search import assignment_cost
from offloadopt.structures.assignment import PricedAssignment

from toys.priced_costs import enumerate_optimum, random_costs


@pytest.mark.parametrize("seed", range(3))
def test_it_proves_the_enumerated_optimum(seed: int) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=7, servers=3)
    best = enumerate_optimum(costs)[0]
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    v, start = find_prices(*arguments[:3]), np.zeros(7, dtype=np.int64)
    core = AssignmentMilp(arguments, v, start, np.arange(7), 1e-9)
    bound = core.prove(Deadline(60.0))
    assert assignment_cost(*arguments, core.assignment) == pytest.approx(best, rel=1e-9)
    assert best * (1 - 1e-6) <= bound <= best * (1 + 1e-12)


def test_at_the_deadline_the_incumbent_and_the_dual_bound_remain() -> None:
    costs = random_costs(np.random.default_rng(0), tasks=7, servers=3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    v, start = find_prices(*arguments[:3]), np.ones(7, dtype=np.int64)
    core = AssignmentMilp(arguments, v, start, np.arange(7), 1e-9)
    assert core.prove(Deadline(0.0)) == price_bound(*arguments, v)
    np.testing.assert_array_equal(core.assignment, start)


def test_tasks_of_equal_load_and_costs_form_a_group() -> None:
    cost, load = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 3.0]]), np.array([1.0, 1.0, 2.0, 1.0])
    group = groups_of_tasks(cost, load)
    assert group[0] == group[1]
    assert len(set(group.tolist())) == 3


def test_identical_tasks_are_counted() -> None:
    rng = np.random.default_rng(4)
    kinds = random_costs(rng, tasks=3, servers=2)
    rows = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    costs = PricedAssignment(kinds.option_cost[:, rows], kinds.load[:, rows], kinds.capacity)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0]
    alike = groups_of_tasks(*arguments[:2])
    assert len(np.unique(alike)) == 3
    v = find_prices(*arguments)
    start = np.zeros(8, dtype=np.int64)
    core = AssignmentMilp((*arguments, np.zeros(2)), v, start, alike, 1e-9)
    core.prove(Deadline(60.0))
    assert assignment_cost(*arguments, np.zeros(2), core.assignment) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-9
    )
    proof = Exact(relative_gap=0).prove(*arguments, deadline=Deadline())
    assert assignment_cost(*arguments, np.zeros(2), proof.assignment) == pytest.approx(
        enumerate_optimum(costs)[0], rel=1e-9
    )
