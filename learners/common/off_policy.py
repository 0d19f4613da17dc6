"""Off-policy training of decentralised agents from a joint replay buffer.

1. Actions in parallel environments are random during the warm-up; then every agent decides from its own view, with
   exploration. Joint transitions of all agents enter a replay buffer;
2. after every ``update_every``-th slot of all environments, the agents' networks take a gradient step on a batch of it
   (`TrainableAgents`);
3. execution does not explore and needs no communication.

Demonstrations are learned from before interaction, and stay in the replay (see `demonstrations`). Then there is no
warm-up: agents learn from the first slot on.

The horizon truncates episodes and does not terminate them, so values are always bootstrapped, except for a problem with
one slot. A step of the budget is one agent's decision in one slot. Networks of agents are stacked (`networks`), and the
gradient of each is clipped by itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from offloadopt.core import Decisions, Demonstrations, Observation, Outcome, Problem
from offloadopt.envs.episodes import Episodes
from offloadopt.envs.rewards import agent_reward
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor, AgentLearner, AgentPolicy
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.demonstrations import Demonstrable, ExpertTransitions, expressed
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.gumbel_softmax import RelaxedActions
from offloadopt.learners.common.optimizer import AdamOptimizer, CopywiseClippedAdam
from offloadopt.learners.common.replay import DemonstrationReplay, Experience, JointReplay, take
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import polyak_update, seeded_generator
from offloadopt.learners.common.training import Training, TrainingProgress, measurements
from offloadopt.learners.common.weight_aggregation import Federable, Pair, WeightExchange
from offloadopt.quantities import Factor, Rounds, Size
from offloadopt.structures.agents import AgentProblem

ROUND_SLOTS = 64
"""Least slots of a round, which is whole episodes. Running statistics are updated, and states saved, between rounds."""


class OffPolicyLearner(AgentLearner, Demonstrable, Federable):
    """Off-policy training of agents from a joint replay buffer: settings and training loop."""

    steps: Rounds = Field(1_000_000, ge=1, description="agents' decisions in training without a budget")
    num_envs: Size = Field(16, ge=1, description="parallel environments")
    warm_up: Size = Field(200, ge=1, description="slots of all environments with random actions, rounded up to a round")
    update_every: Rounds = Field(1, ge=1, description="slots of all environments between two gradient steps")
    buffer_size: Size = Field(
        100_000, ge=1, description="latest time steps in the replay buffer, summed over environments"
    )
    batch_size: Size = Field(128, ge=1, description="time steps in a gradient step, each with all its agents")
    gamma: float = Field(0.95, ge=0, lt=1, description="discount factor of a slot")
    tau: float = Field(0.02, gt=0, le=1, description="rate of the soft target updates")
    final_rate: float = Field(
        0.1, ge=0, le=1, description="learning rates at the end of their cosine schedule, relative to the beginning"
    )
    max_gradient_norm: Factor | None = Field(
        0.5, gt=0, description="gradient norm of an agent to which longer gradients are clipped; none: not clipped"
    )

    @model_validator(mode="after")
    def _buffer_holds_a_transition(self) -> Self:
        least = 3 * self.num_envs
        if self.buffer_size < least:
            raise ValueError(f"buffer_size = {self.buffer_size}; allowed: at least 3 num_envs = {least}")
        return self

    @abstractmethod
    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> TrainableAgents:
        """Create agents with initial weights."""

    def rewards(self, outcome: Outcome) -> NDArray[Any]:
        """Compute rewards ``[count, agents]``: minus each agent's own cost."""
        return agent_reward(outcome)

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> ExpertTransitions:
        """Transitions of the agents, whose weights play no role."""
        return ExpertTransitions.of(self.make_agents(problem, seeded_generator(0)), demonstrations, self.rewards)

    def make_replay(self, problem: Problem[Any], examples: Any) -> Any:
        """Create a replay buffer without own transitions."""
        own = JointReplay(self.buffer_size // self.num_envs)
        if examples is None:
            return own
        return DemonstrationReplay(own, self.num_envs * own.capacity, examples.together(), self.prioritisation)

    def make_training(self, problem: Any, seed: int, examples: Any, tracker: TrainingProgress) -> OffPolicyTraining:
        """Create agents with initial weights, and a replay buffer without own transitions."""
        return OffPolicyTraining(self, self.make_agents(problem, seeded_generator(seed)), seed, examples)


class OffPolicyTraining(Training):
    """Agents, their environments and their replay buffer; an iteration is a round of whole episodes."""

    state_fields = ("slot", "round", "agents", "replay")

    def __init__(self, settings: OffPolicyLearner, agents: TrainableAgents, seed: int, examples: Any) -> None:
        super().__init__(examples)
        self.settings, self.agents, self.seed = settings, agents, seed
        self.agents.demonstrated = examples is not None
        self.replay = settings.make_replay(agents.problem, examples)
        self.episodes = Episodes(agents.interface.problem, settings.num_envs, seed)
        self.slot = self.round = 0

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned; the replay must hold time steps of these environments."""
        super().restore(arrays)
        empty = take(
            self.agents.observe(self.agents.problem.empty_observation()), np.zeros(self.settings.num_envs, int)
        )
        self.replay.require_like(empty, self.agents.random_actions(empty, seeded_generator(0)))

    def prepare(self, tracker: TrainingProgress) -> None:
        """Take gradient steps on demonstrations alone."""
        if self.examples is None:
            return
        agents, generator = self.agents, seeded_generator(self.seed)
        views, rewards = (
            [each.observation for each in self.examples.slots],
            [each.reward for each in self.examples.slots],
        )
        agents.update_statistics(views, torch.stack(rewards), False)
        agents.imitating = True

        def learn(batch: Experience) -> dict[str, Tensor]:
            return agents.learn(batch, 0.0, generator)

        self.settings.imitate(self.replay, learn, self.seed, tracker, self.examples.rounding)
        agents.imitating = False

    def advance(self, tracker: TrainingProgress) -> None:
        """Run a round, or until the budget ends."""
        # Every round has streams of its own, so a training continues without any generator's state.
        stream = np.random.SeedSequence(self.seed, spawn_key=(self.round,))
        nature, noise, sampling = stream.generate_state(3, np.uint64).tolist()
        self.episodes.reseed(nature)
        generators = torch.Generator().manual_seed(noise), np.random.default_rng(sampling)
        self.slot += self._round(tracker, self.learning, generators)
        self.round += 1

    @property
    def learning(self) -> bool:
        """Whether gradient steps are taken in the next round."""
        return self.agents.demonstrated or self.slot >= self.settings.warm_up

    @property
    def acting(self) -> bool:
        """Whether agents act on their observations in the next round, and not at random."""
        return self.learning

    def policy(self, origin: Origin) -> AgentPolicy:
        """Create the policy of the trained actors."""
        return self.settings.policy_type(self.agents.interface, self.agents.policy_actor(), origin)

    def _round(
        self, tracker: TrainingProgress, learning: bool, generators: tuple[torch.Generator, np.random.Generator]
    ) -> int:
        """Run whole episodes of all environments, or until the budget ends; return the number of slots."""
        (generator, rng), agents, episodes, acting = generators, self.agents, self.episodes, self.acting
        horizon = episodes.problem.horizon
        observations: list[AgentObservation] = []
        rewards: list[NDArray[Any]] = []
        measured: dict[str, Tensor] = {}
        for _ in range(math.ceil(ROUND_SLOTS / horizon)):
            outcomes: list[Outcome] = []
            episodes.begin()
            for slot in range(horizon):
                if (spent := tracker.spent) >= 1.0:
                    return len(observations)  # the budget is used up
                observation = agents.observe(episodes.observation)
                if learning:
                    agents.generate(observation, slot, spent, generator)
                if acting:
                    actions = agents.explore(observation, spent, generator)
                else:
                    actions = agents.random_actions(observation, generator)
                outcomes.append(episodes.step(agents.decode(episodes.observation, actions)))
                observations.append(observation)
                rewards.append(self.settings.rewards(outcomes[-1]))
                self.replay.append(observation, actions, rewards[-1])
                agents.count_communication(observation, actions)
                if learning and len(observations) % self.settings.update_every == 0:
                    measured = agents.learn(self.replay.draw(self.settings.batch_size, rng, spent), spent, generator)
                decided = min(rewards[-1].size, tracker.left)
                measure = partial(measurements, outcomes, measured, agents.communication) if episodes.ended else None
                tracker.advance(decided, measure)
            last = agents.observe(episodes.observation)
            self.replay.append(last)
            agents.count_communication(last, None)
        agents.update_statistics(observations, torch.from_numpy(np.stack(rewards)), learning)
        return len(observations)


class TrainableAgents(Stateful, ABC):
    """Networks of all agents under training, with their target networks.

    Parameters
    ----------
    settings : OffPolicyLearner
    interface : AgentInterface

    Attributes
    ----------
    relaxed : RelaxedActions
        Form of the actions in the replay buffer.
    copies : int
        1 network for all agents, or one for each.
    optimizers : mapping of str to AdamOptimizer
        Networks under training with their optimisers, by name.
    targets : mapping of str to Module
        Their target networks, by the same names.
    demonstrated : bool
        Whether they learn from demonstrations too. Then exploration begins as little as it ends without.
    imitating : bool
        Whether they learn from demonstrations alone, before interaction: actors then do not yet ascend values.
    """

    demonstrated = imitating = False

    state_fields: ClassVar[tuple[str, ...]] = ("exchange", "optimizers", "targets")

    def __init__(self, settings: OffPolicyLearner, interface: AgentInterface) -> None:
        self.settings, self.interface = settings, interface
        self.relaxed = RelaxedActions(interface.controls.fields)
        self.copies = 1 if settings.shared else interface.problem.num_agents
        self.optimizers: dict[str, AdamOptimizer[Any]] = {}
        self.targets: dict[str, nn.Module] = {}
        self.exchange = None if settings.federation is None else WeightExchange(settings.federation)
        self.gamma = settings.gamma if interface.problem.horizon > 1 else 0.0

    def register(self, name: str, networks: nn.Module, rate: float, target: nn.Module) -> None:
        """Add networks to the training, with their learning rate and target networks."""
        rates, limit = (rate, rate * self.settings.final_rate), self.settings.max_gradient_norm
        self.optimizers[name] = (
            AdamOptimizer(networks, *rates) if limit is None else CopywiseClippedAdam(networks, *rates, limit)
        )
        self.targets[name] = target

    @abstractmethod
    def explore(self, observation: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Choose actions ``[count, agents, size]`` with exploration, at a fraction ``spent`` of the budget."""

    @abstractmethod
    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of all networks and return metrics."""

    @abstractmethod
    def update_statistics(self, observations: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Add observations and rewards ``[slots, count, agents]`` to the running statistics."""

    @property
    def problem(self) -> AgentProblem[Any]:
        """Problem that the agents decide in."""
        return self.interface.problem

    @abstractmethod
    def policy_actor(self) -> Actor:
        """Actors of the trained policy."""

    def observe(self, observation: Observation) -> AgentObservation:
        """Convert an observation to the inputs of actors and critics."""
        return self.interface.observe(observation)

    def encode(self, observation: Observation, decisions: Decisions) -> Tensor:
        """Convert decisions to the nearest actions ``[count, agents, size]``; refuse those that have none."""
        actions = self.relaxed.encode(expressed(self.interface.controls, observation, decisions))
        return self.relaxed.harden(mask_outputs(actions, self.interface.observe(observation).allowed))

    def decode(self, observation: Observation, actions: Tensor) -> Decisions:
        """Convert actions to decisions."""
        return self.interface.decode(observation, self.relaxed.to_head_actions(actions))

    @torch.no_grad()
    def random_actions(self, observation: AgentObservation, generator: torch.Generator) -> Tensor:
        """Sample actions ``[count, agents, size]`` uniformly among those that are allowed."""
        equal_outputs = torch.zeros(*observation.view.shape[:-1], self.relaxed.size)
        return self.relaxed.random_actions(mask_outputs(equal_outputs, observation.allowed), generator)

    def generate(self, observation: AgentObservation, slot: int, spent: float, generator: torch.Generator) -> None:
        """Generate experience before a slot of an episode is decided; here none."""

    def count_communication(self, observation: AgentObservation, actions: Tensor | None) -> None:
        """Count the bytes exchanged for a slot, or for the observation after the last one; here there are none."""

    @property
    def communication(self) -> dict[str, float]:
        """Bytes exchanged between agents so far, by name."""
        return {} if self.exchange is None else self.exchange.communication

    def update_targets(self, spent: float, value: Tensor) -> None:
        """Update the target networks, and exchange weights if it is time.

        Parameters
        ----------
        value : Tensor [agents]
            Mean value or reward of each agent, as of `WeightExchange.after_update`.
        """
        tau = self.settings.tau
        for kind, target in self.targets.items():
            polyak_update(target, self.optimizers[kind].networks, tau)
        if self.exchange is not None:
            pairs = [Pair(self.optimizers[kind].networks, target, tau) for kind, target in self.targets.items()]
            # All agents have equally many transitions.
            self.exchange.after_update(spent, pairs, value, torch.ones_like(value))

    def copy_statistics(self) -> None:
        """Copy the running statistics of networks to their targets."""
        for kind, target in self.targets.items():
            for old, new in zip(target.buffers(), self.optimizers[kind].networks.buffers(), strict=True):
                old.copy_(new)

    def imitation_loss(self, actor: Actor, batch: Experience) -> Tensor | float:
        """Weighted loss ``[rows, agents]`` of behaviour cloning for the demonstrations in a batch, 0 for other rows."""

        def loss() -> Tensor:
            decided = self.interface.heads.decode(self.relaxed.to_head_actions(batch.action))
            tensors = {name: torch.from_numpy(values.astype(np.float32)) for name, values in decided.items()}
            outputs, _ = actor(batch.observation.view[None])
            outputs = mask_outputs(outputs[0], batch.observation.allowed)
            return self.settings.imitation_weight * self.interface.heads.imitation_loss(outputs, tensors)

        return batch.only_demonstrated(loss)

    def loss_per_copy(self, loss: Tensor) -> Tensor:
        """Average a loss ``[rows, agents]`` over all entries, or for each agent with networks of its own."""
        return loss.mean().view(1) if self.copies == 1 else loss.mean(dim=0)
