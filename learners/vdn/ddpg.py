"""DDPG with value decomposition: decentralised actors trained with the team's decomposed value.

Actors are those of `maddpg`, with its exploration and its gradients through choices; critics are the utilities ``Q_i``
of `vdn`, each of its agent's own view and action. Since an actor's action enters one utility alone, ascending the
gradient of ``Q_i`` (Lillicrap et al. 2016, arXiv:1509.02971, equation (6)) ascends that of ``Q_tot``. Unlike MADDPG's
critics these need no views and actions of other agents.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.maddpg.maddpg import ActorAgents, ActorLearner
from offloadopt.learners.vdn.utility import UtilityNetwork
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents
from offloadopt.quantities import Rate
from offloadopt.structures.agents import AgentProblem


class DdpgVdn(ActorLearner, Vdn):
    """DDPG with a value-decomposed critic for any problem whose decisions are made by agents."""

    name = "ddpg-vdn"

    rate: Rate = Field(3e-3, gt=0, description="Adam's step size for critics")

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> DdpgVdnAgents:
        """Create actors and utilities with initial weights."""
        return DdpgVdnAgents(self, self.interface(problem), generator)


class DdpgVdnAgents(ActorAgents, VdnAgents):
    """Actors and utilities of all agents."""

    settings: DdpgVdn

    def __init__(self, settings: DdpgVdn, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface, interface.heads.outputs, 1, generator)
        self.make_actors(generator)

    def next_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Sample actions of the target actors."""
        return self.sample_actions(self.target_actor, observation, generator)

    def utilities(self, utility: UtilityNetwork, observation: AgentObservation, actions: Tensor) -> Tensor:
        """Compute the agents' utilities ``[rows, agents]``."""
        return utility(observation.view, actions)[..., 0]

    def update_actors(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """Take a gradient step of the actors, each on its own utility."""
        self.ascend(batch, lambda own: self.utilities(self.utility, batch.observation, own), spent, generator)
