"""Clipping of gradients and soft target updates."""

from __future__ import annotations

from typing import Any

import torch

from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.torch_utils import clip_gradients_per_copy, polyak_update, seeded_generator
from offloadopt.learners.maddpg.maddpg import ActorsAndCritics, Maddpg

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""


def agents_of(problem: Any, seed: int = 0, **settings: Any) -> ActorsAndCritics:
    """Agents whose networks all answer something, by copies and roles."""
    agents = ActorsAndCritics(
        Maddpg(**{**SMALL, **settings}), AgentInterface(problem, None, None), seeded_generator(seed)
    )
    nets = (agents.actor, agents.critic, agents.target_actor, agents.target_critic)
    for number, networks in enumerate(nets):
        for parameter in networks.parameters():
            parameter.data.normal_(std=0.5, generator=seeded_generator(number))
    return agents


def test_each_copys_gradient_is_shortened_by_itself() -> None:
    weight, bias = torch.zeros(3, 2, 1), torch.zeros(3, 1)
    weight[0], bias[0] = torch.tensor([[3.0], [0.0]]), 4.0
    weight[1] = 0.1
    clip_gradients_per_copy([weight, bias], 1.0)
    torch.testing.assert_close(weight[0], torch.tensor([[0.6], [0.0]]))
    torch.testing.assert_close(bias[0], torch.tensor([0.8]))
    torch.testing.assert_close(weight[1], torch.full((2, 1), 0.1))
    assert (weight[2] == 0).all()


def test_targets_follow_by_the_share_tau(aiming: Any) -> None:
    agents = agents_of(aiming())
    before = [parameter.detach().clone() for parameter in agents.target_actor.parameters()]
    polyak_update(agents.target_actor, agents.actor, 0.25)
    polyak_update(agents.target_actor, agents.actor, 0.25)
    for old, now, source in zip(before, agents.target_actor.parameters(), agents.actor.parameters(), strict=True):
        torch.testing.assert_close(now, old + (1 - 0.75**2) * (source - old))
