"""DQN whose values add up, over agents and over the entries of an agent's decision.

Numbers stand on even levels. Where `dqn` has a menu of all combinations, an agent with several tasks, each with a place
and two shares, would have more of them than can be listed. Hence every entry of a decision is a branch of the agent's
network (Tavakoli et al. 2018, "Action branching architectures", arXiv:1711.08946), and the agent's term of `vdn`'s sum
is itself one,

    Q_i(o_i, a_i) = V_i(o_i) + A_i1(o_i)[a_i1] + ... + A_im(o_i)[a_im],

so that what each branch likes best is together the best. Tavakoli et al. give every branch a value and an error of its
own; here all have one, as all agents have.

An agent explores by a decision that is random in all its entries, with a chance that falls along a line from 1. Targets
are those of double DQN (van Hasselt et al. 2016, arXiv:1509.06461): ``Q'`` of what ``Q`` likes best.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.vdn.quantised_controls import QuantisedInterface, QuantisedPolicy
from offloadopt.learners.vdn.utility import UtilityNetwork
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents
from offloadopt.structures.agents import AgentProblem


class DqnVdn(Vdn):
    """DQN with values that are summed, for any problem whose decisions are made by agents."""

    name = "dqn-vdn"
    policy_type = QuantisedPolicy

    levels: int = Field(5, ge=2, description="even steps of each continuous decision; whole numbers count all")
    epsilon_end: float = Field(0.05, ge=0, le=1, description="least chance of exploring")
    epsilon_share: float = Field(0.5, gt=0, le=1, description="of the budget, in which this falls to it from 1")

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> DqnVdnAgents:
        """Networks with fresh weights."""
        interface = QuantisedInterface(problem, self.view, self.controls, self.levels)
        return DqnVdnAgents(self, interface, generator)


class DqnVdnAgents(VdnAgents):
    """Every agent's network, which answers with ``V_i``, then all ``A_ib``."""

    def __init__(self, settings: DqnVdn, interface: QuantisedInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface, 0, 1 + interface.heads.outputs, generator)
        self.settings = settings

    @torch.no_grad()
    def explore(self, seen: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """What the agents like best, or by chance anything."""
        s = self.settings
        epsilon = 1.0 - (1.0 - s.epsilon_end) * min(spent / s.epsilon_share, 1.0)
        anything = torch.rand(*seen.view.shape[:-1], 1, generator=generator) < epsilon
        return torch.where(anything, self.random_actions(seen, generator), self._best(seen))

    def following(self, seen: AgentObservation, generator: torch.Generator) -> Tensor:
        """What those who learn like best."""
        return self._best(seen)

    def terms(self, utility: UtilityNetwork, seen: AgentObservation, rows: Tensor) -> Tensor:
        """[rows, agents] sums over branches."""
        answers = utility(seen.view)
        return answers[..., 0] + (rows * answers[..., 1:]).sum(dim=-1)

    def policy_actor(self) -> Actor:
        """Networks without ``V_i``, which changes no choice."""
        s, interface = self.settings, self.interface
        sizes = (interface.features, *s.hidden, interface.heads.outputs)
        actor = Actor(self.copies, sizes, s.activation, False, s.standardise)
        weights = {
            name: weight
            for name, weight in self.utility.state_dict().items()
            if not name.startswith("reward_statistics.")
        }
        for name in ("network.last.weight", "network.last.bias"):
            weights[name] = weights[name][..., 1:]
        actor.load_state_dict(weights)
        return actor

    def _best(self, seen: AgentObservation) -> Tensor:
        return self.relaxed.harden(mask_outputs(self.utility(seen.view)[..., 1:], seen.allowed))
