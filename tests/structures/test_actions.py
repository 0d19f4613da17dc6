"""Controls: energy with a whole range for the green power, and priorities from which fair shares follow."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Decisions, Observation
from offloadopt.structures.actions import EnergyControls

COUNT, AGENTS = 400, 5


@cache
def problem(**changes: Any) -> Any:
    return registry.problem("carbon_mimo", **changes)


@cache
def observation(**changes: Any) -> Observation:
    made = problem(**changes)
    instances = made.sample(COUNT, seed=3)
    return made.observe(instances, made.reset(instances))


def decided(balance: Any, share: Any = 0.5) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    values = {
        "balance": np.broadcast_to(balance, (COUNT, AGENTS)),
        "local_share": np.broadcast_to(share, (COUNT, AGENTS)),
    }
    decisions = problem().controls["energy"].decode(observation(), values)
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
    found = controls.decode(seen, controls.encode(seen, Decisions({"local_w": local_w, "offload_w": offload_w})))
    np.testing.assert_allclose(found["local_w"], local_w, atol=1e-9)
    np.testing.assert_allclose(found["offload_w"], offload_w, atol=1e-9)


def test_the_decision_itself_comes_first() -> None:
    made = problem()
    assert list(made.controls) == ["decision", "energy"]
    assert made.controls_named(None) is made.controls["decision"]


class TestPriorities:
    """Inference tasks whose shares follow from priorities."""

    @staticmethod
    def slot(**changes: Any) -> tuple[Any, Any]:
        problem: Any = registry.problem("twin_inference", **{"users": 6, "servers": 1, "horizon": 1, **changes})
        instances = problem.sample(40, 3)
        return problem, problem.observe(instances, problem.reset(instances))

    def test_shares_grow_with_the_root_of_the_size_up_to_all(self) -> None:
        problem, observation = self.slot()
        controls = problem.controls_named("priority")
        size = observation["present"].shape
        half = {"server": np.ones(size, dtype=np.int64), "cpu_priority": np.full(size, 0.3)}
        decided = controls.decode(observation, {**half, "bandwidth_priority": np.full(size, 0.1)})
        for share, priority, amount, mean in (
            ("cpu_share", 0.3, "cycles", problem.mean_cycles),
            ("bandwidth_share", 0.1, "bits", problem.mean_bits),
        ):
            expected = [min(1.0, 2.0 * priority * (x / mean) ** 0.5) for x in observation[amount].flatten()]
            np.testing.assert_allclose(decided[share].flatten(), expected, rtol=1e-12)

    def test_priorities_that_lead_to_shares_are_found_again(self) -> None:
        problem, observation = self.slot()
        controls = problem.controls_named("priority")
        rng = np.random.default_rng(0)
        size = observation["present"].shape
        values = {
            "server": rng.integers(0, 2, size),
            "cpu_priority": rng.uniform(0.0, 0.2, size),
            "bandwidth_priority": rng.uniform(0.0, 0.2, size),
        }
        found = controls.encode(observation, controls.decode(observation, values))
        there = observation["present"] == 1
        for name, wanted in values.items():
            np.testing.assert_allclose(found[name][there], wanted[there], rtol=1e-9)

    def test_equal_priorities_share_a_server_nearly_at_best_and_equal_shares_do_not(self) -> None:
        # Every user has one task, all on one server; energy counts for nothing, so that times alone do.
        problem, observation = self.slot(tasks_max=1, energy_weight=0.0, kappa_server=0.0, limit_s=1e3)
        controls = problem.controls_named("priority")
        size = observation["present"].shape
        server = np.ones(size, dtype=np.int64)

        def computing_s(share: Any) -> Any:
            share = share / np.maximum(share.sum(axis=(1, 2), keepdims=True), 1.0)
            return (observation["cycles"] / observation["server_hz"][:, :, :1] / share).sum(axis=(1, 2))

        root = np.sqrt(observation["cycles"])
        best = computing_s(root / root.sum(axis=(1, 2), keepdims=True))
        priorities = {"cpu_priority": np.full(size, 0.25), "bandwidth_priority": np.full(size, 0.25)}
        shared = controls.decode(observation, {"server": server, **priorities})["cpu_share"]
        assert np.mean(computing_s(shared) / best) < 1.05
        assert np.mean(computing_s(np.ones(size)) / best) > 1.1
