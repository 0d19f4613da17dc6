"""Bounds from prices: tight at the optimum's prices, below the cost at others, and by hand in one simple case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import FloatArray, Instances
from offloadopt.solvers.backlog.dual_bound import joule_prices, price_bound, supporting_prices
from offloadopt.solvers.backlog.exact import BacklogExact
from offloadopt.structures.backlog import Backlog


def case(**changes: Any) -> tuple[Any, Instances, Backlog, FloatArray]:
    settings = {"users": 2, "antennas": 4, "horizon": 6, **changes}
    problem: Any = registry.problem("carbon_mimo", **settings)
    instances = problem.sample(2, seed=4)
    backlog = problem.backlog(instances)
    return problem, instances, backlog, backlog.service.effort_for_energy(backlog.service.green_j)


def test_prices_of_the_optimum_prove_it_and_others_prove_less() -> None:
    problem, instances, backlog, green_effort = case(start_bits=3e4, harvest_w=0.2)
    best = BacklogExact().run(problem, instances)
    bound = price_bound(backlog, best.details["bit_price"], green_effort)
    np.testing.assert_allclose(bound.sum(axis=1), best.objective, rtol=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(20):
        prices = best.details["bit_price"] * rng.uniform(0.8, 1.2, green_effort.shape)
        assert (price_bound(backlog, prices, green_effort) <= bound + 1e-9 * np.abs(bound)).all()


def test_at_prices_of_zero_a_slot_pays_for_its_own_arrivals_only() -> None:
    # Nothing is served at price 0 without green energy, and the cheapest buffer is an empty one.
    _, _, backlog, green_effort = case(harvest_w=0.0)
    keep = np.full(backlog.arrival_bits.shape, backlog.holding_price)
    keep[:, -1] += backlog.final_price
    assert (backlog.arrival_bits < backlog.capacity_bits).all()
    expected = (keep * backlog.arrival_bits).sum(axis=1) + backlog.fixed_cost
    bound = price_bound(backlog, np.zeros(keep.shape), green_effort)
    np.testing.assert_allclose(bound, expected, rtol=1e-9)


def test_an_unlimited_buffer_bounds_how_fast_prices_may_fall() -> None:
    _, _, backlog, green_effort = case(buffer_bits=None)
    prices = np.full(green_effort.shape, backlog.final_price)
    assert np.isfinite(price_bound(backlog, prices, green_effort)).all()
    prices[:, 0] += 2.0 * backlog.holding_price + 1e-9
    assert (price_bound(backlog, prices, green_effort) == -np.inf).all()


def test_supporting_prices_prove_more_than_a_plans_own_where_bits_are_lost() -> None:
    problem, instances, backlog, green_effort = case(users=1, horizon=30, buffer_bits=2e4, arrival_quanta=10.0)
    best = BacklogExact().run(problem, instances)
    assert (problem.evaluate(instances, best.decisions).metrics["overflow_bits"] > 0).all()
    served = backlog.service.bits(best.decisions["local_w"], best.decisions["offload_w"])
    supporting = supporting_prices(backlog, served, best.details["bit_price"])
    constant = np.full(green_effort.shape, backlog.overflow_price)
    found, naive = (price_bound(backlog, prices, green_effort) for prices in (supporting, constant))
    assert (found > naive).all()
    assert (found.sum(axis=1) <= best.objective).all()


def test_joule_prices_lie_between_green_and_grid_and_follow_the_bits_where_green_energy_is_used_up() -> None:
    _, _, backlog, green_effort = case(harvest_w=0.1)
    service = backlog.service
    grid = np.broadcast_to(service.grid_price, green_effort.shape)
    low, high = (joule_prices(backlog, np.full(grid.shape, price), green_effort) for price in (0.0, 1e9))
    np.testing.assert_allclose(low, np.clip(0.0, service.green_price, grid))
    np.testing.assert_allclose(high[green_effort > 0], grid[green_effort > 0])
    middle = joule_prices(backlog, 0.5 * grid * green_effort, green_effort)
    assert middle[green_effort > 0] == pytest.approx(0.5 * grid[green_effort > 0])
