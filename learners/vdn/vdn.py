"""Value decomposition: agents decide alone, and one value that is the sum of theirs is taught what the team is paid.

Sunehag et al. 2017, "Value-decomposition networks for cooperative multi-agent learning" (arXiv:1706.05296):

1. agents live and learn along the course of `joint_learner`;
2. ``Q_tot = Q_1(o_1, a_1) + ... + Q_n(o_n, a_n)``: each term is of one agent's own view and action, and only the sum
   steps towards ``r_1 + ... + r_n + gamma Q'_tot`` with slowly following networks ``Q'``. How a reward is shared among
   the agents is left to what explains it best;
3. since the best of a sum is the sum of the bests, an agent that does what its own term likes best does what is best
   for the team, as far as the team's value is such a sum. Then nothing passes between agents, and there is no centre.

`vdn_dqn` decides on levels, `vdn_ddpg` by actors.

What is not in the paper: agents do not remember, their networks are two hidden layers, and the team's reward is
standardised.

What was found on ``twin_inference`` (4 users, 3 servers, view ``full``), mean cost of 32 held-out draws after 200,000
steps, three trainings each: `vdn_dqn` 194 to 202 in 11 to 20 s of CPU, `vdn_ddpg` 206 to 228 in 17 to 24 s, `maddpg`
197 to 202 in 24 to 29 s. What is best slot by slot costs 114, deciding by chance 450. With 9 levels instead of 5 one
training of `vdn_dqn` came to 205.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.off_policy import OffPolicyLearner, TrainableAgents
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.vdn.utility import UtilityNetwork


class Vdn(OffPolicyLearner):
    """Settings of a training whose value is a sum over agents."""

    rate: float = Field(1e-3, gt=0, description="Adam's step size for values")


class VdnAgents(TrainableAgents):
    """Agents whose values are taught by one error.

    Parameters
    ----------
    settings : Vdn
    interface : AgentInterface
    joined, outputs : int
        Of `UtilityNetwork`.
    generator : torch.Generator
        Of the initial weights.

    Attributes
    ----------
    utility, target_utility : UtilityNetwork
        The agents' values, and those that follow them.
    """

    def __init__(
        self, settings: Vdn, interface: AgentInterface, joined: int, outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__(settings, interface)
        shape = settings.hidden, settings.activation, settings.standardise
        self.utility = UtilityNetwork(self.copies, interface.features, joined, outputs, *shape)
        self.utility.initialise(generator)
        self.target_utility = copy.deepcopy(self.utility)
        self.register("utility", self.utility, settings.rate, self.target_utility)

    @abstractmethod
    def following(self, seen: AgentObservation, generator: torch.Generator) -> Tensor:
        """Rows of what the team would do next, for its value to be learned from."""

    @abstractmethod
    def terms(self, utility: UtilityNetwork, seen: AgentObservation, rows: Tensor) -> Tensor:
        """[rows, agents] the agents' terms of ``Q_tot``."""

    @torch.no_grad()
    def update_statistics(self, moments: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Let statistics follow what was seen and the rewards ``[slots, count, agents]`` paid for it."""
        views = torch.stack([seen.view for seen in moments])
        for learned in self.optimizers.values():
            normalizer = cast(Actor | UtilityNetwork, learned.networks).normalizer
            if normalizer is not None:
                normalizer.update_statistics(views)
        self.utility.update_reward_statistics(reward, self.gamma, self.target_utility if learning else None)
        self.copy_statistics()

    @torch.no_grad()
    def target(self, batch: Experience, generator: torch.Generator) -> Tensor:
        """[rows] what the terms should have added up to, in deviations."""
        reward = self.utility.standardise_rewards(batch.reward)
        if self.gamma == 0.0:
            return reward
        rows = self.following(batch.next_observation, generator)
        return reward + self.gamma * self.terms(self.target_utility, batch.next_observation, rows).sum(dim=-1)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """A step of the networks, and their targets behind them; and what was measured in it."""
        value = self.terms(self.utility, batch.observation, batch.action).sum(dim=-1)
        error = value - self.target(batch, generator)
        self.optimizers["utility"].descend(0.5 * error.square().mean(), spent)
        self.update_actors(batch, spent, generator)
        self.update_targets(spent, batch.reward.mean(dim=0))
        return {"loss/critic": error.detach().square().mean(), "value": value.detach().mean()}

    def update_actors(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """A step of whatever else learns; here nothing does."""
