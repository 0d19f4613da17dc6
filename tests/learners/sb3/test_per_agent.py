"""Agents one by one: the views and the menus of actions of single agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.sb3.dqn import DQN
from offloadopt.learners.sb3.per_agent import AgentEncoding

QUICK = DQN(num_envs=8, learning_starts=64)
"""With so few random decisions that a short training trains."""


@pytest.fixture(scope="module")
def devices() -> Any:
    """Three agents who choose one of 4 targets and one of 6 modes each."""
    return registry.problem("battery_d2d", horizon=5, users=3, servers=1)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Three users: ratio, CPU and one of 5 servers each."""
    return registry.problem("partial_mobile", horizon=4, users=3)


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("stable_baselines3")


def observed(problem: Any, count: int) -> Any:
    instances = problem.sample(count, 0)
    return problem.observe(instances, problem.reset(instances))


def test_an_entry_is_a_combination_of_an_agents_options(devices: Any) -> None:
    encoding = AgentEncoding(devices, levels=5)
    assert len(encoding.menu) == 24
    decided = encoding.decode(observed(devices, 2), np.array([[0, 7, 23], [6, 5, 18]]))
    assert decided["target"].tolist() == [[0, 1, 3], [1, 0, 3]]
    assert decided["mode"].tolist() == [[0, 1, 5], [0, 5, 0]]


def test_numbers_are_decided_by_levels(aiming: Any) -> None:
    encoding = AgentEncoding(aiming(), levels=3)
    decided = encoding.decode(observed(aiming(), 2), np.array([[0, 5], [7, 8]]))
    assert decided["aim"].tolist() == [[[-1, -1], [1, 3]], [[3, 1], [3, 3]]]


@pytest.mark.parametrize("view", [None, "full"])
def test_an_agent_sees_its_own_view(devices: Any, view: str | None) -> None:
    encoding, observation = AgentEncoding(devices, levels=5, view=view), observed(devices, 6)
    inputs = encoding.encode(observation)
    assert inputs.shape == (6, 3, encoding.features)
    np.testing.assert_array_equal(inputs, devices.view(observation, view or "paper").astype(np.float32))


def test_a_user_decides_on_the_grid_of_the_controls_that_are_named(moving: Any) -> None:
    encoding = AgentEncoding(moving, levels=3, controls="requests")
    assert len(encoding.menu) == 3 * 3 * 5
    entries = np.array([[0, 44, 3 * 5 + 5 + 2]])
    decided = encoding.decode(observed(moving, 1), entries)
    capacity = moving.scenario.cpu_server_hz
    assert decided["server"].tolist() == [[0, 5, 3]]
    np.testing.assert_allclose(decided["ratio"], [[0, 1, 0.5]])
    np.testing.assert_allclose(decided["cpu_hz"], [[0, capacity, 0.5 * capacity]])


def test_one_network_serves_any_number_of_agents(library: Any, tmp_path: Path, moving: Any) -> None:
    QUICK.fit(moving, budget=Budget(steps=240)).save(tmp_path)
    more = registry.problem("partial_mobile", horizon=4, users=7)
    decided, _ = policies.load_policy(tmp_path, more).act(observed(more, 2))
    assert decided["server"].shape == (2, 7)


def test_a_policy_with_another_menu_is_refused(library: Any, tmp_path: Path, devices: Any) -> None:
    QUICK.fit(devices, budget=Budget(steps=240)).save(tmp_path)
    other = registry.problem("battery_d2d", "fixed-frequency", horizon=5, users=3, servers=1)
    with pytest.raises(InvalidInput, match=r"24 entries on the menu; those of this battery_d2d have \d+ and 4$"):
        policies.load_policy(tmp_path, other)
