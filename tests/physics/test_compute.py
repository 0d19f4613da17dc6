"""Processors against known values and a numerical optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from offloadopt.physics.compute import cpu_power, root_share


def test_a_gigahertz_at_the_usual_capacitance_draws_one_watt() -> None:
    assert cpu_power(1e9, 1e-27, 3.0) == pytest.approx(1.0)
    np.testing.assert_allclose(cpu_power(np.array([5e8, 2e9]), 1e-27, 3.0), [0.125, 8.0])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_shares_use_the_whole_capacity(scale: float) -> None:
    load = scale * np.random.default_rng(0).uniform(0.1, 3.0, (50, 7))
    total = load.sum(axis=-1, keepdims=True)
    shares = root_share(load, np.broadcast_to(total, load.shape), np.asarray(2e9))
    np.testing.assert_allclose(shares.sum(axis=-1), 2e9, rtol=1e-12)
    assert (shares > 0).all()


def test_shares_are_what_a_numerical_optimiser_finds() -> None:
    load, capacity = np.array([0.3, 1.0, 2.5]), 2.0
    searched = minimize(
        lambda f: np.sum(load**2 / f),
        np.full(3, capacity / 3),
        bounds=[(1e-6, capacity)] * 3,
        constraints={"type": "eq", "fun": lambda f: capacity - f.sum()},
        options={"ftol": 1e-14},
    )
    shares = root_share(load, np.full(3, load.sum()), np.asarray(capacity))
    np.testing.assert_allclose(shares, searched.x, rtol=1e-4)
    assert np.sum(load**2 / shares) == pytest.approx(load.sum() ** 2 / capacity, rel=1e-12)


def test_an_empty_server_shares_nothing() -> None:
    np.testing.assert_array_equal(root_share(np.ones(2), np.zeros(2), np.asarray(2e9)), [0.0, 0.0])
