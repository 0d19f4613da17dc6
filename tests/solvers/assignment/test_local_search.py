"""Local search ends where no move, swap or chain improves, and iterated search never gets worse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import offloadopt
from offloadopt.solvers.assignment.local_search import assignment_cost, improve, perturb_and_improve, server_loads

from toys.priced_costs import random_costs


@pytest.mark.parametrize("preset", ["paper", "heterogeneous"])
def test_no_single_move_and_no_swap_improves(preset: str) -> None:
    problem = offloadopt.problem("multi_server", preset, users=8, servers=3)
    instances = problem.sample(5, seed=2)
    solutions = offloadopt.solver("local-search", problem).run(problem, instances)
    found = problem.assignment(solutions.decisions)
    costs = problem.costs(instances)
    for i, k in itertools.product(range(8), range(4)):
        moved = found.copy()
        moved[:, i] = k
        assert (costs.cost(moved) >= solutions.objective - 1e-9).all()
    for i, other in itertools.combinations(range(8), 2):
        swapped = found.copy()
        swapped[:, [i, other]] = found[:, [other, i]]
        assert (costs.cost(swapped) >= solutions.objective - 1e-9).all()


def test_is_between_optimum_and_all_local() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=7, servers=2)
    instances = problem.sample(30, seed=0)
    best = offloadopt.solver("exhaustive", problem).run(problem, instances)
    found = offloadopt.solver("local-search", problem).run(problem, instances)
    local = offloadopt.solver("local", problem).run(problem, instances)
    assert (found.objective >= best.bound).all()
    assert (found.objective <= local.objective).all()
    assert np.mean(found.objective / best.objective) < 1.01


def test_is_deterministic_and_needs_no_seed() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=20)
    instances = problem.sample(4, seed=0)
    first, other = (offloadopt.solver("local-search", problem).run(problem, instances, seed=seed) for seed in (0, 9))
    np.testing.assert_array_equal(first.decisions["server"], other.decisions["server"])


def test_links_without_gain_are_never_used() -> None:
    problem = offloadopt.problem("multi_server", users=6, servers=2)
    drawn = problem.sample(4, seed=3)
    gain = np.where(drawn["gain"] > np.median(drawn["gain"]), drawn["gain"], 0.0)
    instances = problem.check_instances({**drawn, "gain": gain})
    server = offloadopt.solver("local-search", problem).run(problem, instances).decisions["server"]
    used = np.take_along_axis(gain, np.maximum(server - 1, 0)[..., None], axis=-1)[..., 0]
    assert (used[server > 0] > 0).all()


def test_local_search_ends_where_no_move_or_chain_helps() -> None:
    costs = random_costs(np.random.default_rng(9), tasks=8, servers=3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    assignment = np.zeros(8, dtype=np.int64)
    improve(*arguments, assignment, np.arange(8), True)
    reached = assignment_cost(*arguments, assignment)
    for i, k in itertools.product(range(8), range(4)):
        moved = assignment.copy()
        moved[i] = k
        assert assignment_cost(*arguments, moved) >= reached - 1e-12
        for other, elsewhere in itertools.product(range(8), range(4)):
            if other != i and assignment[other] == k:
                chained = moved.copy()
                chained[other] = elsewhere
                assert assignment_cost(*arguments, chained) >= reached - 1e-12
    np.testing.assert_allclose(server_loads(arguments[1], arguments[3], assignment), costs.loads(assignment[None])[0])


def test_iterated_search_leaves_its_start_alone_and_never_gets_worse() -> None:
    costs = random_costs(np.random.default_rng(2), tasks=10, servers=3)
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0], np.zeros(3)
    start = np.zeros(10, dtype=np.int64)
    found = perturb_and_improve(*arguments, start, np.arange(10), 20, np.random.default_rng(0))
    assert not start.any()
    assert assignment_cost(*arguments, found) < assignment_cost(*arguments, start)
    again = perturb_and_improve(*arguments, found, np.array([0, 1]), 20, np.random.default_rng(0))
    np.testing.assert_array_equal(again[2:], found[2:])  # only candidates move
    assert assignment_cost(*arguments, again) <= assignment_cost(*arguments, found)
