"""Batched episodes as environments of Stable-Baselines3: the same numbers, and how episodes end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.envs import AgentsView, AssignmentVectorEnv, ProblemVectorEnv
from offloadopt.envs.episodes import instance_batches
from offloadopt.learners.sb3.dqn import DQN


@pytest.fixture(scope="module")
def small() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=2)


@pytest.fixture(scope="module")
def agents() -> Any:
    return registry.problem("carbon_mimo", horizon=8, users=2, antennas=4)


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("stable_baselines3")


def test_the_librarys_batch_is_ours(small: Any, library: Any) -> None:
    from offloadopt.learners.sb3.vec_env import CentralVecEnv

    ours, theirs = AssignmentVectorEnv(small, 5), CentralVecEnv(AssignmentVectorEnv(small, 5))
    theirs.seed(3)
    np.testing.assert_array_equal(theirs.reset(), ours.reset(seed=3)[0])
    np.testing.assert_array_equal(theirs.reset(), ours.reset()[0])
    score = np.random.default_rng(0).uniform(-1, 1, (5, 2, 6)).astype(np.float32)
    observation, reward, terminated, _, info = ours.step(score)
    given = theirs.step(score)
    np.testing.assert_array_equal(given[0], observation)
    np.testing.assert_array_equal(given[1], reward.astype(np.float32))
    np.testing.assert_array_equal(given[2], terminated)
    for row in range(5):
        np.testing.assert_array_equal(given[3][row]["terminal_observation"], info["final_obs"][row])
        assert given[3][row]["TimeLimit.truncated"] is False


def test_the_end_of_a_horizon_is_told_as_a_truncation_with_what_was_left(agents: Any, library: Any) -> None:
    """So that the library bootstraps from the last observation, not from the next episode's first."""
    from offloadopt.learners.sb3.vec_env import CentralVecEnv

    view = AgentsView(agents)
    batch = CentralVecEnv(ProblemVectorEnv(agents, 3, view=view))
    batch.reset()
    for slot in range(8):
        observation, _, done, infos = batch.step(np.zeros((3, 4), dtype=np.float32))
        assert done.tolist() == [slot == 7] * 3
    for row, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        left = info["terminal_observation"]
        assert left.shape == view.observation_space.shape
        assert left[2] > 0  # agent 0's SINR before: only a first slot has none
        assert observation[row, 2] == 0


@pytest.fixture(scope="module")
def devices() -> Any:
    """Three agents who choose one of 4 targets and one of 6 modes each."""
    return registry.problem("battery_d2d", horizon=5, users=3, servers=1)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Three users: ratio, CPU and one of 5 servers each."""
    return registry.problem("partial_mobile", horizon=4, users=3)


@pytest.mark.parametrize("name", ["devices", "moving"])
def test_every_agent_of_every_episode_is_paid_its_own_cost(
    name: str, library: Any, request: pytest.FixtureRequest
) -> None:
    from offloadopt.learners.sb3.vec_env import PerAgentVecEnv

    problem = request.getfixturevalue(name)
    interface: Any = DQN(levels=4).make_interface(problem)
    batch = PerAgentVecEnv(interface, 4)
    batch.seed(3)
    observed, nature, rng = batch.reset(), instance_batches(problem, 4, 3), np.random.default_rng(0)
    for _ in range(2):
        instances = next(nature)
        state = problem.reset(instances)
        for slot in range(problem.horizon):
            observation = problem.observe(instances, state)
            known = interface.observe(observation).view.numpy()
            np.testing.assert_array_equal(observed, known.reshape(12, -1))
            entries = rng.integers(len(interface.controls.menu), size=12)
            state, outcome = problem.step(
                instances, state, interface.controls.choose(observation, entries.reshape(4, 3))
            )
            observed, reward, done, infos = batch.step(entries)
            np.testing.assert_allclose(reward, -outcome.agent_cost.ravel(), rtol=1e-6)
            assert batch.slot_reward == pytest.approx(-outcome.cost.mean())
            assert done.tolist() == [slot == problem.horizon - 1] * 12
    assert len({id(info) for info in infos}) == 12
    assert all(info["TimeLimit.truncated"] is True for info in infos)
    last = np.stack([info["terminal_observation"] for info in infos])
    assert last.shape == observed.shape
    assert not np.array_equal(last, observed)


def test_one_slot_ends_for_good(aiming: Any, library: Any) -> None:
    from offloadopt.learners.sb3.vec_env import PerAgentVecEnv

    problem = aiming(horizon=1)
    batch = PerAgentVecEnv(DQN(levels=3).make_interface(problem), 4)
    batch.reset()
    _, _, done, infos = batch.step(np.zeros(8, dtype=int))
    assert done.all()
    assert not any(info["TimeLimit.truncated"] for info in infos)
