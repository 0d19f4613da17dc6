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

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from offloadopt.core import (
    Decisions,
    Demonstrations,
    FloatArray,
    Observation,
    Outcome,
    Problem,
)
from offloadopt.envs.episodes import Episodes
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.demonstrations import Demonstrable, ExpertTransitions
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import Training, TrainingProgress, measurements
from offloadopt.learners.common.weight_aggregation import Federable, Pair, WeightExchange
from offloadopt.learners.independent.networks import AgentNetworks
from offloadopt.learners.independent.policy import DeterministicPolicy
from offloadopt.structures.agents import AgentProblem

NO_SPREAD = 1e-7
"""Standard deviation of rewards that is rounding, as where an expert's decisions cost nothing."""


class IndependentAgents(Stateful, ABC):
    """Networks, exploration and gradient steps of the agents of one training.

    Parameters
    ----------
    settings : IndependentLearner
    problem : AgentProblem

    Attributes
    ----------
    action_size : int
        Entries of an agent's action in the replay buffer.
    networks : mapping of str to AgentNetworks
        Online and target networks by name; the first are those of the policy.
    pairs : sequence of Pair
        The same, for the exchange of weights.
    demonstrated, imitating : bool
        As of `TrainableAgents`.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("reward_center", "reward_factor", "networks")
    demonstrated = imitating = False

    action_size: int
    networks: Mapping[str, AgentNetworks]
    pairs: Sequence[Pair]

    def __init__(self, settings: IndependentLearner, problem: AgentProblem[Any]) -> None:
        self.interface = settings.policy_type.make_interface(problem, settings.model_dump())
        self.gamma = settings.gamma if problem.horizon > 1 else 0.0
        copies = 1 if settings.shared else problem.num_agents
        self.reward_center = torch.zeros(copies)
        self.reward_factor = torch.ones(copies)

    @property
    def problem(self) -> AgentProblem[Any]:
        """Problem that the agents decide in."""
        return self.interface.problem

    def observe(self, observation: Observation) -> AgentObservation:
        """Convert an observation to the agents' views."""
        return self.interface.observe(observation)

    def standardise_views(self, views: FloatArray) -> None:
        """Set the features' scales by views ``[count, agents, features]``."""
        for networks in self.networks.values():
            networks.standardise(views)

    def standardise_rewards(self, rewards: FloatArray) -> None:
        """Set the scale of rewards, one for each network, by rewards ``[count, agents]``."""
        own = torch.from_numpy(rewards.reshape(-1, len(self.reward_center)))
        self.reward_center = own.mean(dim=0).float()
        spread = own.std(dim=0, correction=0).float()
        self.reward_factor = 1.0 / torch.where(spread > NO_SPREAD, spread, torch.ones_like(spread))

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
    def encode(self, observation: Observation, decisions: Decisions) -> NDArray[Any]:
        """Convert decisions to the nearest actions ``[count, agents, action_size]``; refuse those that have none."""

    @abstractmethod
    def decode(self, observation: Observation, actions: NDArray[Any]) -> Decisions:
        """Convert actions to decisions."""

    @abstractmethod
    def learn(self, batch: TransitionBatch, spent: float) -> dict[str, Tensor]:
        """Take a gradient step at a fraction ``spent`` of the budget and return metrics."""


