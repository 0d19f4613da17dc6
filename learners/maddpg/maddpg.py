"""MADDPG: actors that decide from what each agent sees, taught by critics that see all of them.

Lowe et al. 2017, "Multi-agent actor-critic for mixed cooperative-competitive environments" (arXiv:1706.02275), for
agents with numbers, choices, or both:

1. episodes side by side are decided at first by chance, then by every agent's actor from its own view, with noise on
   numbers and choices drawn from a softmax; what all saw, did and were paid enters a joint replay (`joint_learner`);
2. a critic ``Q_i(x, a_1, ..., a_n)`` of everything seen and all agents' actions steps towards
   ``r_i + gamma Q'_i(x', mu'_1, ..., mu'_n)`` with the slowly following networks ``Q'``, ``mu'`` (their equation (6));
3. agent i's actor steps up the slope of ``Q_i`` by its own action, the others' being those of the replay (equation
   (5)). Through choices the slope passes by the straight-through Gumbel-softmax estimator (see `relaxed`);
4. execution does not explore, and nothing passes between agents.

Each agent is paid for its own cost, or all for everybody's.

What is not in the paper: choices that are whole where critics see them, one network for all agents (``shared``), some
decisions by chance also after the warm-up, and large outputs that cost (``output_weight``).

What was found, one training each. On ``battery_d2d`` from view ``full``, mean cost of 128 held-out draws: 470 after
680,000 steps (78 s of CPU), 558 with another seed after 560,000 (73 s); everything at home in the slowest mode is 823.
On ``carbon_mimo`` (view ``full``, ``controls = "energy"``) it came to 12.8 in 37 s of CPU with ``gamma = 0.99``,
``noise = 0.1`` and ``epsilon = 0.02``; `ppo` to 9.2 in 34 s.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from offloadopt.core import Observation, Outcome
from offloadopt.envs.rewards import agent_reward, team_reward
from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.gumbel_softmax import RelaxedActions
from offloadopt.learners.common.off_policy import OffPolicyLearner, TrainableAgents
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import Arrays
from offloadopt.learners.maddpg.critic import CentralisedCritic
from offloadopt.structures.agents import AgentProblem


class Maddpg(OffPolicyLearner):
    """MADDPG for any problem whose decisions are made by agents."""

    name = "maddpg"

    reward: Literal["agent", "team"] = Field("agent", description="whose cost an agent bears: its own or everybody's")
    actor_rate: float = Field(1e-3, gt=0, description="Adam's step size for actors")
    critic_rate: float = Field(3e-3, gt=0, description="Adam's step size for critics")
    temperature: float = Field(1.0, gt=0, description="of the softmax through which choices pass gradients")
    noise: float = Field(0.2, ge=0, description="deviation of explored numbers, in halves of their range")
    epsilon: float = Field(0.05, ge=0, le=1, description="share of decisions by chance also after the warm-up")
    output_weight: float = Field(1e-3, ge=0, description="of the actors' mean squared outputs, which holds them back")

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> ActorsAndCritics:
        """Actors and critics with fresh weights."""
        return ActorsAndCritics(self, AgentInterface(problem, self.view, self.controls), generator)

    def rewards(self, outcome: Outcome) -> NDArray[Any]:
        """Rewards ``[count, agents]``."""
        return team_reward(outcome) if self.reward == "team" else agent_reward(outcome)


class ActorsAndCritics(TrainableAgents):
    """Every agent's actor and critic and the networks that follow them.

    Attributes
    ----------
    actor, target_actor : Actor
    critic, target_critic : CentralisedCritic
    sent, delivered : int
        Bytes that left agents, and that reached them.
    """

    def __init__(self, settings: Maddpg, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface)
        self.settings = settings
        self.sent = self.delivered = 0
        shape = settings.hidden, settings.activation
        sizes = (interface.features, *settings.hidden, interface.heads.outputs)
        self.actor = Actor(self.copies, sizes, settings.activation, False, settings.standardise)
        sees = interface.features, self.global_features, self.relaxed.size
        self.critic = CentralisedCritic(interface.problem.num_agents, self.copies, sees, *shape, settings.standardise)
        self.actor.initialise(generator)
        self.critic.initialise(generator)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self.register("actor", self.actor, settings.actor_rate, self.target_actor)
        self.register("critic", self.critic, settings.critic_rate, self.target_critic)

    @property
    def global_features(self) -> int:
        """Numbers in what critics see of everybody."""
        return self.interface.global_features

    def policy_actor(self) -> Actor:
        """The actors."""
        return self.actor

    def observe(self, observation: Observation) -> AgentObservation:
        """What agents and critics see."""
        return self.interface.observe(observation, with_global_state=True)

    def global_states(self, seen: AgentObservation) -> Tensor:
        """What critics see of everybody ``[count, features]``."""
        return cast(Tensor, seen.global_state)

    def count_communication(self, seen: AgentObservation, rows: Tensor | None) -> None:
        """Count the bytes of experience that every agent tells all others: a view, an action, a reward."""
        size = self.interface.view_bytes
        if rows is not None:
            size += self.interface.action_bytes + NUMBER_BYTES
        size *= seen.view.shape[:2].numel()
        self.sent += size
        self.delivered += size * (self.interface.problem.num_agents - 1)

    @property
    def communication(self) -> dict[str, float]:
        """Bytes of experience, and of weights if these are shared."""
        return {"bytes/sent": float(self.sent), "bytes/delivered": float(self.delivered), **super().communication}

    @torch.no_grad()
    def explore(self, seen: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """What the actors do with noise, and now and then anything."""
        rows = self.relaxed.explore(outputs(self.actor, seen), self.settings.noise, generator)
        anything = torch.rand(*rows.shape[:-1], 1, generator=generator) < self.settings.epsilon
        return torch.where(anything, self.random_actions(seen, generator), rows)

    @torch.no_grad()
    def update_statistics(self, moments: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Let statistics follow what was seen and the rewards ``[slots, count, agents]`` paid for it."""
        view = torch.stack([seen.view for seen in moments])
        if self.actor.normalizer is not None:
            self.actor.normalizer.update_statistics(view)
        self.critic.update_statistics(view, torch.stack([self.global_states(seen) for seen in moments]))
        self.critic.update_reward_statistics(reward, self.gamma, self.target_critic if learning else None)
        self.copy_statistics()

    @torch.no_grad()
    def target(self, batch: Experience, generator: torch.Generator) -> Tensor:
        """[rows, agents] what the critics should have said, in deviations."""
        reward = self.critic.standardise_rewards(batch.reward)
        if self.gamma == 0.0:
            return reward
        own = self.next_actions(self.target_actor, batch.next_observation, generator)
        others = own if batch.others is None else cast(Tensor, batch.others.next_action)
        return reward + self.gamma * self.target_critic(batch.next_observation, own, others)

    @torch.no_grad()
    def next_actions(self, actor: Actor, following: AgentObservation, generator: torch.Generator) -> Tensor:
        """What following actors do next."""
        return self.relaxed.straight_through(outputs(actor, following), self.settings.temperature, generator)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """A step of the critics, one of the actors, and their targets behind them; and what was measured in it."""
        value = self.critic(batch.observation, batch.action, batch.others_action)
        error = value - self.target(batch, generator)
        self.optimizers["critic"].descend(self.loss_per_copy(0.5 * error.square()), spent)
        self._improve(batch, spent, generator)
        self.update_targets(spent, self.critic.to_reward_units(value.detach(), self.gamma).mean(dim=0))
        return {"loss/critic": error.detach().square().mean(), "value": value.detach().mean()}

    def _improve(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """A step of the actors along the critics' slopes by what each would do beside what the others did."""

        def value(own: Tensor) -> Tensor:
            return self.critic(batch.observation, own, batch.others_action)

        s = self.settings
        loss = actor_loss(self.actor, batch.observation, self.relaxed, value, s.temperature, s.output_weight, generator)
        self.optimizers["actor"].descend(self.loss_per_copy(loss), spent)

    def arrays(self) -> Arrays:
        """Everything that training changes."""
        return {**super().arrays(), "communication": np.array([self.sent, self.delivered])}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        super().restore(arrays)
        self.sent, self.delivered = arrays["communication"].tolist()


def outputs(actor: Actor, seen: AgentObservation) -> Tensor:
    """What actors answer ``[count, agents, outputs]``, without what cannot be chosen."""
    answers, _ = actor(seen.view[None])
    return mask_outputs(answers[0], seen.allowed)


def actor_loss(
    actor: Actor,
    seen: AgentObservation,
    relaxed: RelaxedActions,
    value: Callable[[Tensor], Tensor],
    temperature: float,
    output_weight: float,
    generator: torch.Generator,
) -> Tensor:
    """[rows, agents] a loss down which actors step up the slope of what their actions are worth.

    Parameters
    ----------
    value : callable
        Of each agent's own action ``[rows, agents, size]``.
    temperature : float
        Of the softmax through which choices pass gradients.
    output_weight : float
        Of the mean squared outputs, which holds actors back.
    """
    answers, _ = actor(seen.view[None])
    rows = relaxed.straight_through(mask_outputs(answers[0], seen.allowed), temperature, generator)
    own = rows.detach().requires_grad_()
    (slope,) = torch.autograd.grad(value(own).sum(), own)
    return output_weight * answers[0].square().mean(dim=-1) - (rows * slope).sum(dim=-1)
