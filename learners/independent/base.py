"""Off-policy training of independent agents, common to `ddpg` and `dqn`; the training loop is that of `off_policy`.

1. After the warm-up features are standardised once, by its last round, and rewards by all of it; with demonstrations
   both are standardised by these.
2. Independent learners have stacked networks, one for each; each agent's reward is minus its own cost.
3. Target networks are updated softly.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from offloadopt.core import Problem
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.normalization import RunningNormalizer
from offloadopt.learners.common.off_policy import OffPolicyLearner, TrainableAgents
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.learners.independent.policy import DeterministicPolicy
from offloadopt.quantities import Factor, Rounds, Size
from offloadopt.structures.agents import AgentProblem

NO_SPREAD = 1e-7
"""Standard deviation of rewards that is rounding, as where an expert's decisions cost nothing."""


class IndependentLearner(OffPolicyLearner):
    """Off-policy training of independent agents: settings."""

    policy_type: ClassVar[type[DeterministicPolicy]] = DeterministicPolicy

    shared: bool = Field(False, description="one network for all agents instead of one for each")
    activation: Literal["relu"] = Field("relu", description="of the hidden layers")
    standardise: bool = Field(True, description="standardise features by their quartiles at the end of the warm-up")
    steps: Rounds = Field(1_200_000, ge=1, description="agents' decisions in training without a budget")
    warm_up: Size = Field(400, ge=1, description="slots of all environments with random actions, rounded up to a round")
    buffer_size: Size = Field(
        250_000, ge=1, description="latest time steps in the replay buffer, summed over environments"
    )
    gamma: float = Field(0.99, ge=0, lt=1, description="discount factor of a slot")
    max_gradient_norm: Factor | None = Field(
        None, gt=0, description="gradient norm of an agent to which longer gradients are clipped; none: not clipped"
    )
    reward_scale: Factor | None = Field(
        None, gt=0, description="factor of the reward, which is minus an agent's cost; none: standardised"
    )
    huber_delta: Factor | None = Field(
        1.0, gt=0, description="error from which a critic's loss grows no faster than linearly; none: squared"
    )

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also controls that the policies cannot set."""
        super().require(problem)
        interface = self.interface(cast(AgentProblem[Any], problem))
        interface.controls.allowed(interface.problem.empty_observation())
        self.policy_type.outputs(interface)


class IndependentAgents(TrainableAgents):
    """Networks of agents each of which learns from its own view and reward, with their target networks.

    Attributes
    ----------
    rewards : RunningNormalizer
        Statistics of the rewards before the first gradient step, one for each network.
    """

    settings: IndependentLearner
    state_fields: ClassVar[tuple[str, ...]] = ("rewards",)

    def __init__(self, settings: IndependentLearner, problem: AgentProblem[Any]) -> None:
        super().__init__(settings, settings.interface(problem))
        self.rewards = RunningNormalizer(self.copies)

    def add_networks(self, name: str, networks: AgentNetworks, rate: float, generator: torch.Generator) -> None:
        """Draw initial weights, and train the networks with a target network."""
        networks.eval().initialise(generator)
        self.register(name, networks, rate, copy.deepcopy(networks))

    @torch.no_grad()
    def update_statistics(self, observations: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Standardise by observations and rewards ``[slots, count, agents]`` until the first gradient step."""
        if learning:
            return
        self.rewards.update_statistics(reward.reshape(-1, self.copies))
        if self.settings.standardise:
            views = torch.cat([each.view for each in observations]).double().numpy()
            for learned in self.optimizers.values():
                cast(AgentNetworks, learned.networks).standardise(views)
            self.copy_statistics()

    @abstractmethod
    def next_value(self, view: Tensor) -> Tensor:
        """Compute the target networks' values ``[rows, agents]`` of the next views."""

    def target(self, batch: Experience) -> Tensor:
        """Compute the regression target ``r + gamma Q'`` of values, ``[rows, agents]``.

        A constant subtracted from every reward changes no preference between actions, since values are always
        bootstrapped from the next view.
        """
        if self.settings.reward_scale is None:
            center, spread = self.rewards.mean_and_std()
            reward = (batch.reward - center) / torch.where(spread > NO_SPREAD, spread, torch.ones_like(spread))
        else:
            reward = self.settings.reward_scale * batch.reward
        with torch.no_grad():
            return reward + self.gamma * self.next_value(batch.next_observation.view)