class IndependentLearner(Demonstrable, Federable):
    """Off-policy training of independent agents: settings and training loop."""

    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]
    policy_type: ClassVar[type[DeterministicPolicy]] = DeterministicPolicy

    view: str | None = Field(None, description="observation of the agents; none: the problem's first view")
    controls: str | None = Field(None, description="form of the actions; none: the decision itself")
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

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also unknown names of a view or controls, and controls that the policies cannot set."""
        super().require(problem)
        agents = cast(AgentProblem[Any], problem)
        interface = self.policy_type.make_interface(agents, self.model_dump())
        interface.observe(agents.empty_observation())
        self.policy_type.outputs(interface)

    @abstractmethod
    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> IndependentAgents:
        """Create agents with initial weights."""

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> ExpertTransitions:
        """Transitions of the agents, whose weights play no role."""
        return ExpertTransitions.of(self.make_agents(problem, seeded_generator(0)), demonstrations)

    def make_training(self, problem: Any, seed: int, examples: Any, tracker: TrainingProgress) -> IndependentTraining:
        """Create agents with initial weights, and a replay buffer without own transitions."""
        return IndependentTraining(self, problem, self.make_agents(problem, seeded_generator(seed)), seed, examples)


class IndependentTraining(Training):
    """Agents, their environments and their replay buffer; an iteration is an episode of all environments."""

    state_fields = ("slot", "episode", "agents", "replay", "exchange")

    examples: ExpertTransitions | None

    def __init__(
        self,
        settings: IndependentLearner,
        problem: AgentProblem[Any],
        agents: IndependentAgents,
        seed: int,
        examples: ExpertTransitions | None,
    ) -> None:
        super().__init__(examples)
        self.settings, self.problem, self.agents, self.seed = settings, problem, agents, seed
        self.exchange = None if settings.federation is None else WeightExchange(settings.federation)
        self.replay: Any = TransitionReplay(settings.buffer_size)
        if examples is not None:
            agents.demonstrated = True
            e = examples.together()
            rows = TransitionBatch(e.observation.view, e.action, e.reward, e.next_observation.view)
            self.replay = settings.replay_of(self.replay, settings.buffer_size, rows)
        self.episodes = Episodes(problem, settings.num_envs, seed)
        self.slot = self.episode = 0

    def prepare(self, tracker: TrainingProgress) -> None:
        """Standardise by demonstrations and take gradient steps on them alone."""
        if self.examples is None:
            return
        batch = self.examples.together()
        self._standardise(batch.observation.view.double().numpy(), batch.reward.double().numpy())
        self.agents.imitating = True
        self.settings.imitate(self.replay, partial(self._learn, spent=0.0), self.seed, tracker, self.examples.rounding)
        self.agents.imitating = False

    def advance(self, tracker: TrainingProgress) -> None:
        """Run an episode, or until the budget ends."""
        # Every episode has streams of its own, so a training continues without any generator's state.
        nature, chance = np.random.SeedSequence(self.seed, spawn_key=(self.episode,)).spawn(2)
        self.episodes.reseed(int(nature.generate_state(1, np.uint64)[0]))
        self._run_episode(tracker, np.random.default_rng(chance))
        self.episode += 1

    def policy(self, origin: Origin) -> DeterministicPolicy:
        """Create the policy of the trained agents."""
        networks = next(iter(self.agents.networks.values()))
        return self.settings.policy_type(self.agents.interface, networks, origin)

    def _run_episode(self, tracker: TrainingProgress, rng: np.random.Generator) -> None:
        s, problem, agents, episodes = self.settings, self.problem, self.agents, self.episodes
        view = agents.interface.view
        outcomes: list[Outcome] = []
        measured: dict[str, Tensor] = {}
        episodes.begin()
        views = problem.view(episodes.observation, view)
        for _ in range(problem.horizon):
            if tracker.spent >= 1.0:
                break
            warming_up = self.slot < s.warm_up and not agents.demonstrated
            actions = agents.random_actions(len(views), rng) if warming_up else agents.explore(views, self.slot, rng)
            outcomes.append(episodes.step(agents.decode(episodes.observation, actions)))
            next_views = problem.view(episodes.observation, view)
            self.replay.append(views, actions, -outcomes[-1].running_cost, next_views)
            views = next_views
            self.slot += 1
            if self.slot == s.warm_up and not agents.demonstrated:
                self._standardise(self.replay.views(), self.replay.rewards())
            elif not warming_up and self.slot % s.update_every == 0:
                spent = tracker.spent
                measured = self._learn(self.replay.draw(s.batch_size, rng, spent), spent)
            decided = min(len(views) * problem.num_agents, tracker.left)
            communication = {} if self.exchange is None else self.exchange.communication
            tracker.advance(
                decided, partial(measurements, outcomes, measured, communication) if episodes.ended else None
            )

    def _learn(self, batch: TransitionBatch, spent: float) -> dict[str, Tensor]:
        """Take a gradient step, and exchange weights if it is time."""
        measured = self.agents.learn(batch, spent)
        if self.exchange is not None:
            value = batch.reward.mean(dim=0)
            self.exchange.after_update(spent, self.agents.pairs, value, torch.ones_like(value))
        return measured

    def _standardise(self, views: FloatArray, rewards: FloatArray) -> None:
        if self.settings.standardise:
            self.agents.standardise_views(views)
        if self.settings.reward_scale is None:
            self.agents.standardise_rewards(rewards)
        else:
            self.agents.reward_factor.fill_(self.settings.reward_scale)
