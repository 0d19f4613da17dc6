"""Backward induction: discretised fading against simulation and moments, values against direct expectations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import poisson

from offloadopt import registry
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.solvers.backlog.backward_induction import (
    Resolution,
    bits_and_cost,
    buffer_nodes,
    candidate_efforts,
    gain_chain,
    grid_position,
    hat_weights,
    solve_mdp,
)


def lone(preset: str = "paper", **changes: Any) -> CarbonMimo:
    values = {"users": 1, "antennas": 4, "distance_m": 60.0, "speed_m_per_s": 0.0, "arrival_quanta": 3.0, "horizon": 12}
    problem = registry.problem("carbon_mimo", preset, **{**values, **changes})
    assert isinstance(problem, CarbonMimo)
    return problem


def test_hat_weights_are_those_of_simulated_fading() -> None:
    antennas, correlation, draws = 3, 0.9, 200_000
    rng = np.random.default_rng(3)
    nodes = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    for row, present in enumerate(nodes):
        before = np.sqrt(np.full(antennas, present / antennas)) * np.exp(1j * np.arange(antennas))
        fresh = (rng.standard_normal((draws, antennas, 2)) / np.sqrt(2.0)) @ np.array([1.0, 1j])
        relative = np.sum(np.abs(correlation * before + np.sqrt(1.0 - correlation**2) * fresh) ** 2, axis=1)
        simulated = [np.interp(relative, nodes, hat).mean() for hat in np.eye(len(nodes))]
        spread = 2.0 * correlation**2 * nodes / (1.0 - correlation**2)
        weights = hat_weights(nodes, (1.0 - correlation**2) / 2.0, 2 * antennas, spread)[row]
        np.testing.assert_allclose(weights, simulated, atol=4.0 * 0.5 / np.sqrt(draws))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 0.999])
def test_the_gains_chain_has_the_moments_of_fading(correlation: float) -> None:
    mdp = lone(correlation=correlation).mdp()
    relative, weights, initial = gain_chain(mdp, 33)
    kept, fresh, n = correlation**2, 1.0 - correlation**2, mdp.antennas
    mean = kept * relative + fresh * n
    variance = fresh**2 * n + 2.0 * kept * fresh * relative
    middle = slice(4, -8)  # far from the ends, where the gain is cut off
    np.testing.assert_allclose((weights @ relative)[middle], mean[middle], rtol=1e-3)
    np.testing.assert_allclose((weights @ relative**2)[middle], (variance + mean**2)[middle], rtol=2e-3)
    np.testing.assert_allclose((initial @ relative, initial @ relative**2), (n, n + n**2), rtol=1e-3)
    np.testing.assert_allclose(initial @ weights, initial, atol=2e-4)


def test_the_mdp_states_the_probabilities_of_poisson_numbers() -> None:
    mdp = lone(harvest_w=0.0).mdp()
    assert mdp.green.probabilities == (1.0,)
    np.testing.assert_allclose(
        mdp.arrivals.probabilities, poisson.pmf(np.arange(len(mdp.arrivals.probabilities)), 3.0), atol=1e-12
    )
    assert sum(lone(arrival_quanta=2000.0).mdp().arrivals.probabilities) == pytest.approx(1.0, abs=1e-12)


def test_grid_positions_interpolate_linear_functions_also_beyond_the_ends() -> None:
    nodes, values = np.array([0.0, 1.0, 4.0, 9.0]), np.array([-1.0, 0.0, 0.5, 4.0, 8.9, 9.0, 12.0])
    cell, fraction = grid_position(nodes, values)
    np.testing.assert_allclose(nodes[cell] * (1.0 - fraction) + nodes[cell + 1] * fraction, values, atol=1e-12)
    assert ((fraction[1:-1] >= 0.0) & (fraction[1:-1] <= 1.0)).all()


def test_buffer_nodes_end_at_the_capacity_or_where_an_unlimited_grid_is_said_to_end() -> None:
    limited = lone(buffer_bits=5e4).mdp()
    nodes = buffer_nodes(limited, Resolution(11, 4, 4, 30.0))
    assert (nodes[0], nodes[-1], len(nodes)) == (0.0, 5e4, 11)
    unlimited = lone("ancestor", distance_m=100.0).mdp()
    assert buffer_nodes(unlimited, Resolution(11, 4, 4, 30.0))[-1] == 30.0 * unlimited.arrivals.unit


def test_in_the_last_slot_the_value_is_the_least_of_direct_expectations() -> None:
    mdp = lone(horizon=2, harvest_w=0.1).mdp()
    found = solve_mdp(mdp, Resolution(33, 5, 17, 30.0))
    arrivals = mdp.arrivals.unit * np.arange(len(mdp.arrivals.probabilities))
    left = np.array([0.0, found.buffer_bits[7], found.buffer_bits[-1]])
    kept = np.minimum(left[:, None] + arrivals, mdp.capacity_bits)
    cost = (mdp.holding_price + mdp.final_price) * kept + mdp.overflow_price * (left[:, None] + arrivals - kept)
    expected = cost @ np.asarray(mdp.arrivals.probabilities)
    np.testing.assert_allclose(found.post_decision_cost(1, left, np.full((), found.gain_per_w[2])), expected)


def test_the_first_candidate_uses_up_the_green_energy_and_idle_energy_costs_nothing_more() -> None:
    mdp = lone(harvest_w=0.1).mdp()
    service = mdp.service(np.full(3, mdp.gain_per_w), np.array([0.0, 1e-4, 1.0]))
    efforts = candidate_efforts(service, 5)
    np.testing.assert_array_equal(efforts[:, -1], service.full_effort)
    bits, cost = bits_and_cost(service.take((..., None)), efforts)
    assert (np.diff(bits, axis=1) >= 0).all()
    assert (
        cost <= service.take((..., None)).energy_cost(service.device.slot_s * sum(service.powers(efforts.T)).T) + 1e-15
    ).all()


def test_an_unlimited_buffer_is_extrapolated_beyond_the_grid() -> None:
    mdp = lone("ancestor", distance_m=100.0, start_bits=4e4).mdp()
    short, long = (solve_mdp(mdp, Resolution(193, 9, 33, end)) for end in (30.0, 120.0))
    bits = np.array([1e3, 1e4, 3.5e4])
    np.testing.assert_allclose(short.expected_cost(bits), long.expected_cost(bits), rtol=0.01)
