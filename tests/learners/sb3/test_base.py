"""What a training by Stable-Baselines3 leaves alone, and how its budget is counted."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.errors import InvalidInput, OffloadError
from offloadopt.learners.sb3.algorithms import A2C, DDPG, PPO, CentralSb3Learner

LEARNERS = [
    A2C(),
    DDPG(learning_starts=64, num_envs=32),
    PPO(num_envs=16, rollout_length=20, minibatch_size=64, learning_rate=1e-3),
]
"""With so few random steps, and so short roll-outs, that a short training trains."""


every = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)


@pytest.fixture(scope="module")
def small() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=2)


@pytest.fixture(scope="module")
def devices() -> Any:
    """Agents whose decisions are whole numbers only: one of 4 targets and one of 6 modes each."""
    return registry.problem("battery_d2d", horizon=6, users=3, servers=1)


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("stable_baselines3")


def test_a_replay_buffer_that_does_not_fit_is_refused_before_it_is_made(
    library: Any, devices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offloadopt.memory.machine_bytes", lambda: 10**9)
    learner = registry.learner("dqn-sb3", buffer_size=10**8)
    with pytest.raises(InvalidInput, match=r"buffer_size = 100,000,000 steps of \d+ numbers"):
        learner.fit(devices, budget=Budget(steps=100))


def test_without_the_library_training_is_refused_in_one_line(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(OffloadError, match=r"pip install 'offloadopt\[sb3\]'$"):
        A2C().fit(small)


@every
def test_training_leaves_the_global_generators_and_threads_alone(
    learner: CentralSb3Learner, small: Any, library: Any
) -> None:
    def state() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().tolist()  # type: ignore[index]  # noqa: NPY002

    before, threads = state(), torch.get_num_threads()
    learner.fit(small, budget=Budget(steps=320), seed=0)
    assert state() == before
    assert torch.get_num_threads() == threads


@every
@pytest.mark.parametrize("scale_rewards", [False, True])
def test_training_leaves_nothing_in_the_systems_temporary_folder_and_is_silent(
    learner: CentralSb3Learner,
    scale_rewards: bool,
    devices: Any,
    library: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    learner.replace(scale_rewards=scale_rewards).fit(devices, budget=Budget(steps=320))
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")


@every
def test_progress_adds_up_to_the_steps_done_and_rewards_are_recorded(
    learner: CentralSb3Learner, small: Any, library: Any
) -> None:
    done: list[int] = []
    curve: dict[int, Mapping[str, float]] = {}
    slots, agents = 640, small.num_agents
    policy = learner.fit(
        small,
        budget=Budget(steps=slots * agents),
        progress=done.append,
        record=lambda step, numbers: curve.update({step: numbers}),
    )
    assert sum(done) == policy.origin.training["steps"] == slots * agents == max(curve)
    for found in curve.values():
        assert found["train/reward"] < 0
        assert found["episode/cost"] == pytest.approx(-found["train/reward"] / agents)


@every
def test_training_ends_when_its_seconds_are_over(learner: CentralSb3Learner, small: Any, library: Any) -> None:
    policy = learner.fit(small, budget=Budget(steps=10**9, seconds=0.2))
    assert 0 < policy.origin.training["steps"] < 10**9
    assert learner.fit(small, budget=Budget(seconds=1e-9)).origin.training["steps"] == 0
