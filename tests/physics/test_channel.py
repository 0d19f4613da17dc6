"""Radio links against formulas evaluated another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from offloadopt.physics.channel import cheapest_power, from_db, path_gain, shannon_rate

POWER_MAX_W = 1.5


def price_of_a_bit(power: float, g: float, time_weight: float, energy_weight: float) -> float:
    """``(w_t + w_e p) / log2(1 + g p)``, digit-safe for weak links."""
    return (time_weight + energy_weight * power) / (math.log1p(g * power) / math.log(2.0))


@pytest.mark.parametrize(("time_weight", "energy_weight"), [(0.5, 0.5), (1.0, 1e-3), (1e-3, 1.0), (0.9, 0.1)])
def test_the_cheapest_power_is_what_a_search_finds(time_weight: float, energy_weight: float) -> None:
    gains = 10.0 ** np.arange(-16, 12.01, 0.5)
    powers = cheapest_power(gains, time_weight, energy_weight, POWER_MAX_W)
    assert ((powers > 0) & (powers <= POWER_MAX_W)).all()
    for g, power in zip(gains, powers, strict=True):
        found = minimize_scalar(
            lambda log_p, g=g: math.log(price_of_a_bit(math.exp(log_p), g, time_weight, energy_weight)),
            bounds=(math.log(1e-12), math.log(POWER_MAX_W)),
            method="bounded",
            options={"xatol": 1e-10},
        )
        searched = min(math.exp(found.fun), price_of_a_bit(POWER_MAX_W, g, time_weight, energy_weight))
        assert price_of_a_bit(power, g, time_weight, energy_weight) <= searched * (1 + 1e-12)


@pytest.mark.parametrize("g", [1e-6, 1e-2, 1.0, 10.0, 1e3, 1e6, 1e10])
def test_an_inner_optimum_solves_the_stationarity_condition(g: float) -> None:
    """``w_e (1 + g p) ln(1 + g p) = g (w_t + w_e p)``: the stationarity of problem (13)."""
    power = float(cheapest_power(np.array(g), 0.3, 0.7, 1e9))
    assert 0 < power < 1e9
    assert 0.7 * (1 + g * power) * math.log1p(g * power) == pytest.approx(g * (0.3 + 0.7 * power), rel=1e-7)


def test_free_energy_and_missing_links_take_full_power() -> None:
    gains = np.array([0.0, 1e-300, 1e-16, 1.0, 1e12])
    np.testing.assert_array_equal(cheapest_power(gains, 0.5, 0.0, POWER_MAX_W), POWER_MAX_W)
    assert cheapest_power(np.zeros((2, 3)), 0.5, 0.5, POWER_MAX_W).tolist() == [[POWER_MAX_W] * 3] * 2


def test_extreme_links_give_finite_powers() -> None:
    gains = np.array([1e-308, 1e-200, 1e-20, 1e20, 1e100])
    powers = cheapest_power(gains, 0.5, 0.5, POWER_MAX_W)
    assert np.isfinite(powers).all()
    assert ((powers > 0) & (powers <= POWER_MAX_W)).all()


def test_the_rate_keeps_its_digits_on_weak_links() -> None:
    assert shannon_rate(1e6, np.array(1.0)) == pytest.approx(1e6)
    assert shannon_rate(2e6, np.array(15.0)) == pytest.approx(8e6)
    assert shannon_rate(1e6, np.array(1e-18)) == pytest.approx(1e6 * 1e-18 / math.log(2), rel=1e-12)
    assert shannon_rate(1e6, np.array(0.0)) == 0.0


def test_path_gain_is_a_power_of_distance_beyond_one_metre() -> None:
    assert path_gain(np.array(10.0), -30.0, 2.0) == pytest.approx(1e-5)
    assert path_gain(np.array(100.0), -30.5, 3.67) == pytest.approx(10 ** (-3.05 - 2 * 3.67))
    assert path_gain(np.array([0.0, 0.5, 1.0]), -30.0, 2.0) == pytest.approx([1e-3] * 3)


def test_decibels() -> None:
    np.testing.assert_allclose(from_db([0, 10, -30, 3]), [1, 10, 1e-3, 1.9952623], rtol=1e-7)
