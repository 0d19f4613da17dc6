"""Agents of value decomposition with random networks, their experience, and the same numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from offloadopt.core import Budget, Problem
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.ddpg import DdpgVdn
from offloadopt.learners.vdn.dqn import DqnVdn
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""


QUICK: dict[type[Vdn], dict[str, Any]] = {
    DdpgVdn: {
        "hidden": (32,),
        "batch_size": 64,
        "warm_up": 64,
        "gamma": 0.5,
        "tau": 0.05,
        "actor_rate": 5e-3,
        "rate": 1e-2,
    },
    DqnVdn: {"hidden": (32,), "batch_size": 64, "warm_up": 64, "gamma": 0.5, "tau": 0.05, "rate": 5e-3, "levels": 9},
}
"""Settings that learn the toy problem in seconds. On 9 levels it costs 1/48 at least."""


PAID = torch.tensor([[1.0, 10.0], [3.0, 30.0], [8.0, -4.0]])


def train(learner: type[Vdn], problem: Problem[Any], steps: int, seed: int = 0, **settings: Any) -> AgentPolicy:
    return learner(**settings).fit(problem, budget=Budget(steps=steps), seed=seed)


def team_of(learner: type[Vdn], problem: Any, **settings: Any) -> Any:
    """Agents whose networks all answer something, by copies and roles."""
    team = learner(**{**SMALL, **settings}).make_agents(problem, seeded_generator(0))
    nets = [learned.networks for learned in team.optimizers.values()] + list(team.targets.values())
    for number, networks in enumerate(nets):
        for parameter in networks.parameters():
            parameter.data.normal_(std=0.5, generator=seeded_generator(number))
    return team


def experience(team: VdnAgents, rows: int = 7, seed: int = 0, masked: bool = False) -> Experience:
    rng = seeded_generator(seed)
    agents, interface = team.interface.problem.num_agents, team.interface

    def seen() -> AgentObservation:
        view = torch.randn((rows, agents, interface.features), generator=rng)
        if not masked:
            return AgentObservation(view)
        allowed = torch.rand((rows, agents, 10), generator=rng) < 0.7
        allowed[..., [0, 5]] = True  # of two branches with 5 options each, one of which is always there
        return AgentObservation(view, allowed)

    now = seen()
    return Experience(now, team.random_actions(now, rng), torch.randn((rows, agents), generator=rng), seen())


def by_hand(network: StackedMLP, copy: int, signal: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    layers = [*network.hidden, network.last]
    for number, layer in enumerate(layers):
        weight, bias = layer.weight[copy].detach().double().numpy(), layer.bias[copy, 0].detach().double().numpy()
        signal = signal @ weight + bias
        signal = np.maximum(signal, 0.0) if number < len(layers) - 1 else signal
    return signal


def in_deviations(batch: Experience, paid: torch.Tensor) -> np.ndarray[Any, Any]:
    total = paid.sum(dim=1).numpy()
    return np.asarray((batch.reward.sum(dim=1).numpy() - total.mean()) / total.std())
