"""Shares of CPU and band that are best at prices, against plain formulas and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from offloadopt.physics.edge_inference import InferenceTasks, best_band, best_shares, send_factor, send_slope


def test_times_and_energies_follow_from_the_shares_task_by_task() -> None:
    rng, shape = np.random.default_rng(3), (2, 3)
    local_s, local_j, cpu, band = rng.uniform(0.1, 1.0, (4, *shape))
    server_s, server_j, send_s = rng.uniform(0.1, 1.0, (3, *shape, 2))
    snr, power_w = rng.uniform(1.0, 9.0, (2, 2)), np.array([0.5, 1.5])
    tasks = InferenceTasks(np.ones(shape, bool), local_s, local_j, server_s, server_j, send_s, snr, power_w)
    server = np.array([[0, 1, 2], [2, 1, 0]])
    band[1, 1] = cpu[1, 2] = 0.0
    compute_s, sending_s, compute_j, sending_j = tasks.time_energy(server, cpu, band)
    assert sending_s[1, 1] == compute_s[1, 2] == np.inf
    for u, k in np.ndindex(shape):
        j = server[u, k] - 1
        whole_s, whole_j = (local_s[u, k], local_j[u, k]) if j < 0 else (server_s[u, k, j], server_j[u, k, j])
        assert compute_j[u, k] == pytest.approx(whole_j * cpu[u, k] ** 2)
        if cpu[u, k] > 0:
            assert compute_s[u, k] == pytest.approx(whole_s / cpu[u, k])
        if j < 0:
            assert sending_s[u, k] == sending_j[u, k] == 0.0
        elif band[u, k] > 0:
            rate = band[u, k] * np.log2(1.0 + snr[u, j] / band[u, k])
            assert sending_s[u, k] == pytest.approx(send_s[u, k, j] / rate)
            assert sending_j[u, k] == pytest.approx(power_w[u] * sending_s[u, k])


@pytest.mark.parametrize("snr", [1e-6, 1e-3, 0.3, 20.0, 1e5])
@pytest.mark.parametrize("share", [1e-4, 0.07, 1.0])
def test_the_slope_of_the_time_to_send_is_its_difference_quotient(snr: float, share: float) -> None:
    step = 1e-4 * share
    quotient = (send_factor(share - step, snr) - send_factor(share + step, snr)) / (2 * step)
    assert send_slope(share, snr) == pytest.approx(quotient, rel=2e-6, abs=1e-7 * send_factor(share, snr) / share)


def test_the_best_band_is_stationary_or_all_of_it() -> None:
    rng = np.random.default_rng(0)
    for snr, pull, price in zip(*10.0 ** rng.uniform(-3, 3, (3, 300)), strict=True):
        band = best_band(pull, price, snr)
        if band == 1.0:
            assert pull * send_slope(1.0, snr) >= price
        else:
            assert pull * send_slope(band, snr) == pytest.approx(price, rel=1e-11)


def test_the_best_shares_cost_what_a_general_minimiser_finds() -> None:
    rng = np.random.default_rng(1)
    bound = 0
    for _ in range(60):
        row = 10.0 ** rng.uniform([-2, -3, -3, -1, -2], [0, 1, 0, 3, 1])
        second, q, w = 10.0 ** rng.uniform(-1, 1, 3)
        fastest = row[0] + row[2] * send_factor(1.0, row[3])
        limit = fastest * 10.0 ** rng.uniform(0.01, 1.0)

        def time_s(shares: np.ndarray, row: np.ndarray = row) -> float:
            u, v = np.exp(shares)
            return float(row[0] / u + row[2] / (v * np.log2(1.0 + row[3] / v)))

        def cost(shares: np.ndarray, row: np.ndarray = row, p: tuple[float, ...] = (second, q, w)) -> float:
            u, v = np.exp(shares)
            send = row[2] / (v * np.log2(1.0 + row[3] / v))
            return float(p[0] * (row[0] / u + send) + row[1] * u**2 + row[4] * send + p[1] * u + p[2] * v)

        least, u, v = best_shares(row, second, limit, q, w)
        shares = np.log([u, v])
        assert time_s(shares) <= limit * (1 + 1e-12)
        assert cost(shares) == pytest.approx(least, rel=1e-10)
        bound += time_s(shares) > limit * (1 - 1e-9)
        found = minimize(
            cost,
            np.array([-1e-3, -1e-3]),
            method="SLSQP",
            bounds=[(-12, 0), (-12, 0)],
            constraints={"type": "ineq", "fun": lambda x, limit=limit, f=time_s: np.log(limit / f(x))},
            options={"ftol": 1e-13, "maxiter": 500},
        )
        assert least <= found.fun * (1 + 1e-9)
        if found.success and time_s(found.x) <= limit * (1 + 1e-8):
            assert least == pytest.approx(found.fun, rel=1e-5)
    assert 5 < bound < 60


def test_what_cannot_meet_its_limit_costs_infinitely_much() -> None:
    row = np.array([1.0, 0.1, 1.0, 10.0, 0.5])
    fastest = 1.0 + 1.0 / np.log2(11.0)
    assert best_shares(row, 1.0, fastest * 0.999, 0.0, 0.0)[0] == np.inf
    assert np.isfinite(best_shares(row, 1.0, fastest * 1.001, 0.0, 0.0)[0])


def test_a_task_without_a_link_or_without_time_has_no_shares_and_one_that_sends_nothing_no_band() -> None:
    cpu_s, energy, send_s, snr, send_energy = 0.5, 0.2, 0.1, 3.0, 0.0
    assert best_shares(np.array([cpu_s, energy, send_s, 0.0, send_energy]), 1.0, 9.0, 0.1, 0.1)[0] == np.inf
    assert best_shares(np.array([cpu_s, energy, send_s, snr, send_energy]), 1.0, 0.4, 0.1, 0.1)[0] == np.inf
    cost, cpu, band = best_shares(np.array([cpu_s, energy, 0.0, snr, send_energy]), 1.0, 9.0, 0.1, 0.1)
    assert band == 0.0
    shares = np.linspace(0.01, 1.0, 10_000)
    costs = cpu_s / shares + energy * shares**2 + 0.1 * shares
    assert cost == pytest.approx(costs.min(), rel=1e-6)
    assert cpu == pytest.approx(shares[costs.argmin()], abs=1e-3)
