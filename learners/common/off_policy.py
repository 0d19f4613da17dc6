"""The course of learners whose agents live side by side and learn from what all of them lived through.

1. Episodes side by side are decided at first by chance, then by every agent from its own view, with exploration; what
   all saw, did and were paid enters a joint replay;
2. after every slot of all environments a batch of it is learned from, by whoever learns (`TrainableAgents`);
3. execution does not explore, and nothing passes between agents.

The horizon only cuts episodes off, so what follows always counts, but for a problem with one slot, where nothing
follows. A step of the budget is one agent's decision in one slot. Networks of agents are slices of the same arrays
(`trunks`), each with a gradient clipped by itself.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from offloadopt.core import Budget, Demonstrations, Observation, Outcome, Problem, Progress, Record
from offloadopt.envs.episodes import Episodes
from offloadopt.envs.rewards import agent_reward
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor, AgentPolicy
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.distributions import mask_outputs
from offloadopt.learners.common.gumbel_softmax import RelaxedActions
from offloadopt.learners.common.optimizer import CopywiseClippedAdam
from offloadopt.learners.common.replay import Experience, JointReplay
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import (
    Arrays,
    episode_means,
    one_thread,
    polyak_update,
    seeded_generator,
    with_prefix,
)
from offloadopt.learners.common.training import Course
from offloadopt.learners.common.weight_aggregation import Federable, Pair, WeightExchange
from offloadopt.structures.agents import AgentProblem

ROUND_SLOTS = 64
"""A round is whole episodes with at least so many slots. Statistics follow, and states are kept, between rounds."""


class OffPolicyLearner(Federable):
    """Settings and course of a training from a joint replay."""

    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]
    policy_type: ClassVar[type[AgentPolicy]] = AgentPolicy

    view: str | None = Field(None, description="what agents see; none: the problem's first view")
    controls: str | None = Field(None, description="what agents set; none: the decision itself")
    hidden: tuple[PositiveInt, ...] = Field((64, 64), min_length=1, description="widths of the hidden layers")
    activation: Literal["tanh", "relu"] = Field("relu", description="of the hidden layers")
    standardise: bool = Field(True, description="views by their running mean and deviation")

    steps: int = Field(1_000_000, ge=1, description="decisions of agents in training, unless a budget says otherwise")
    num_envs: int = Field(16, ge=1, description="episodes that are decided side by side")
    warm_up: int = Field(200, ge=1, description="slots of all environments decided by chance, rounded up to a round")
    update_every: int = Field(1, ge=1, description="slots of all environments between two gradient steps")
    buffer_size: int = Field(
        100_000, ge=1, description="latest moments that are remembered, of all environments together"
    )
    batch_size: int = Field(128, ge=1, description="of those in a gradient step, each with all its agents")
    gamma: float = Field(0.95, ge=0, lt=1, description="discount of a slot")
    tau: float = Field(0.02, gt=0, le=1, description="share of the way that targets follow in a gradient step")
    final_rate: float = Field(
        0.1, ge=0, le=1, description="share of step sizes left at the end; they fall along a cosine"
    )
    max_gradient_norm: float = Field(0.5, gt=0, description="longer gradients of an agent are shortened to this")

    @model_validator(mode="after")
    def _moments_fit(self) -> Self:
        least = 3 * self.num_envs
        if self.buffer_size < least:
            raise ValueError(f"buffer_size = {self.buffer_size}; allowed: at least 3 num_envs = {least}")
        return self

    @property
    def default_steps(self) -> int:
        """Decisions of agents in training without a budget."""
        return self.steps

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without agents, and names that this one does not know."""
        super().require(problem)
        AgentInterface.check(cast(AgentProblem[Any], problem), self.view, self.controls)

    @abstractmethod
    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> TrainableAgents:
        """Agents that have learned nothing yet."""

    def rewards(self, outcome: Outcome) -> NDArray[Any]:
        """Rewards ``[count, agents]``: what each agent costs by itself."""
        return agent_reward(outcome)

    def fit(
        self,
        problem: Problem[Any],
        *,
        demonstrations: Demonstrations | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Path | None = None,
    ) -> AgentPolicy:
        """Train by interaction alone.

        Parameters
        ----------
        problem : AgentProblem
        demonstrations : Demonstrations, optional
            Not used: the papers have no expert.
        budget : Budget, optional
            ``steps`` are environments x slots x agents. Training ends early when ``seconds`` are over, and then depends
            on the clock.
        seed : int
            Of nature's draws, initial weights, exploration and replay.
        progress : callable, optional
            Called with the number of steps done since the last call.
        record : callable, optional
            Called at the end of episodes with their mean ``cost`` and metrics, exploration included, what the last
            gradient step measured, ``loss/critic`` and ``value`` in deviations of rewards among it, and the ``bytes``
            that have passed between agents.
        checkpoint : Path, optional
            Folder from which an interrupted training continues with the round it was in. The whole replay is kept
            there (see `JointReplay`).
        """
        begin = time.monotonic()
        self.require(problem)
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, None)
        course = Course(begin, self.default_steps, budget, progress, record, store)
        with one_thread():
            agents = self.make_agents(cast(AgentProblem[Any], problem), seeded_generator(seed))
            replay = JointReplay(self.buffer_size // self.num_envs)
            episodes = Episodes(agents.interface.problem, self.num_envs, seed)
            slot = number = 0
            if store is not None and (state := store.read()):
                slot, number = state["done"].tolist()
                agents.restore(state)
                replay.restore(state)

            def everything() -> Arrays:
                return {"done": np.array([slot, number]), **agents.arrays(), **replay.arrays()}

            while course.spent < 1.0:
                # Every round has streams of its own, so a training continues without any generator's state.
                stream = np.random.SeedSequence(seed, spawn_key=(number,))
                nature, noise, lessons = stream.generate_state(3, np.uint64).tolist()
                episodes.reseed(nature)
                chance = torch.Generator().manual_seed(noise), np.random.default_rng(lessons)
                slot += self._round(course, episodes, agents, replay, slot >= self.warm_up, chance)
                number += 1
                course.keep(everything)
            course.finish(everything)
        # Saved policies of agents say whether these remember.
        origin = Origin.of(self, problem, seed=seed, steps=course.step)
        origin = origin.replace(settings={**origin.settings, "recurrent": False})
        return self.policy_type(agents.interface, agents.policy_actor(), origin)

    def _round(
        self,
        course: Course,
        episodes: Episodes,
        agents: TrainableAgents,
        replay: JointReplay,
        learning: bool,
        chance: tuple[torch.Generator, np.random.Generator],
    ) -> int:
        """Some episodes of all environments, or what the budget leaves of them; returns the slots done."""
        generator, rng = chance
        interface, horizon = agents.interface, episodes.problem.horizon
        moments: list[AgentObservation] = []
        rewards: list[NDArray[Any]] = []
        measured: dict[str, Tensor] = {}
        for _ in range(math.ceil(ROUND_SLOTS / horizon)):
            outcomes: list[Outcome] = []
            episodes.begin()
            for slot in range(horizon):
                if (spent := course.spent) >= 1.0:
                    return len(moments)  # all that is left to be done is to stop
                seen = agents.observe(episodes.observation)
                if learning:
                    agents.generate(seen, slot, spent, generator)
                rows = agents.explore(seen, spent, generator) if learning else agents.random_actions(seen, generator)
                decisions = interface.decode(episodes.observation, agents.relaxed.to_head_actions(rows))
                outcomes.append(episodes.step(decisions))
                moments.append(seen)
                rewards.append(self.rewards(outcomes[-1]))
                replay.append(seen, rows, rewards[-1])
                agents.count_communication(seen, rows)
                if learning and len(moments) % self.update_every == 0:
                    measured = agents.learn(replay.draw(self.batch_size, rng), spent, generator)
                decided = min(rewards[-1].size, course.steps - course.step)
                measure = partial(episode_means, outcomes, measured, agents.communication) if episodes.ended else None
                course.advance(decided, measure)
            last = agents.observe(episodes.observation)
            replay.append(last)
            agents.count_communication(last, None)
        agents.update_statistics(moments, torch.from_numpy(np.stack(rewards)), learning)
        return len(moments)


class TrainableAgents(ABC):
    """Every agent's networks and those that follow them.

    Parameters
    ----------
    settings : OffPolicyLearner
    interface : AgentInterface

    Attributes
    ----------
    relaxed : RelaxedActions
        The form of actions in the replay.
    copies : int
        1 network for all agents, or one for each.
    learned : mapping of str to CopywiseClippedAdam
        Networks under training.
    targets : mapping of str to Module
        Those that follow them, by the same names.
    """

    def __init__(self, settings: OffPolicyLearner, interface: AgentInterface) -> None:
        self.interface = interface
        self.relaxed = RelaxedActions(interface.controls.fields)
        self.copies = 1 if settings.shared else interface.problem.num_agents
        self.optimizers: dict[str, CopywiseClippedAdam] = {}
        self.targets: dict[str, nn.Module] = {}
        self.exchange = None if settings.federation is None else WeightExchange(settings.federation)
        self.gamma = settings.gamma if interface.problem.horizon > 1 else 0.0
        self._tau, self._final_rate, self._longest = settings.tau, settings.final_rate, settings.max_gradient_norm

    def register(self, kind: str, networks: nn.Module, rate: float, target: nn.Module) -> None:
        """Put networks under training, with those that follow them."""
        self.optimizers[kind] = CopywiseClippedAdam(networks, rate, rate * self._final_rate, self._longest)
        self.targets[kind] = target

    @abstractmethod
    def explore(self, seen: AgentObservation, spent: float, generator: torch.Generator) -> Tensor:
        """Rows ``[count, agents, size]`` of who explores, when a share of the budget is spent."""

    @abstractmethod
    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """A step of all that learns, and what was measured in it."""

    @abstractmethod
    def update_statistics(self, moments: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Let statistics follow what was seen and the rewards ``[slots, count, agents]`` paid for it."""

    @abstractmethod
    def policy_actor(self) -> Actor:
        """What decides without exploring."""

    def observe(self, observation: Observation) -> AgentObservation:
        """What agents see, and whoever teaches them."""
        return self.interface.observe(observation)

    @torch.no_grad()
    def random_actions(self, seen: AgentObservation, generator: torch.Generator) -> Tensor:
        """Rows ``[count, agents, size]`` by chance alone."""
        indifferent = torch.zeros(*seen.view.shape[:-1], self.relaxed.size)
        return self.relaxed.random_actions(mask_outputs(indifferent, seen.allowed), generator)

    def generate(self, seen: AgentObservation, slot: int, spent: float, generator: torch.Generator) -> None:  # noqa: B027
        """Before a slot of an episode is decided; here nothing."""

    def count_communication(self, seen: AgentObservation, rows: Tensor | None) -> None:  # noqa: B027
        """Count what agents tell each other of a slot, or of what they see after the last one; here it is not."""

    @property
    def communication(self) -> dict[str, float]:
        """Bytes that have passed between agents so far, as far as they are counted."""
        return {} if self.exchange is None else self.exchange.measured

    def update_targets(self, spent: float, value: Tensor) -> None:
        """Move targets behind those that learn, and share weights if it is time.

        Parameters
        ----------
        value : Tensor [agents]
            What agents think that they earn, as `WeightExchange` takes it.
        """
        for kind, target in self.targets.items():
            polyak_update(target, self.optimizers[kind].networks, self._tau)
        if self.exchange is not None:
            pairs = [Pair(self.optimizers[kind].networks, target, self._tau) for kind, target in self.targets.items()]
            # All agents hold equally many experiences.
            self.exchange.after_update(spent, pairs, value, torch.ones_like(value))

    def copy_statistics(self) -> None:
        """Give targets the scales of those that they follow."""
        for kind, target in self.targets.items():
            for held, new in zip(target.buffers(), self.optimizers[kind].networks.buffers(), strict=True):
                held.copy_(new)

    def loss_per_copy(self, loss: Tensor) -> Tensor:
        """Means of ``[rows, agents]``: of all, or for each agent with networks of its own."""
        return loss.mean().view(1) if self.copies == 1 else loss.mean(dim=0)

    def arrays(self) -> Arrays:
        """Everything that training changes; for ``copies`` of networks each array of weights leads with them."""
        found: Arrays = {} if self.exchange is None else self.exchange.arrays()
        for kind, learned in self.optimizers.items():
            found |= {f"{kind}.{name}": array for name, array in learned.arrays().items()}
        for kind, target in self.targets.items():
            found |= {f"target_{kind}.{name}": value.numpy().copy() for name, value in target.state_dict().items()}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        if self.exchange is not None:
            self.exchange.restore(arrays)
        for kind, learned in self.optimizers.items():
            learned.restore(with_prefix(arrays, kind))
        for kind, target in self.targets.items():
            held = with_prefix(arrays, f"target_{kind}")
            target.load_state_dict({name: torch.from_numpy(array) for name, array in held.items()})
