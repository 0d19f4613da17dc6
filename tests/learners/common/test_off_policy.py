"""Off-policy training: what is stored during the warm-up, updates of targets, and settings that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from offloadopt.core import Budget
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.replay import JointReplay
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg.maddpg import ActorsAndCritics, Maddpg

SMALL: dict[str, Any] = {"hidden": (4,), "num_envs": 2, "batch_size": 4}


def test_every_observation_is_stored_once_and_the_last_of_an_episode_without_action(
    aiming: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_action: list[bool] = []
    append = JointReplay.append

    def counted(self: JointReplay, observation: Any, action: Any = None, reward: Any = None) -> None:
        with_action.append(action is not None)
        append(self, observation, action, reward)

    monkeypatch.setattr(JointReplay, "append", counted)
    Maddpg(**SMALL, warm_up=1000).fit(aiming(horizon=3), budget=Budget(steps=2 * 2 * 6))
    assert with_action == [True, True, True, False] * 2


def test_losses_are_averaged_over_all_agents_or_for_each(aiming: Any) -> None:
    loss = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    for shared, expected in ((True, [3.0]), (False, [2.0, 4.0])):
        settings = Maddpg(**SMALL, shared=shared)
        agents = ActorsAndCritics(settings, AgentInterface(aiming(), None, None), seeded_generator(0))
        assert agents.loss_per_copy(loss).tolist() == expected


def test_without_a_second_slot_the_future_does_not_count(aiming: Any) -> None:
    for horizon, gamma in ((1, 0.0), (2, 0.9)):
        interface = AgentInterface(aiming(horizon=horizon), None, None)
        assert ActorsAndCritics(Maddpg(**SMALL, gamma=0.9), interface, seeded_generator(0)).gamma == gamma


def test_a_buffer_without_room_for_a_transition_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 3 num_envs = 6"):
        Maddpg(**SMALL, buffer_size=5)
