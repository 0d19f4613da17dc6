"""Off-policy training of independent agents from a replay buffer, common to `ddpg` and `dqn`.

1. In parallel environments actions are random during the warm-up, then those of the agents with exploration.
   Transitions enter a replay buffer.
2. After the warm-up, features and rewards are standardised once by the transitions stored so far.
3. Every ``update_every`` slots the agents take one gradient step on transitions drawn uniformly.
4. Target networks are updated softly. The horizon truncates episodes and does not terminate them, so values are always
   bootstrapped, except for a problem with one slot.

Independent learners have stacked networks, one for each; each agent's reward is minus its own cost.
A step of the budget is one agent's decision in one slot.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from offloadopt.core import (
    Budget,
    Decisions,
    Demonstrations,
    FloatArray,
    Outcome,
    Problem,
    Progress,
    Record,
)
from offloadopt.envs.episodes import Episodes
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import Arrays, one_thread, seeded_generator, with_prefix
from offloadopt.learners.common.training import TrainingProgress, measurements
from offloadopt.learners.common.weight_aggregation import Federable, Pair, WeightExchange
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.learners.independent.policy import DeterministicPolicy, view_name
from offloadopt.structures.agents import AgentProblem


class IndependentAgents(ABC):
    """Networks, exploration and gradient steps of the agents of one training.

    Attributes
    ----------
    action_size : int
        Entries of an agent's action in the replay buffer.
    networks : mapping of str to AgentNetworks
        Online and target networks by name.
    pairs : sequence of Pair
        The same, for the exchange of weights.
    """

    action_size: int
    networks: Mapping[str, AgentNetworks]
    pairs: Sequence[Pair]

    def __init__(self, copies: int) -> None:
        self.reward_center = torch.zeros(copies)
        self.reward_factor = torch.ones(copies)

    def standardise_views(self, views: FloatArray) -> None:
        """Set the features' scales by views ``[count, agents, features]``."""
        for networks in self.networks.values():
            networks.standardise(views)

    def standardise_rewards(self, rewards: FloatArray) -> None:
        """Set the scale of rewards, one for each network, by rewards ``[count, agents]``."""
        own = torch.from_numpy(rewards.reshape(-1, len(self.reward_center)))
        self.reward_center = own.mean(dim=0).float()
        spread = own.std(dim=0, correction=0).float()
        self.reward_factor = 1.0 / torch.where(spread > 0.0, spread, torch.ones_like(spread))

    def scaled_rewards(self, batch: TransitionBatch) -> Tensor:
        """Standardise the batch's rewards ``[rows, agents]``.

        A constant subtracted from every reward changes no preference between actions, since values are always
        bootstrapped from the next view.
        """
        return (batch.reward - self.reward_center) * self.reward_factor

    @abstractmethod
    def random_actions(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Sample actions ``[count, agents, action_size]`` uniformly."""

    @abstractmethod
    def explore(self, view: FloatArray, slot: int, rng: np.random.Generator) -> NDArray[Any]:
        """Choose actions for views ``[count, agents, features]`` with exploration; slots count over the training."""

    @abstractmethod
    def decode(self, actions: NDArray[Any]) -> Decisions:
        """Convert actions to decisions."""

    @abstractmethod
    def learn(self, batch: TransitionBatch, spent: float) -> dict[str, Tensor]:
        """Take a gradient step at a fraction ``spent`` of the budget and return metrics."""

    @abstractmethod
    def policy(self, problem: AgentProblem[Any], origin: Origin) -> DeterministicPolicy:
        """Create the trained policy."""

    def arrays(self) -> Arrays:
        """State of the training without optimisers and noise, for a checkpoint."""
        found = {"reward.center": self.reward_center.numpy(), "reward.factor": self.reward_factor.numpy()}
        for kind, networks in self.networks.items():
            found |= {f"{kind}.{name}": array for name, array in networks.arrays().items()}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        self.reward_center = torch.from_numpy(arrays["reward.center"].copy())
        self.reward_factor = torch.from_numpy(arrays["reward.factor"].copy())
        for kind, networks in self.networks.items():
            networks.load_state_dict(
                {name: torch.from_numpy(array) for name, array in with_prefix(arrays, kind).items()}
            )


class IndependentLearner(Federable):
    """Off-policy training of independent agents: settings and training loop."""

    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]
    policy_type = DeterministicPolicy

    view: str | None = Field(None, description="observation of the agents; none: the problem's first view")
    shared: bool = Field(False, description="one network for all agents instead of one for each")
    hidden: tuple[PositiveInt, ...] = Field((64, 64), min_length=1, description="widths of the hidden layers")
    num_envs: int = Field(16, ge=1, description="parallel environments")
    update_every: int = Field(1, ge=1, description="slots of all environments between two gradient steps")
    warm_up: int = Field(
        400, ge=1, description="slots of all environments with random actions, before any gradient step"
    )
    buffer_size: int = Field(250_000, ge=1, description="latest transitions of environments in the replay buffer")
    batch_size: int = Field(128, ge=1, description="transitions in a gradient step, each with all its agents")
    gamma: float = Field(0.99, ge=0, lt=1, description="discount factor of a slot")
    tau: float = Field(0.02, gt=0, le=1, description="rate of the soft target updates")
    standardise: bool = Field(True, description="whether features are standardised")
    reward_scale: float | None = Field(
        None, gt=0, description="factor of the reward, which is minus an agent's cost; none: standardised"
    )
    huber_delta: float | None = Field(
        1.0, gt=0, description="error from which a critic's loss grows no faster than linearly; none: squared"
    )
    steps: int = Field(1_200_000, ge=1, description="agents' decisions in training without a budget")

    @model_validator(mode="after")
    def _buffer_holds_a_slot(self) -> Self:
        if self.buffer_size < self.num_envs:
            raise ValueError(f"buffer_size = {self.buffer_size}; allowed: at least num_envs = {self.num_envs}")
        return self

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget."""
        return self.steps

    @abstractmethod
    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> IndependentAgents:
        """Create agents with initial weights."""

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
    ) -> DeterministicPolicy:
        """Train by interaction alone.

        Parameters
        ----------
        problem : AgentProblem
        demonstrations : Demonstrations, optional
            Refused: the papers' baselines have no expert.
        budget : Budget, optional
            Without it `default_steps`. Training ends early when ``seconds`` are over, and then depends on the clock.
        seed : int
            Of nature's draws, initial weights, exploration and replay.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called at the end of episodes with ``episode/cost``, ``episode/objective`` and metrics, and what the last
            gradient step measured, ``train/critic_loss`` and ``train/value``.
        checkpoint : Path, optional
            Folder from which an interrupted training continues with the episode it was in. The whole replay is kept
            there (4 bytes for each number of two views, an action and a reward).
        """
        self.require(problem)
        self.check_demonstrations(demonstrations is not None)
        problem = cast(AgentProblem[Any], problem)
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, None)
        tracker = TrainingProgress(time.monotonic(), self.steps, budget, progress, record, store)
        with one_thread():
            agents = self.make_agents(problem, seeded_generator(seed))
            exchange = None if self.federation is None else WeightExchange(self.federation)
            view = view_name(problem, self.view)
            transitions = TransitionReplay(self.buffer_size)
            episodes = Episodes(problem, self.num_envs, seed)
            slot = episode = 0
            state = {} if store is None else store.read()
            if state:
                slot, episode = (int(number) for number in state["done"])
                agents.restore(state)
                transitions.restore(state)
                if exchange is not None:
                    exchange.restore(state)

            def state_arrays() -> Arrays:
                counted = {} if exchange is None else exchange.arrays()
                return {"done": np.array([slot, episode]), **agents.arrays(), **transitions.arrays(), **counted}

            while tracker.spent < 1.0:
                # Every episode has streams of its own, so a training continues without any generator's state.
                nature, chance = np.random.SeedSequence(seed, spawn_key=(episode,)).spawn(2)
                episodes.reseed(int(nature.generate_state(1, np.uint64)[0]))
                rng = np.random.default_rng(chance)
                slot = self._run_episode(view, tracker, episodes, agents, exchange, transitions, slot, rng)
                episode += 1
                tracker.keep(state_arrays)
            tracker.finish(state_arrays)
        return agents.policy(problem, Origin.of(self, problem, seed=seed, steps=tracker.step))

    def _run_episode(
        self,
        view: str,
        tracker: TrainingProgress,
        episodes: Episodes,
        agents: IndependentAgents,
        exchange: WeightExchange | None,
        transitions: TransitionReplay,
        slot: int,
        rng: np.random.Generator,
    ) -> int:
        """Run an episode of all environments, or until the budget ends; return the number of slots of the training."""
        problem = cast(AgentProblem[Any], episodes.problem)
        outcomes: list[Outcome] = []
        measured: dict[str, Tensor] = {}
        episodes.begin()
        views = problem.view(episodes.observation, view)
        for _ in range(problem.horizon):
            if tracker.spent >= 1.0:
                break
            warming_up = slot < self.warm_up
            actions = agents.random_actions(len(views), rng) if warming_up else agents.explore(views, slot, rng)
            outcomes.append(episodes.step(agents.decode(actions)))
            next_views = problem.view(episodes.observation, view)
            transitions.append(views, actions, -outcomes[-1].running_cost, next_views)
            views = next_views
            slot += 1
            if slot == self.warm_up:
                self._standardise(agents, transitions)
            elif slot > self.warm_up and slot % self.update_every == 0:
                batch = transitions.draw(self.batch_size, rng)
                measured = agents.learn(batch, tracker.spent)
                if exchange is not None:
                    value = batch.reward.mean(dim=0)
                    exchange.after_update(tracker.spent, agents.pairs, value, torch.ones_like(value))
            decided = min(len(views) * problem.num_agents, tracker.left)
            communication = {} if exchange is None else exchange.communication
            tracker.advance(
                decided, partial(measurements, outcomes, measured, communication) if episodes.ended else None
            )
        return slot

    def _standardise(self, agents: IndependentAgents, transitions: TransitionReplay) -> None:
        if self.standardise:
            agents.standardise_views(transitions.views())
        if self.reward_scale is None:
            agents.standardise_rewards(transitions.rewards())
        else:
            agents.reward_factor.fill_(self.reward_scale)
