"""MADDPG: decentralised actors trained with centralised critics.

Lowe et al. 2017, "Multi-agent actor-critic for mixed cooperative-competitive environments" (arXiv:1706.02275), for
agents with continuous actions, discrete actions, or both:

1. actions in parallel environments are random during the warm-up; then every agent's actor decides from its own view,
   with Gaussian noise on numbers and choices sampled from a softmax. Joint transitions of all agents enter a replay
   buffer (`off_policy`);
2. a critic ``Q_i(x, a_1, ..., a_n)`` of the global state and all agents' actions is regressed on
   ``r_i + gamma Q'_i(x', mu'_1, ..., mu'_n)`` with the target networks ``Q'``, ``mu'`` (their equation (6));
3. agent i's actor ascends the gradient of ``Q_i`` by its own action, with the others' actions from the replay buffer
   (equation (5)). The gradient passes through choices by the straight-through Gumbel-softmax estimator (see
   `gumbel_softmax`);
4. execution does not explore and needs no communication.

Each agent's reward is minus its own cost, or minus the cost of all agents.

Not in the paper: critics observe choices as one-hots, all agents may share one network (``shared``), some actions are
random also after the warm-up, and large outputs of actors are penalised (``output_weight``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from offloadopt.core import Observation, Outcome
from offloadopt.envs.rewards import agent_reward, team_reward
from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.off_policy import OffPolicyLearner, TrainableAgents
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.maddpg.critic import CentralisedCritic
from offloadopt.memory import require_memory
from offloadopt.quantities import Factor, Rate
from offloadopt.structures.agents import AgentProblem

JOINT_COPIES = 10
"""Copies of all agents' actions, as each agent's critic reads them, that a gradient step holds."""


class ActorLearner(OffPolicyLearner):
    """Settings of actors that ascend the values of a critic."""

    actor_rate: Rate = Field(1e-3, gt=0, description="Adam's step size for actors")
    temperature: Factor = Field(1.0, gt=0, description="of the softmax through which choices pass gradients")
    noise: Factor = Field(0.2, ge=0, description="deviation of explored numbers, in halves of their range")
    epsilon: float = Field(0.05, ge=0, le=1, description="share of decisions by chance also after the warm-up")
    output_weight: Factor = Field(1e-3, ge=0, description="of the actors' mean squared outputs, which holds them back")
    imitation_weight: Factor = Field(
        10.0, ge=0, description="of the imitation loss of demonstrations beside minus the value (Nair et al. 2018)"
    )


class ActorAgents(TrainableAgents):
    """Agents whose actors ascend the values of a critic.

    Attributes
    ----------
    actor, target_actor : Actor
    """

    settings: ActorLearner

    def make_actors(self, generator: torch.Generator) -> None:
        """Create actors with initial weights, and their targets."""
        self.actor: Actor = self.settings.make_actor(self.interface)
        self.actor.initialise(generator)
        self.target_actor = copy.deepcopy(self.actor)
        self.register("actor", self.actor, self.settings.actor_rate, self.target_actor)

    def policy_actor(self) -> Actor:
        """Actors of the trained policy."""
        return self.actor

    @torch.no_grad()
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Actions of the actors with noise, or random ones with probability ``epsilon``."""
        actions = self.relaxed.explore(outputs(self.actor, observation), self.settings.noise, generator)
        random = torch.rand(*actions.shape[:-1], 1, generator=generator) < self.settings.epsilon
        return torch.where(random, self.random_actions(observation, generator), actions)

    @torch.no_grad()
    def sample_actions(self, actor: Actor, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Sample actions of actors without exploration: choices from their softmax."""
        return self.relaxed.straight_through(outputs(actor, observation), self.settings.temperature, generator)

    def ascend(
        self, batch: Experience, value: Callable[[Tensor], Tensor], spent: float, generator: torch.Generator
    ) -> None:
        """Take a gradient step of the actors on ``value`` of their own actions ``[rows, agents, size]``."""
        imitation = self.imitation_loss(self.actor, batch)
        loss = cast(Tensor, imitation)  # of demonstrations alone where there is nothing else
        if not self.imitating:
            loss = imitation + self._policy_gradient_loss(batch.observation, value, generator)
        self.optimizers["actor"].descend(self.loss_per_copy(batch.weighted(loss)), spent)

    def _policy_gradient_loss(
        self, observation: AgentObservation, value: Callable[[Tensor], Tensor], generator: torch.Generator
    ) -> Tensor:
        """Minus the values of the actors' actions, and the penalty of their outputs, ``[rows, agents]``."""
        s, (unmasked, _) = self.settings, self.actor(observation.view[None])
        masked = mask_outputs(unmasked[0], observation.allowed)
        actions = self.relaxed.straight_through(masked, s.temperature, generator)
        own = actions.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(own).sum(), own)
        return s.output_weight * unmasked[0].square().mean(dim=-1) - (actions * gradient).sum(dim=-1)


