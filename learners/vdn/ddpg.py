"""DDPG whose critics add up: actors of numbers and choices, taught by a decomposed value of the team.

Actors are those of `maddpg`, with its exploration and its gradients through choices; the critics are the terms ``Q_i``
of `vdn`, each of its agent's own view and action. An actor's action is in one term alone, so it steps up the slope of
``Q_i`` (Lillicrap et al. 2016, arXiv:1509.02971, equation (6)), which is that of ``Q_tot``. Unlike MADDPG's critics
these need no views and actions of others.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.maddpg.maddpg import actor_loss, outputs
from offloadopt.learners.vdn.utility import UtilityNetwork
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents
from offloadopt.structures.agents import AgentProblem


class DdpgVdn(Vdn):
    """DDPG with a value-decomposed critic for any problem whose decisions are made by agents."""

    name = "ddpg-vdn"

    rate: float = Field(3e-3, gt=0, description="Adam's step size for critics")
    actor_rate: float = Field(1e-3, gt=0, description="and for actors, which falls alike")
    temperature: float = Field(1.0, gt=0, description="of the softmax through which choices pass gradients")
    noise: float = Field(0.2, ge=0, description="deviation of explored numbers, in halves of their range")
    epsilon: float = Field(0.05, ge=0, le=1, description="share of decisions by chance also after the warm-up")
    output_weight: float = Field(1e-3, ge=0, description="of the actors' mean squared outputs, which holds them back")

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> DdpgVdnAgents:
        """Actors and critics with fresh weights."""
        return DdpgVdnAgents(self, AgentInterface(problem, self.view, self.controls), generator)


class DdpgVdnAgents(VdnAgents):
    """Every agent's actor and its term of the critic.

    Attributes
    ----------
    actor, target_actor : Actor
    """

    def __init__(self, settings: DdpgVdn, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface, interface.heads.outputs, 1, generator)
        sizes = (interface.features, *settings.hidden, interface.heads.outputs)
        self.settings = settings
        self.actor = Actor(self.copies, sizes, settings.activation, False, settings.standardise)
        self.actor.initialise(generator)
        self.target_actor = copy.deepcopy(self.actor)
        self.register("actor", self.actor, settings.actor_rate, self.target_actor)

    @torch.no_grad()
    def explore(self, seen: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """What the actors do with noise, and now and then anything."""
        rows = self.relaxed.explore(outputs(self.actor, seen), self.settings.noise, generator)
        anything = torch.rand(*rows.shape[:-1], 1, generator=generator) < self.settings.epsilon
        return torch.where(anything, self.random_actions(seen, generator), rows)

    def following(self, seen: AgentObservation, generator: torch.Generator) -> Tensor:
        """What the following actors do."""
        return self.relaxed.straight_through(outputs(self.target_actor, seen), self.settings.temperature, generator)

    def terms(self, utility: UtilityNetwork, seen: AgentObservation, rows: Tensor) -> Tensor:
        """[rows, agents] of views and actions."""
        return utility(seen.view, rows)[..., 0]

    def update_actors(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """A step of the actors along the slopes of their terms."""

        def value(own: Tensor) -> Tensor:
            return self.terms(self.utility, batch.observation, own)

        s = self.settings
        loss = actor_loss(self.actor, batch.observation, self.relaxed, value, s.temperature, s.output_weight, generator)
        self.optimizers["actor"].descend(self.loss_per_copy(loss), spent)

    def policy_actor(self) -> Actor:
        """The actors."""
        return self.actor
