"""The dual bound is valid at any prices, and its maximum is that of the convex relaxation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import offloadopt
from offloadopt.solvers.assignment.dual_bound import (
    best_responses,
    find_prices,
    maximise_bound,
    price_bound,
    reduced_cost,
)

from toys.priced_costs import random_costs


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), prices=st.lists(st.floats(-1.0, 5.0), min_size=2, max_size=2))
def test_any_prices_bound_the_optimum_and_fix_nothing_better(seed: int, prices: list[float]) -> None:
    costs = random_costs(np.random.default_rng(seed), tasks=5, servers=2)
    every = np.array(list(itertools.product(range(3), repeat=5)))
    values = costs.cost(every[None])[0]
    arguments = costs.option_cost[0], costs.load[0], costs.capacity[0]
    v = np.array(prices)
    bound = price_bound(*arguments, np.zeros(2), v)
    assert bound <= values.min()
    # An assignment's cost is at least the bound plus the reduced costs of its options: what fixing relies on.
    reduced = reduced_cost(*arguments[:2], v)
    above = reduced[np.arange(5), every].sum(axis=1)
    assert (values >= bound + above - 1e-12).all()


def test_best_prices_are_the_convex_relaxation() -> None:
    import cvxpy as cp

    costs = random_costs(np.random.default_rng(3), tasks=40, servers=4)
    cost, load, capacity = costs.option_cost[0], costs.load[0], costs.capacity[0]
    share = cp.Variable((40, 5), nonneg=True)
    loads = load @ share[:, 1:]
    relaxation = cp.Problem(
        cp.Minimize(cp.sum(cp.multiply(cost, share)) + cp.sum(cp.multiply(1 / capacity, cp.square(loads)))),
        [cp.sum(share, axis=1) == 1],
    )
    relaxation.solve(solver=cp.CLARABEL)
    v = find_prices(cost, load, capacity)
    assert price_bound(cost, load, capacity, np.zeros(4), v) == pytest.approx(relaxation.value, rel=1e-6)
    np.testing.assert_allclose(v, loads.value / capacity, rtol=1e-3)


def test_screened_prices_equal_unscreened_ones() -> None:
    problem = offloadopt.problem("multi_server", "heterogeneous", users=9000, servers=5, load=0.33)
    costs = problem.costs(problem.sample(1, seed=0))
    money, size = costs.option_cost[0].min(axis=1).mean(), costs.capacity[0].mean()
    scaled = costs.option_cost[0] / money, costs.load[0] / np.sqrt(money * size), costs.capacity[0] / size
    nothing = np.zeros(5)
    screened = find_prices(*scaled)
    plain = maximise_bound(*scaled, nothing, nothing, 1.0, 1e-7, 0.2, np.inf, np.empty((1, 6)))
    assert price_bound(*scaled, nothing, screened) == pytest.approx(price_bound(*scaled, nothing, plain), rel=1e-8)


def test_best_responses_and_reduced_costs_agree() -> None:
    costs = random_costs(np.random.default_rng(5), tasks=9, servers=3)
    cost, load, v = costs.option_cost[0], costs.load[0], np.array([0.3, 0.0, 1.2])
    priced = cost + 2.0 * load[:, None] * np.append(0.0, v)
    best, margin = best_responses(cost, load, v)
    ordered = np.sort(priced, axis=1)
    np.testing.assert_array_equal(best, priced.argmin(axis=1))
    np.testing.assert_allclose(margin, ordered[:, 1] - ordered[:, 0], rtol=1e-12)
    np.testing.assert_allclose(reduced_cost(cost, load, v), priced - ordered[:, :1], rtol=1e-12)
