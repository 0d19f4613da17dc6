"""DQN with value decomposition over agents and over the entries of each agent's action.

Continuous entries are quantised. `independent.dqn` lists all combinations of an agent's levels; an agent with several
tasks, each with a target and two shares, has too many of them. Hence every entry of an action is a branch of the
agent's network (Tavakoli et al. 2018, "Action branching architectures", arXiv:1711.08946), and the agent's utility in
the sum of `vdn` is itself a sum,

    Q_i(o_i, a_i) = V_i(o_i) + A_i1(o_i)[a_i1] + ... + A_im(o_i)[a_im],

so that the best options of all branches are together the best action. Tavakoli et al. train each branch by an error of
its own; here all branches are trained by the team's.

An agent explores by an action that is random in all its entries, with a probability that falls linearly from 1. Targets
are those of double DQN (van Hasselt et al. 2016, arXiv:1509.06461): ``Q'`` at the action that maximises ``Q``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor, AgentPolicy
from offloadopt.learners.common.demonstrations import large_margin_loss
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.vdn.utility import UtilityNetwork
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents
from offloadopt.quantities import Factor, Width
from offloadopt.structures.actions import Controls
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.levels import QuantisedControls


class QuantisedPolicy(AgentPolicy):
    """Policy in which every agent takes the option of greatest advantage in each entry of its action."""

    name = "levels"

    @classmethod
    def wrap_controls(cls, settings: Mapping[str, Any]) -> Callable[[Controls], Controls]:
        """Give numbers the learner's levels."""
        return partial(QuantisedControls, levels=settings["levels"])


class DqnVdn(Vdn):
    """DQN with a decomposed team value, for any problem whose decisions are made by agents."""

    name = "dqn-vdn"
    policy_type = QuantisedPolicy

    levels: Width = Field(5, ge=2, description="even steps of each continuous decision; whole numbers count all")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="least chance of exploring")
    epsilon_share: float = Field(0.5, gt=0, le=1, description="of the budget, in which this falls to it from 1")
    margin: Factor = Field(
        0.8, ge=0, description="by which demonstrated options are to lead, in deviations of the team's reward (DQfD)"
    )

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> DqnVdnAgents:
        """Create networks with initial weights."""
        interface = self.interface(problem)
        return DqnVdnAgents(self, interface, generator)


class DqnVdnAgents(VdnAgents):
    """Networks of all agents, whose outputs are ``V_i``, then the advantages ``A_ib`` of all branches' options."""

    settings: DqnVdn

    def __init__(self, settings: DqnVdn, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface, 0, 1 + interface.heads.outputs, generator)

    @torch.no_grad()
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Actions of greatest utility, or random ones with probability ``epsilon``."""
        s = self.settings
        fallen = 1.0 if self.demonstrated else min(spent / s.epsilon_share, 1.0)
        epsilon = 1.0 - (1.0 - s.epsilon_end) * fallen
        random = torch.rand(*observation.view.shape[:-1], 1, generator=generator) < epsilon
        return torch.where(random, self.random_actions(observation, generator), self._greedy(observation))

    def next_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Actions of greatest utility."""
        return self._greedy(observation)

    def utilities(self, utility: UtilityNetwork, observation: AgentObservation, actions: Tensor) -> Tensor:
        """Sum each agent's value and its chosen options' advantages to ``[rows, agents]``."""
        outputs = utility(observation.view)
        return outputs[..., 0] + (actions * outputs[..., 1:]).sum(dim=-1)

    def margin_loss(self, batch: Experience) -> Tensor | float:
        """Large-margin loss ``[rows]`` of the demonstrations, summed over all agents' branches."""

        def loss() -> Tensor:
            advantages = mask_outputs(self.utility(batch.observation.view)[..., 1:], batch.observation.allowed)
            branches = zip(self.relaxed.by_choice(advantages), self.relaxed.by_choice(batch.action), strict=True)
            parts = [large_margin_loss(values, chosen, self.settings.margin).flatten(1) for values, chosen in branches]
            return self.settings.imitation_weight * torch.cat(parts, dim=1).sum(dim=1)

        return batch.only_demonstrated(loss)

    def policy_actor(self) -> Actor:
        """Networks of the trained policy, without ``V_i``, which changes no choice."""
        actor: Actor = self.settings.make_actor(self.interface)
        weights = {
            name: weight
            for name, weight in self.utility.state_dict().items()
            if not name.startswith("reward_statistics.")
        }
        for name in ("network.last.weight", "network.last.bias"):
            weights[name] = weights[name][..., 1:]
        actor.load_state_dict(weights)
        return actor

    def _greedy(self, observation: AgentObservation) -> Tensor:
        return self.relaxed.harden(mask_outputs(self.utility(observation.view)[..., 1:], observation.allowed))
