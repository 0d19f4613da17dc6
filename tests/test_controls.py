"""Energy controls lead to powers and back, and have a whole range for the green power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.controls import EnergyControls
from offloadopt.core import Decisions, Observation

COUNT, AGENTS = 400, 5


def problem(**changes: Any) -> Any:
    return registry.problem("carbon_mimo", **changes)


def observation(**changes: Any) -> Observation:
    made = problem(**changes)
    instances = made.sample(COUNT, seed=3)
    return made.observe(instances, made.reset(instances))


def decided(balance: Any, share: Any = 0.5) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    values = {
        "balance": np.broadcast_to(balance, (COUNT, AGENTS)),
        "local_share": np.broadcast_to(share, (COUNT, AGENTS)),
    }
    decisions = problem().controls["energy"].decide(observation(), values)
    return decisions["local_w"], decisions["offload_w"]


@pytest.mark.parametrize("balance", [-0.15, 0.0, 0.15])
def test_in_the_middle_the_power_is_exactly_the_green_power(balance: float) -> None:
    local_w, offload_w = decided(balance)
    np.testing.assert_allclose(local_w + offload_w, observation()["green_j"] / 1e-3, rtol=1e-12)


def test_the_ends_are_nothing_and_full_power() -> None:
    np.testing.assert_array_equal(np.add(*decided(-1.0)), 0.0)
    np.testing.assert_allclose(np.stack(decided(1.0)), 2.0, rtol=1e-12)


def test_power_grows_with_the_balance_and_keeps_its_limits() -> None:
    power = [np.add(*decided(balance, 0.9)) for balance in np.linspace(-1.0, 1.0, 41)]
    assert (np.diff(power, axis=0) >= -1e-15).all()
    local_w, offload_w = decided(0.9, 1.0)
    assert local_w.max() <= 2.0
    assert (offload_w > 0).all()  # what the CPU cannot take is sent


def test_powers_are_expressed_and_found_again() -> None:
    rng = np.random.default_rng(0)
    seen, controls = observation(), problem().controls["energy"]
    assert isinstance(controls, EnergyControls)
    local_w, offload_w = rng.uniform(0.0, 2.0, (2, COUNT, AGENTS))
    local_w[:100] = seen["green_j"][:100] / 1e-3 * 0.3  # on the kink
    offload_w[:100] = seen["green_j"][:100] / 1e-3 * 0.7
    local_w[100:120] = offload_w[100:120] = 0.0
    found = controls.decide(seen, controls.express(seen, Decisions({"local_w": local_w, "offload_w": offload_w})))
    np.testing.assert_allclose(found["local_w"], local_w, atol=1e-9)
    np.testing.assert_allclose(found["offload_w"], offload_w, atol=1e-9)


def test_the_decision_itself_comes_first() -> None:
    made = problem()
    assert list(made.controls) == ["decision", "energy"]
    assert made.controls_named(None) is made.controls["decision"]
