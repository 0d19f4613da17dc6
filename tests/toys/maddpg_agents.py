"""Agents of MADDPG with random networks, and their experience."""

from __future__ import annotations

from typing import Any

import torch

from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
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


def experience(agents: ActorsAndCritics, rows: int = 7, seed: int = 0) -> Experience:
    rng = seeded_generator(seed)
    count, interface = agents.interface.problem.num_agents, agents.interface

    def seen() -> AgentObservation:
        view = torch.randn((rows, count, interface.features), generator=rng)
        return AgentObservation(view, None, torch.randn((rows, interface.global_features), generator=rng))

    now = seen()
    return Experience(now, agents.random_actions(now, rng), torch.randn((rows, count), generator=rng), seen())
