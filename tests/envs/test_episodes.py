"""Episodes on sampled instances: fresh ones every time, stepped as the problem steps, with the last state observed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Decisions, Instances, Problem
from offloadopt.envs.episodes import BLOCK_SLOTS, Episodes, instance_batches
from offloadopt.errors import InvalidInput


@pytest.fixture
def small() -> Problem[Any]:
    return registry.problem("multi_server", users=4, servers=2)


def test_instances_are_sampled_in_blocks_and_never_repeat(small: Problem[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    sample = type(small).sample

    def counting(self: Problem[Any], count: int, seed: int) -> Instances:
        counts.append(count)
        return sample(self, count, seed)

    monkeypatch.setattr(type(small), "sample", counting)
    batches = instance_batches(small, 1, seed=0)
    gains = {next(batches)["gain"].tobytes() for _ in range(BLOCK_SLOTS + 10)}
    assert len(gains) == BLOCK_SLOTS + 10
    assert counts == [BLOCK_SLOTS, BLOCK_SLOTS]


def test_every_beginning_takes_the_next_instances_until_it_is_reseeded(small: Problem[Any]) -> None:
    episodes, batches = Episodes(small, 3, seed=5), instance_batches(small, 3, seed=5)
    for _ in range(2):
        episodes.begin()
        np.testing.assert_array_equal(episodes.observation["gain"], next(batches)["gain"])
    episodes.reseed(5)
    episodes.begin()
    np.testing.assert_array_equal(episodes.observation["gain"], next(instance_batches(small, 3, seed=5))["gain"])


def test_slots_follow_each_other_as_the_problem_steps_them(toy: ModuleType) -> None:
    problem = registry.problem("queues")
    episodes, instances = Episodes(problem, 4, seed=1), next(instance_batches(problem, 4, seed=1))
    episodes.begin()
    state, send = problem.reset(instances), Decisions({"send": np.ones((4, 2), dtype=np.int64)})
    for slot in range(3):
        expected = problem.observe(instances, state)
        np.testing.assert_array_equal(episodes.observation["waiting"], expected["waiting"])
        assert not episodes.ended
        state, outcome = problem.step(instances, state, send)
        np.testing.assert_array_equal(episodes.step(send).cost, outcome.cost)
        assert (episodes.truncated, episodes.terminated) == (slot == 2, False)
    # After the last slot: the state that it left, with the rates of that slot, since instances end there.
    np.testing.assert_array_equal(episodes.observation["waiting"], state.values["waiting"])
    np.testing.assert_array_equal(episodes.observation["rate"], instances["rate"][:, 2])


def test_a_one_shot_problem_terminates(small: Problem[Any]) -> None:
    episodes = Episodes(small, 2, seed=0)
    episodes.begin()
    local = {"server": np.zeros((2, 4), dtype=np.int64), "cpu_hz": np.full((2, 4), 1e9), "power_w": np.zeros((2, 4))}
    episodes.step(Decisions(local))
    assert (episodes.ended, episodes.terminated, episodes.truncated) == (True, True, False)
    with pytest.raises(InvalidInput, match="step after the horizon's end; allowed: reset first"):
        episodes.step(Decisions(local))


def test_nothing_can_be_seen_or_done_before_the_beginning(small: Problem[Any]) -> None:
    episodes = Episodes(small, 1, seed=0)
    for act in (episodes.require_running, lambda: episodes.observation):
        with pytest.raises(InvalidInput, match="no episode has begun; allowed: reset first"):
            act()
    with pytest.raises(InvalidInput, match="count = 0; allowed: at least one episode"):
        Episodes(small, 0, seed=0)
