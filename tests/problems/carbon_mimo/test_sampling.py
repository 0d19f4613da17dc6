"""Sampled instances of `carbon_mimo` follow the distributions of the scenario."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.errors import InvalidInput
from offloadopt.problems.carbon_mimo import CarbonMimo
from offloadopt.problems.carbon_mimo.sampling import path_gains


def make(preset: str = "paper", **changes: Any) -> CarbonMimo:
    problem = offloadopt.problem("carbon_mimo", preset, **changes)
    assert isinstance(problem, CarbonMimo)
    return problem


def small(**changes: Any) -> CarbonMimo:
    return make(**{"users": 3, "antennas": 4, "horizon": 6, **changes})


def test_means_and_correlations_are_those_of_the_scenario() -> None:
    problem = small(
        users=2, distance_m=(50.0, 100.0), arrival_quanta=(1.0, 4.0), harvest_w=0.7, start_bits=1e4, horizon=50
    )
    instances = problem.sample(400, seed=10)  # 20,000 slots a user
    channel = instances["channel"]
    amplitude = 1e-3 * np.array([50.0, 100.0]) ** -3.0
    power = np.sum(channel**2, axis=-1)
    # Successive slots are alike: some 40 slots count as one independent draw, and four antennas share the error.
    np.testing.assert_allclose(power.mean(axis=(0, 1, 3)), amplitude, rtol=0.08)
    shape = (*channel.shape[:-2], -1)
    flat = channel.reshape(shape)
    for lag in (1, 10):
        product = np.mean(flat[:, lag:] * flat[:, :-lag], axis=(0, 1, 3)) / np.mean(flat**2, axis=(0, 1, 3))
        np.testing.assert_allclose(product, 0.95**lag, atol=0.03)
    # Five standard errors of 20,000 Poisson draws.
    quanta = instances["arrival_bits"] / 1e3
    np.testing.assert_allclose(quanta.mean(axis=(0, 1)), [1.0, 4.0], atol=0.08)
    np.testing.assert_allclose(quanta.var(axis=(0, 1)), [1.0, 4.0], rtol=0.08)
    assert instances["harvest_j"].mean() == pytest.approx(0.7e-3, rel=0.02)
    np.testing.assert_allclose(instances["harvest_j"] * 1e4, np.rint(instances["harvest_j"] * 1e4), atol=1e-9)
    assert instances["start_bits"].mean() == pytest.approx(5e3, rel=0.06)
    assert (instances["carbon_g_per_kwh"] == 700).all()


def test_the_extremes_of_correlation_are_fresh_and_frozen_channels() -> None:
    frozen = small(correlation=1.0, distance_m=50.0).sample(3, 0)["channel"]
    np.testing.assert_allclose(frozen, np.repeat(frozen[:, :1], 6, axis=1), rtol=1e-12)
    fresh = small(correlation=0.0, distance_m=50.0, horizon=50).sample(200, 0)["channel"]
    assert abs(np.corrcoef(fresh[:, 1:].ravel(), fresh[:, :-1].ravel())[0, 1]) < 0.01


def test_users_move_at_the_scenario_s_speed_within_the_cell() -> None:
    problem = small(speed_m_per_s=2000.0, slot_s=1e-3, nearest_m=30.0, cell_m=40.0, horizon=100)
    gain = path_gains(problem.scenario, 10, np.random.default_rng(1))
    distance = (gain / 1e-3) ** (-1 / 3)
    assert distance.min() >= 30.0 - 1e-9
    assert distance.max() <= 40.0 + 1e-9
    assert 1.9 < np.abs(np.diff(distance, axis=1)).max() <= 2.0 + 1e-9


def test_random_loads_are_one_mean_per_instance() -> None:
    quanta = small(arrival_quanta=1.0, arrival_quanta_to=9.0, horizon=200).sample(300, 1)["arrival_bits"] / 1e3
    means = quanta.mean(axis=1)
    assert means.mean() == pytest.approx(5.0, abs=0.7)
    assert np.corrcoef(means[:, 0], means[:, 1])[0, 1] > 0.95
    assert means.min() < 1.6
    assert means.max() > 8.4


def test_a_profile_s_hours_are_as_likely_as_each_other() -> None:
    carbon = small(carbon_by_hour=tuple(float(1 + hour) for hour in range(24))).sample(24_000, 2)["carbon_g_per_kwh"]
    counts = np.bincount(carbon[:, 0].astype(int), minlength=25)[1:]
    np.testing.assert_allclose(counts, 1000, atol=5 * math.sqrt(1000))
    slow = small(slot_s=3600.0, horizon=24, carbon_by_hour=tuple(float(1 + hour) for hour in range(24))).sample(1, 3)
    steps = np.diff(slow["carbon_g_per_kwh"][0])
    assert set(steps.tolist()) <= {1.0, -23.0}  # an hour a slot, over midnight


def test_a_country_s_carbon_is_codecarbon_s() -> None:
    pytest.importorskip("codecarbon")
    poland, sweden = (small(country=code).sample(1, 0)["carbon_g_per_kwh"] for code in ("POL", "SWE"))
    assert np.ptp(poland) == 0
    assert 400 < poland[0, 0] < 1100
    assert 5 < sweden[0, 0] < 100
    with pytest.raises(InvalidInput, match=r"no country 'POLL'.*did you mean 'POL'"):
        small(country="POLL").sample(1, 0)


def test_the_clear_sky_gives_by_day_and_not_by_night() -> None:
    pytest.importorskip("pvlib")
    harvest = make("solar", horizon=2).sample(3000, 0)["harvest_j"] / 1e-3  # W of 0.01 m2 at 20 %
    assert (harvest == harvest[..., :1]).all()  # one sky over all
    # Some 13.7 hours of light in Riyadh at the solstice; at noon about 1 kW/m2.
    assert np.mean(harvest[:, 0, 0] > 0) == pytest.approx(13.7 / 24, abs=0.05)
    assert 1.8 < harvest.max() < 2.2
