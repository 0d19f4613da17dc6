"""Value decomposition networks: the team's value is the sum of the agents' utilities.

Sunehag et al. 2017, "Value-decomposition networks for cooperative multi-agent learning" (arXiv:1706.05296):

1. agents act in parallel environments and learn from a joint replay buffer (`off_policy`);
2. ``Q_tot = Q_1(o_1, a_1) + ... + Q_n(o_n, a_n)``: each utility depends on one agent's own view and action, and only
   the sum is regressed on ``r_1 + ... + r_n + gamma Q'_tot`` with target networks ``Q'``. How the team's reward is
   attributed to agents is not given but learned;
3. since a sum is largest where each term is, an agent that maximises its own utility maximises the team's value, as far
   as that is such a sum. Execution needs no communication and no central controller.

`vdn.dqn` decides on quantised actions, `vdn.ddpg` by actors.

Not in the paper: networks are not recurrent and have two hidden layers, and the team's reward is standardised.
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
from offloadopt.quantities import Rate


class Vdn(OffPolicyLearner):
    """Learner of a team value that is a sum of utilities."""

    rate: Rate = Field(1e-3, gt=0, description="Adam's step size for values")


class VdnAgents(TrainableAgents):
    """Agents whose utilities are trained by one temporal-difference error.

    Parameters
    ----------
    settings : Vdn
    interface : AgentInterface
    action_size, outputs : int
        As of `UtilityNetwork`.
    generator : torch.Generator
        Source of the initial weights.

    Attributes
    ----------
    utility, target_utility : UtilityNetwork
        The agents' utilities, and the target network.
    """

    def __init__(
        self, settings: Vdn, interface: AgentInterface, action_size: int, outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__(settings, interface)
        shape = settings.hidden, settings.activation, settings.standardise
        self.utility = UtilityNetwork(self.copies, interface.features, action_size, outputs, *shape)
        self.utility.initialise(generator)
        self.target_utility = copy.deepcopy(self.utility)
        self.register("utility", self.utility, settings.rate, self.target_utility)

    @abstractmethod
    def next_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Actions after the next observation, of which the target network gives the value."""

    @abstractmethod
    def utilities(self, utility: UtilityNetwork, observation: AgentObservation, actions: Tensor) -> Tensor:
        """Compute the agents' utilities ``[rows, agents]`` of their actions."""

    @torch.no_grad()
    def update_statistics(self, observations: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Add observations and rewards ``[slots, count, agents]`` to the running statistics."""
        views = torch.stack([each.view for each in observations])
        for learned in self.optimizers.values():
            cast(Actor | UtilityNetwork, learned.networks).normalizer.update_statistics(views)
        self.utility.update_reward_statistics(reward, self.gamma, self.target_utility if learning else None)
        self.copy_statistics()

    @torch.no_grad()
    def target(self, batch: Experience, generator: torch.Generator) -> Tensor:
        """Compute the standardised regression target ``[rows]`` of ``Q_tot``."""
        reward = self.utility.standardise_rewards(batch.reward)
        if self.gamma == 0.0:
            return reward
        actions = self.next_actions(batch.next_observation, generator)
        return reward + self.gamma * self.utilities(self.target_utility, batch.next_observation, actions).sum(dim=-1)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of the networks, update the targets, and return metrics."""
        value = self.utilities(self.utility, batch.observation, batch.action).sum(dim=-1)
        error = value - self.target(batch, generator)
        loss = 0.5 * error.square() + self.margin_loss(batch)
        self.optimizers["utility"].descend(batch.weighted(loss).mean(), spent)
        batch.update_priorities(error)
        self.update_actors(batch, spent, generator)
        self.update_targets(spent, batch.reward.mean(dim=0))
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}

    def margin_loss(self, batch: Experience) -> Tensor | float:
        """Loss ``[rows]`` by which demonstrated actions are to lead; here there is none, since actors imitate."""
        return 0.0

    def update_actors(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """Take a gradient step of the actors; here there are none."""
