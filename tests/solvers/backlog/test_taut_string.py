"""The taut string of one buffer against a grid over what is served, and the structure of its prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import FloatArray
from offloadopt.solvers.backlog.taut_string import taut_string
from offloadopt.structures.backlog import Backlog


def backlog_of(seed: int, **changes: Any) -> Backlog:
    settings = {"users": 1, "antennas": 4, "horizon": 10, **changes}
    problem: Any = registry.problem("carbon_mimo", **settings)
    backlog = problem.backlog(problem.sample(1, seed))
    assert isinstance(backlog, Backlog)
    return backlog


def solve(backlog: Backlog) -> tuple[FloatArray, FloatArray]:
    shape = backlog.arrival_bits.shape
    return taut_string(
        backlog, backlog.service.effort_for_energy(np.broadcast_to(backlog.service.green_j, shape)), 0, 0
    )


def cost_of(backlog: Backlog, served: FloatArray) -> FloatArray:
    """Cost of served bits ``[horizon, plans]`` of the only buffer, without the fixed cost."""
    bits, cost = np.full(served.shape[1], backlog.start_bits[0, 0]), np.zeros(served.shape[1])
    for t, now in enumerate(served):
        service = backlog.service.take((np.zeros(len(now), int), np.full(len(now), t), np.zeros(len(now), int)))
        cost += service.energy_cost(service.energy_j(*service.best(np.full(len(now), np.inf), now)))
        waiting = np.maximum(bits - now, 0.0) + backlog.arrival_bits[0, t, 0]
        bits = np.minimum(waiting, backlog.capacity_bits)
        cost += backlog.holding_price * bits + backlog.overflow_price * (waiting - bits)
    return np.asarray(cost + backlog.final_price * bits)


@pytest.mark.parametrize("changes", [{}, {"harvest_w": 0.3}, {"buffer_bits": 1.2e4, "arrival_quanta": 4.0}], ids=str)
def test_no_service_of_three_slots_on_a_grid_costs_less(changes: dict[str, Any]) -> None:
    for seed in range(3):
        backlog = backlog_of(seed, horizon=3, start_bits=1e4, **changes)
        served, _ = solve(backlog)
        best = cost_of(backlog, served[:, None])[0]
        most = float(backlog.capacity_bits)
        axes = [np.linspace(0.0, min(most, 2.5e4), 21)] * 3
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*axes)])
        near = np.clip(served[:, None] * (1.0 + 0.2 * np.random.default_rng(seed).normal(size=(3, 5_000))), 0.0, most)
        least = cost_of(backlog, np.concatenate([grid, near], axis=1)).min()
        assert best <= least + 1e-9 * abs(least)
        assert best == pytest.approx(least, rel=0.02)


def test_the_price_falls_by_the_holding_price_while_the_buffer_is_neither_empty_nor_full() -> None:
    compared = 0
    for seed in range(5):
        backlog = backlog_of(seed, horizon=30, start_bits=1e4, arrival_quanta=4.0)
        served, prices = solve(backlog)
        bits = backlog.start_bits[0, 0]
        for t in range(29):
            left = bits - served[t]
            bits = left + backlog.arrival_bits[0, t, 0]
            assert left >= 0.0
            if left > 1e-6 and bits < backlog.capacity_bits:
                assert prices[t] - prices[t + 1] == pytest.approx(backlog.holding_price, rel=1e-9)
                compared += 1
            elif bits < backlog.capacity_bits:  # emptied: the price can only rise over this line
                assert prices[t + 1] >= prices[t] - backlog.holding_price * (1 + 1e-9)
    assert compared > 20


def test_an_empty_buffer_serves_nothing() -> None:
    served, prices = solve(backlog_of(0, arrival_quanta=1e-9, start_bits=0.0))
    assert (served == 0).all()
    assert (prices == 0).all()
