"""Replay buffers: which transitions are drawn, and restoring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import (
    DemonstrationReplay,
    Experience,
    JointReplay,
    Prioritisation,
)


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


# ------------------------------------------------------------------------------------------- with demonstrations


def demonstrated(*numbers: float) -> Experience:
    """Transitions whose action and reward are a number."""
    values = torch.tensor(numbers).view(-1, 1, 1)
    observation = AgentObservation(values, None, values[..., 0])
    return Experience(observation, values, values[..., 0], observation)


def mixed(own: JointReplay, *numbers: float, **rule: Any) -> DemonstrationReplay:
    return DemonstrationReplay(own, 2 * own.capacity, demonstrated(*numbers), Prioritisation(**rule))


def test_demonstrations_are_kept_and_own_transitions_overwritten() -> None:
    replay = mixed(JointReplay(4), -1.0, -2.0, exponent=0.0)
    for number in range(9):
        seen, action, reward = moment(number)
        replay.append(seen, *((action, reward) if number % 3 < 2 else ()))
    batch = replay.draw(300, np.random.default_rng(0))
    is_shown = batch.prioritised.demonstrated
    assert set(batch.reward[is_shown].flatten().tolist()) == {-1.0, -2.0}
    assert set(batch.reward[~is_shown].flatten().tolist()) == {60.0, 61.0, 70.0, 71.0}
    assert torch.equal(batch.next_observation.view[..., 0][~is_shown], batch.reward[~is_shown] + 10)
    assert torch.equal(batch.action[..., 0], batch.reward)
    assert 0.2 < is_shown.float().mean() < 0.5  # two of six
    assert set(batch.prioritised.weight.tolist()) == {1.0}


def test_priorities_are_errors_plus_a_bonus_and_weights_correct_for_them() -> None:
    """Errors 3 and 0 of demonstrations with bonus 1, 0.25 of an own transition with bonus 0: roots 2, 1, 0.5."""
    replay = mixed(JointReplay(3), 1.0, 2.0, exponent=0.5, own_bonus=1e-12, importance_exponent=0.5)
    replay.append(*moment(0.7, num_envs=1))
    replay.append(moment(1.7, num_envs=1)[0])
    errors = {1.0: 3.0, 2.0: 0.0, 7.0: -0.25}
    for seed in range(2):  # at first no error is known, and the own transition is not drawn
        drawn = replay.draw(400, np.random.default_rng(seed))
        drawn.update_priorities(torch.tensor([[errors[float(reward)]] for reward in drawn.reward.flatten()]))
    batch = replay.draw(70_000, np.random.default_rng(1))
    found = {number: float((batch.reward == number).float().mean()) for number in errors}
    assert found == pytest.approx({1.0: 4 / 7, 2.0: 2 / 7, 7.0: 1 / 7}, abs=0.01)
    weights = {number: batch.prioritised.weight[batch.reward.flatten() == number][0].item() for number in errors}
    assert weights == pytest.approx({1.0: 0.5, 2.0: 0.5**0.5, 7.0: 1.0}, rel=1e-5)
    late = replay.draw(1000, np.random.default_rng(1), spent=1.0)
    assert late.prioritised.weight.min() == pytest.approx(0.25, rel=1e-5)
    losses = batch.weighted(torch.ones(70_000, 3))
    assert torch.equal(losses[:, 2], batch.prioritised.weight)
    shown = batch.only_demonstrated(lambda: torch.ones(70_000, 3))
    assert torch.equal(shown.any(dim=1), batch.reward.flatten() < 7)


def test_rows_that_were_replaced_have_no_priority() -> None:
    replay = mixed(JointReplay(4), 1.0, 2.0)
    drawn = replay.draw(6, np.random.default_rng(0)).prioritised.replaced_from(2)
    assert (drawn.rows[2:] == -1).all()
    assert drawn.weight[2:].tolist() == [1.0] * 4
    batch = replace(demonstrated(*range(6)), prioritised=drawn)
    batch.update_priorities(torch.arange(6.0))
    assert np.nanmax(replay.priorities.error) <= 1.0


def test_a_restored_replay_with_demonstrations_draws_the_same() -> None:
    replay, copy = (mixed(JointReplay(4), -1.0, -2.0, -3.0) for _ in range(2))
    for number in range(6):
        replay.append(*moment(number))
    replay.draw(5, np.random.default_rng(0)).update_priorities(torch.arange(5.0))
    copy.restore(replay.arrays())
    one, other = (held.draw(9, np.random.default_rng(1)) for held in (replay, copy))
    assert torch.equal(one.reward, other.reward)
    assert torch.equal(one.prioritised.weight, other.prioritised.weight)