class Maddpg(ActorLearner):
    """MADDPG for any problem whose decisions are made by agents."""

    name = "maddpg"

    reward: Literal["agent", "team"] = Field("agent", description="whose cost an agent bears: its own or everybody's")
    critic_rate: Rate = Field(3e-3, gt=0, description="Adam's step size for critics")

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> ActorsAndCritics:
        """Create actors and critics with initial weights."""
        return ActorsAndCritics(self, self.interface(problem), generator)

    def rewards(self, outcome: Outcome) -> NDArray[Any]:
        """Compute rewards ``[count, agents]``: minus each agent's own cost, or minus the cost of all."""
        return team_reward(outcome) if self.reward == "team" else agent_reward(outcome)


class ActorsAndCritics(ActorAgents):
    """Actors and critics of all agents, with their target networks.

    Attributes
    ----------
    critic, target_critic : CentralisedCritic
    sent, delivered : int
        Bytes that agents sent, and that they received.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("sent", "delivered")

    def __init__(self, settings: Maddpg, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface)
        self.sent = self.delivered = 0
        self.make_actors(generator)
        agents, inputs = interface.problem.num_agents, (interface.features, self.global_features, self.relaxed.size)
        joint_bytes = 4.0 * settings.batch_size * agents**2 * self.relaxed.size  # each critic reads all others' actions
        require_memory(
            JOINT_COPIES * joint_bytes, f"critics of {agents:,} agents with batch_size = {settings.batch_size:,}"
        )
        shape = settings.hidden, settings.activation, settings.standardise
        self.critic = CentralisedCritic(agents, self.copies, inputs, *shape)
        self.critic.initialise(generator)
        self.target_critic = copy.deepcopy(self.critic)
        self.register("critic", self.critic, settings.critic_rate, self.target_critic)

    @property
    def global_features(self) -> int:
        """Number of features in the critics' global state."""
        return self.interface.global_features

    def observe(self, observation: Observation) -> AgentObservation:
        """Convert an observation to the agents' views and the critics' global state."""
        return self.interface.observe(observation, with_global_state=True)

    def global_states(self, observation: AgentObservation) -> Tensor:
        """Global states ``[count, features]`` by whose statistics the critics standardise theirs."""
        return cast(Tensor, observation.global_state)

    def count_communication(self, observation: AgentObservation, actions: Tensor | None) -> None:
        """Count the bytes of experience that every agent sends to all others: a view, an action, a reward."""
        size = self.interface.view_bytes
        if actions is not None:
            size += self.interface.action_bytes + NUMBER_BYTES
        size *= observation.view.shape[:2].numel()
        self.sent += size
        self.delivered += size * (self.interface.problem.num_agents - 1)

    @property
    def communication(self) -> dict[str, float]:
        """Bytes of exchanged experience, and of exchanged weights if there are any."""
        return {
            "communication/sent_bytes": float(self.sent),
            "communication/delivered_bytes": float(self.delivered),
            **super().communication,
        }

    @torch.no_grad()
    def update_statistics(self, observations: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Add observations and rewards ``[slots, count, agents]`` to the running statistics."""
        view = torch.stack([each.view for each in observations])
        self.actor.normalizer.update_statistics(view)
        self.critic.update_statistics(view, torch.stack([self.global_states(each) for each in observations]))
        self.critic.update_reward_statistics(reward, self.gamma, self.target_critic if learning else None)
        self.copy_statistics()

    @torch.no_grad()
    def target(self, batch: Experience, generator: torch.Generator) -> Tensor:
        """Compute the critics' standardised regression targets ``[rows, agents]``."""
        reward = self.critic.standardise_rewards(batch.reward)
        if self.gamma == 0.0:
            return reward
        own = self.sample_actions(self.target_actor, batch.next_observation, generator)
        others = own if batch.others is None else cast(Tensor, batch.others.next_action)
        return reward + self.gamma * self.target_critic(batch.next_observation, own, others)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of the critics and one of the actors, update the targets, and return metrics."""
        value = self.critic(batch.observation, batch.action, batch.others_action)
        error = value - self.target(batch, generator)
        self.optimizers["critic"].descend(self.loss_per_copy(batch.weighted(0.5 * error.square())), spent)
        batch.update_priorities(error)
        self.update_actors(batch, spent, generator)
        self.update_targets(spent, self.critic.to_reward_units(value.detach(), self.gamma).mean(dim=0))
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}

    def update_actors(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """Take a gradient step of the actors: each changes its own action, the others' are those of the batch."""
        self.ascend(batch, lambda own: self.critic(batch.observation, own, batch.others_action), spent, generator)


def outputs(actor: Actor, observation: AgentObservation) -> Tensor:
    """Compute the actors' outputs ``[count, agents, outputs]`` and mask options that are not allowed."""
    unmasked, _ = actor(observation.view[None])
    return mask_outputs(unmasked[0], observation.allowed)
