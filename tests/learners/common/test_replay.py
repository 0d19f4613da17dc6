"""Replay buffers: which transitions are drawn, and restoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import JointReplay, TransitionReplay


def moment(number: float, num_envs: int = 2) -> tuple[AgentObservation, Tensor, np.ndarray[Any, Any]]:
    values = torch.arange(num_envs) + 10.0 * number
    return (
        AgentObservation(values.view(-1, 1, 1), None, values.view(-1, 1)),
        values.view(-1, 1, 1),
        values.view(-1, 1).numpy(),
    )


def filled(room: int, moments: int, horizon: int) -> JointReplay:
    """Episodes of ``horizon`` slots; moment k is seen, done and paid as 10 k + environment."""
    replay = JointReplay(room)
    for number in range(moments):
        seen, action, reward = moment(number)
        if number % (horizon + 1) == horizon:
            replay.append(seen)
        else:
            replay.append(seen, action, reward)
    return replay


@pytest.mark.parametrize("room", [4, 7, 100])
@pytest.mark.parametrize("moments", [7, 8, 9, 24])
def test_what_follows_is_the_next_moment_of_the_same_episode(room: int, moments: int) -> None:
    horizon = 2
    batch = filled(room, moments, horizon).draw(400, np.random.default_rng(0))
    assert torch.equal(batch.observation.view[..., 0], batch.reward)
    assert torch.equal(batch.action[..., 0], batch.reward)
    assert torch.equal(batch.next_observation.view[..., 0], batch.reward + 10)
    drawn = set(batch.reward.flatten().tolist())
    held = range(max(0, moments - room), moments - 1)
    assert drawn == {10.0 * k + e for k in held if k % (horizon + 1) < horizon for e in (0, 1)}


def test_a_replay_that_is_put_back_draws_the_same_also_later() -> None:
    replay, copy = filled(7, 9, 2), JointReplay(7)
    copy.restore(replay.arrays())
    for number in range(9, 14):
        seen, action, reward = moment(number)
        one, other = (held.draw(9, np.random.default_rng(number)) for held in (replay, copy))
        assert torch.equal(one.reward, other.reward)
        assert torch.equal(one.next_observation.view, other.next_observation.view)
        for held in (replay, copy):
            held.append(seen, *((action, reward) if number % 3 < 2 else ()))


def test_a_full_ring_holds_the_latest_rows() -> None:
    ring = TransitionReplay(5)
    for slot in range(4):
        number = np.full((2, 2), float(slot))  # two environments, two agents
        ring.append(number[..., None], number[..., None], number, number[..., None] + 1)
    assert ring.count == 5
    assert sorted(ring.rewards()[:, 0]) == [1, 2, 2, 3, 3]
    batch = ring.draw(200, np.random.default_rng(0))
    assert set(batch.reward.flatten().tolist()) == {1.0, 2.0, 3.0}
    assert torch.equal(batch.next_view[..., 0], batch.reward + 1)
    assert torch.equal(batch.view[..., 0], batch.reward)


def test_a_ring_that_is_put_back_draws_the_same() -> None:
    ring, copy = (TransitionReplay(7) for _ in range(2))
    rng = np.random.default_rng(1)
    for _ in range(4):
        ring.append(rng.random((3, 1, 2)), rng.random((3, 1, 1)), rng.random((3, 1)), rng.random((3, 1, 2)))
    copy.restore(ring.arrays())
    one, other = (held.draw(9, np.random.default_rng(2)) for held in (ring, copy))
    assert torch.equal(one.view, other.view)
    assert torch.equal(one.next_view, other.next_view)
    assert copy.appended == 12
