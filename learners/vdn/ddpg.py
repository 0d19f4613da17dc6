"""DDPG with value decomposition: decentralised actors trained with the team's decomposed value.

Actors are those of `maddpg`, with its exploration and its gradients through choices; critics are the utilities ``Q_i``
of `vdn`, each of its agent's own view and action. Since an actor's action enters one utility alone, ascending the
gradient of ``Q_i`` (Lillicrap et al. 2016, arXiv:1509.02971, equation (6)) ascends that of ``Q_tot``. Unlike MADDPG's
critics these need no views and actions of other agents.
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
    imitation_weight: float = Field(
        10.0, ge=0, description="of the imitation loss of demonstrations beside minus the value (Nair et al. 2018)"
    )

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> DdpgVdnAgents:
        """Create actors and utilities with initial weights."""
        return DdpgVdnAgents(self, self.interface(problem), generator)


class DdpgVdnAgents(VdnAgents):
    """Actors and utilities of all agents.

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
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Actions of the actors with noise, or random ones with probability ``epsilon``."""
        actions = self.relaxed.explore(outputs(self.actor, observation), self.settings.noise, generator)
        random = torch.rand(*actions.shape[:-1], 1, generator=generator) < self.settings.epsilon
        return torch.where(random, self.random_actions(observation, generator), actions)

    def next_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Sample actions of the target actors."""
        return self.relaxed.straight_through(
            outputs(self.target_actor, observation), self.settings.temperature, generator
        )

    def utilities(self, utility: UtilityNetwork, observation: AgentObservation, actions: Tensor) -> Tensor:
        """Compute the agents' utilities ``[rows, agents]``."""
        return utility(observation.view, actions)[..., 0]

    def update_actors(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """Take a gradient step of the actors, each on its own utility."""

        def value(own: Tensor) -> Tensor:
            return self.utilities(self.utility, batch.observation, own)

        s, loss = self.settings, self.imitation_loss(self.actor, batch)
        if not self.imitating:
            loss = loss + actor_loss(
                self.actor, batch.observation, self.relaxed, value, s.temperature, s.output_weight, generator
            )
        self.optimizers["actor"].descend(self.loss_per_copy(batch.weighted(loss)), spent)

    def policy_actor(self) -> Actor:
        """Actors of the trained policy."""
        return self.actor
