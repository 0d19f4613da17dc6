"""The state and the decisions of a central actor, and what a saved one serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Budget, Decisions
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.ddpg_discrete.ddpg_discrete import DdpgDiscrete
from offloadopt.learners.ddpg_discrete.policy import CentralPolicy, state_of

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 3,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 2,
    "imitation_steps": 5,
}


def mobile(**changes: Any) -> Any:
    return registry.problem("partial_mobile", **{"users": 3, "horizon": 4, **changes})


def test_a_normalised_state_is_each_entry_times_its_factor() -> None:
    problem = mobile(users=2)
    instances = problem.sample(1, 0)
    observation = problem.observe(instances, problem.reset(instances))
    raw, scaled = (state_of(problem, observation, normalise)[0] for normalise in (False, True))
    position, bits = instances["position_m"][0, 0], instances["task_bits"][0, 0]
    for user in range(2):
        assert raw[user].tolist() == [*position[user], bits[user], 0, 0, 0, 0, 0]
        np.testing.assert_allclose(scaled[user], [*position[user] / 400.0, bits[user] / 2e6, 0, 0, 0, 0, 0])
    decision = problem.decode(np.array([[[1.0, 0.5, 0.0], [1.0, 0.75, 0.0]]]))
    state, _ = problem.step(instances, problem.reset(instances), decision)
    np.testing.assert_allclose(
        state_of(problem, problem.observe(instances, state), True)[0, :, 3:], [[1.25, 0, 0, 0, 0]] * 2
    )


def test_coordinates_are_ratio_cpu_and_server() -> None:
    problem = mobile(users=4)
    decisions = problem.decode(np.array([[[0.5, 0.25, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]]))
    assert decisions["server"].tolist() == [[1, 5, 0, 0]]  # CPU level 0 is local computing
    assert decisions["ratio"].tolist() == [[0.5, 1.0, 0.0, 0.0]]
    assert decisions["cpu_hz"].tolist() == [[2.5e9, 10e9, 0.0, 0.0]]


def test_encoded_decisions_are_decoded_to_what_costs_the_same() -> None:
    problem = mobile()
    instances = problem.sample(5, 1)
    solutions = registry.solver("exact", problem).run(problem, instances)
    coordinates = problem.encode(solutions.decisions)
    local = solutions.decisions["server"] == 0
    assert (np.isnan(coordinates[..., 2]) == local).all()
    back = [problem.decode(np.nan_to_num(coordinates[:, slot])) for slot in range(problem.horizon)]
    cost = problem.evaluate(instances, Decisions.over_slots(back)).cost
    np.testing.assert_allclose(cost, solutions.objective, rtol=1e-9)


def test_a_shared_actor_serves_any_number_of_users(tmp_path: Path) -> None:
    for networks in ("shared", "joint"):
        DdpgDiscrete(**SMALL, networks=networks).fit(mobile(), budget=Budget(steps=40)).save(tmp_path / networks)
    five = mobile(users=5)
    assert np.isfinite(load_policy(tmp_path / "shared", five).run(five, five.sample(2, 0)).objective).all()
    with pytest.raises(InvalidInput, match=r"layers\.0"):
        load_policy(tmp_path / "joint", five)
    with pytest.raises(DamagedFile):
        CentralPolicy.load(_without_origin(tmp_path / "joint", tmp_path / "odd"), mobile())
    with pytest.raises(Unsupported, match="JointProblem"):
        DdpgDiscrete(**SMALL).fit(registry.problem("multi_server"))


def _without_origin(folder: Path, odd: Path) -> Path:
    """A policy whose arrays are not those that its settings speak of."""
    policy = load_policy(folder, mobile())
    assert isinstance(policy, CentralPolicy)
    policy.origin = policy.origin.replace(settings={**policy.origin.settings, "networks": "shared"})
    policy.save(odd)
    return odd
