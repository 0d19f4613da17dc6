"""Discretised DDPG: one central actor decides for all users; its continuous outputs are quantised to levels.

"Research on multi-user computation offloading" (JEIT 2024 no. 4), Algorithms 1 to 3; what its text does not state is
the code of a related paper (`PAPER`). Reconstruction:

1. Algorithm 1: each entry of the state (places, tasks, workloads of the last slot) times its scale factor;
2. the actor outputs three numbers in (0, 1) for each user, ratio, CPU and server; Gaussian noise is added (25);
3. Algorithm 2: each number becomes one of K levels; CPU level 0 is local computing;
4. Algorithm 3: the reward is minus the cost (the users' utility but for a constant, less overload penalties); the
   critic steps towards ``r + gamma Q'(s', mu'(s'))``, the actor ascends ``Q(s, mu(s))``, and the targets follow both.

A decision changes nothing in later slots but the workload that is observed in the next one, and no cost depends on
that. So the optimal policy is the same for every ``gamma``, the related code's 0.001 included.

``networks="joint"`` is the paper's: one perceptron of all ``3 N + M`` numbers, a critic of the summed reward. With
``networks="shared"`` Algorithm 3 stays, and

- actor and critic are the same for all users and pool over them; the critic is trained on each user's reward, and pools
  those on the same server separately;
- the actor has an output for each server, of which the largest counts, and explores by taking any other;
- the critic sees quantities by their nearness to each level;
- a server's logit follows the critic's value of a user's choosing it while all others keep theirs
  (`LogitHead.actor_objective`);
- features are standardised by their mean and deviation (``standardise``).

Recorded results: ``docs/results/learners.md``.

Demonstrations, of `exact` for example, are imitated first: squared distances of quantities, cross-entropy of
servers. The paper has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from offloadopt.core import Demonstrations, FloatArray, Outcome, Problem
from offloadopt.envs.episodes import Episodes
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.demonstrations import single_slots
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import mean_squared_or_huber, seeded_generator
from offloadopt.learners.common.training import IterativeLearner, Training, TrainingProgress, measurements
from offloadopt.learners.ddpg_discrete.networks import CentralNetwork
from offloadopt.learners.ddpg_discrete.policy import CentralPolicy, actor_of, critic_of, head_of, state_of, state_tensor
from offloadopt.learners.ddpg_discrete.quantiser import Encoding, Quantiser
from offloadopt.learners.independent.networks import polyak_update_with_buffers
from offloadopt.structures.joint import JointProblem

PAPER: Mapping[str, Any] = {
    "standardise": False,
    "encoding": "floor",
    "replay": "paper",
    "networks": "joint",
    "hidden": (400, 300, 10),
    "num_envs": 1,
    "warm_up": 0,
    "buffer_size": 10_000,
    "batch_size": 64,
    "reward_scale": 1.0,
    "huber_delta": None,
    "actor_rate": 1e-3,
    "critic_rate": 2e-3,
    "final_rate": 1.0,
    "gamma": 0.001,
    "tau": 0.01,
    "actor_delay": 0,
    "inverting": False,
    "noise": 0.01,
    "noise_least": 0.01,
    "slots": 40_000,
}
"""``DdpgDiscrete(**PAPER)``: the paper's algorithm to the letter, with the values of the related code."""


class DdpgDiscrete(IterativeLearner):
    """Discretised DDPG: one actor and one critic decide for all users on a grid of levels (JEIT 2024).

    `PAPER` holds the paper's own settings.

    It comes within 5 % of the optimum with every seed only with demonstrations; see ``docs/results/learners.md``.
    """

    name = "ddpg-discrete"
    serves: ClassVar[type[Any]] = JointProblem
    policy_type = CentralPolicy
    uses_demonstrations = True

    normalise: bool = Field(True, description="whether states are scaled, Algorithm 1")
    standardise: bool = Field(
        True, description="with normalise: by their mean and deviation, too, in an episode decided by chance"
    )
    encoding: Encoding = Field(
        "round", description="how numbers become levels: Algorithm 2's is floor; none: they do not"
    )
    levels: int = Field(5, ge=2, description="levels of a quantity, K; a choice has as many as it has options")
    replay: Literal["paper", "overwrite"] = Field(
        "overwrite", description="paper: only store until the buffer is full, then only learn"
    )
    networks: Literal["joint", "shared"] = Field(
        "shared", description="one actor and critic of all numbers, the paper's, or such that agents share"
    )
    hidden: tuple[PositiveInt, ...] = Field((64, 64), min_length=1, description="widths of the hidden layers")
    num_envs: int = Field(16, ge=1, description="episodes that are decided side by side")
    warm_up: int = Field(60, ge=0, description="slots of all environments decided by chance, before any gradient step")
    buffer_size: int = Field(100_000, ge=1, description="slots of an environment that are remembered")
    batch_size: int = Field(64, ge=1, description="of those in a gradient step")
    gamma: float = Field(0.0, ge=0, lt=1, description="discount of a slot; with 0 target networks are not used")
    tau: float = Field(0.01, gt=0, le=1, description="share of the way that targets follow in a gradient step")
    reward_scale: float | None = Field(
        None, gt=0, description="factor of the reward, which is minus the cost; none: standardised"
    )
    huber_delta: float | None = Field(
        1.0, gt=0, description="error from which the critic's loss grows no faster than linearly; none: squared"
    )
    actor_rate: float = Field(1e-3, gt=0, description="Adam's step size for the actor")
    critic_rate: float = Field(2e-3, gt=0, description="Adam's step size for the critic")
    final_rate: float = Field(0.1, ge=0, le=1, description="share of both left at the end; they fall along a cosine")
    actor_delay: int = Field(300, ge=0, description="gradient steps of the critic before the actor takes its first")
    inverting: bool = Field(
        True, description="inverting gradients: whether the actor's gradients near 0 and 1 are scaled to lead back"
    )
    noise: float = Field(0.4, ge=0, description="standard deviation of the noise on coordinates, at first")
    noise_decay: float = Field(0.9995, gt=0, le=1, description="its factor from slot to slot")
    noise_least: float = Field(0.1, ge=0, description="its least value")
    imitation_steps: int = Field(3000, ge=0, description="gradient steps on demonstrations, where there are any")
    imitation_rate: float = Field(1e-3, gt=0, description="Adam's step size for them")
    slots: int = Field(200_000, ge=1, description="slots decided in training, unless a budget says otherwise")

    @model_validator(mode="after")
    def _a_slot_fits(self) -> DdpgDiscrete:
        if self.buffer_size < self.num_envs:
            raise ValueError(f"buffer_size = {self.buffer_size}; allowed: at least num_envs = {self.num_envs}")
        return self

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: those of all agents in ``slots``."""
        return self.slots * problem.num_agents

    def decisions(self, problem: Problem[Any]) -> int:
        """Decisions of all agents in a slot."""
        return problem.num_agents

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> Examples:
        """Decisions that the actor imitates before it acts."""
        return Examples(self, problem, demonstrations)

    def make_training(
        self, problem: Any, seed: int, examples: Examples | None, tracker: TrainingProgress
    ) -> CentralTraining:
        """Create an agent with initial weights, and an empty replay buffer."""
        return CentralTraining(self, problem, seed, examples)


class CentralTraining(Training):
    """Agent, environments and replay buffer; an iteration is an episode of all environments."""

    state_fields = ("slot", "episode", "agent", "replay")

    def __init__(
        self, settings: DdpgDiscrete, problem: JointProblem[Any], seed: int, examples: Examples | None
    ) -> None:
        super().__init__(examples)
        self.settings, self.problem, self.seed = settings, problem, seed
        self.agent = CentralAgent(settings, problem, seeded_generator(seed))
        self.replay = TransitionReplay(settings.buffer_size)
        self.episodes = Episodes(problem, settings.num_envs, seed)
        self.slot = self.episode = 0

    def prepare(self, tracker: TrainingProgress) -> None:
        """Standardise states and imitate the demonstrations."""
        if self.settings.normalise and self.settings.standardise:
            self.agent.standardise_states(self._random_states(np.random.default_rng([self.seed, 2])))
        if self.examples is not None:
            self.agent.imitate(self.examples, np.random.default_rng([self.seed, 1]), tracker)

    def advance(self, tracker: TrainingProgress) -> None:
        """Run an episode of Algorithm 3, or the slots that the budget leaves."""
        # Every episode has streams of its own, so a training continues without any generator's state.
        nature, chance = np.random.SeedSequence(self.seed, spawn_key=(self.episode,)).spawn(2)
        self.episodes.reseed(int(nature.generate_state(1, np.uint64)[0]))
        self._run_episode(tracker, np.random.default_rng(chance))
        self.episode += 1

    def policy(self, origin: Origin) -> CentralPolicy:
        """Create the policy of the actor."""
        return CentralPolicy(self.problem, self.agent.actor, origin)

    def _random_shares(self, rng: np.random.Generator) -> FloatArray:
        shape = (self.settings.num_envs, self.problem.num_agents, len(self.problem.choices))
        return self.agent.quantiser.quantise(rng.random(shape))

    def _random_states(self, rng: np.random.Generator) -> FloatArray:
        """States ``[count, agents, features]`` of an episode with random actions; its slots are not counted.

        An expert's states are not used: its workloads hardly differ, and those of an imperfect policy lie far outside.
        """
        states = []
        self.episodes.begin()
        while not self.episodes.ended:
            states.append(state_of(self.problem, self.episodes.observation, self.settings.normalise))
            self.episodes.step(self.problem.decode(self._random_shares(rng)))
        return np.concatenate(states)

    def _run_episode(self, tracker: TrainingProgress, rng: np.random.Generator) -> None:
        s, problem, agent, episodes, replay = self.settings, self.problem, self.agent, self.episodes, self.replay
        outcomes: list[Outcome] = []
        measured: dict[str, Tensor] = {}
        episodes.begin()
        observed_state = state_of(problem, episodes.observation, s.normalise)
        for _ in range(problem.horizon):
            if tracker.spent >= 1.0:
                break
            by_chance = self.slot < s.warm_up and not agent.imitated
            shares = self._random_shares(rng) if by_chance else agent.explore(observed_state, self.slot, rng)
            outcomes.append(episodes.step(problem.decode(shares)))
            next_state = state_of(problem, episodes.observation, s.normalise)
            if s.replay == "overwrite" or replay.count < s.buffer_size:
                replay.append(observed_state, shares, -outcomes[-1].running_cost, next_state)
                learns = s.replay == "overwrite" and self.slot >= s.warm_up
            else:
                learns = True
            observed_state = next_state
            self.slot += 1
            if learns:
                if not agent.learning and s.reward_scale is None:
                    agent.standardise_rewards(replay.rewards())
                measured = agent.learn(replay.draw(s.batch_size, rng), tracker.spent, rng)
            decided = min(len(observed_state), tracker.left)
            tracker.advance(decided, partial(measurements, outcomes, measured, {}) if episodes.ended else None)


class CentralAgent(Stateful):
    """Actor, critic, their target networks and optimisers."""

    state_fields = ("learning", "imitated", "networks", "_actors", "_critics", "_center", "_factor")

    def __init__(self, settings: DdpgDiscrete, problem: JointProblem[Any], generator: torch.Generator) -> None:
        self.settings = settings
        self.quantiser = Quantiser(settings.encoding, settings.levels, problem.choices)
        self.learning = 0
        self.imitated = False
        self._gamma = settings.gamma if problem.horizon > 1 else 0.0
        fields = settings.model_dump()
        self.head = head_of(problem, fields)
        self.networks: dict[str, CentralNetwork] = {}
        for role in ("", "target_"):
            self.networks[f"{role}actor"] = actor_of(problem, fields)
            self.networks[f"{role}critic"] = critic_of(problem, fields)
        self.actor, self.critic = self.networks["actor"], self.networks["critic"]
        for kind in ("actor", "critic"):
            self.networks[kind].initialise(generator)
            polyak_update_with_buffers(self.networks[f"target_{kind}"], self.networks[kind], 1.0)
        self._actors = AdamOptimizer(self.actor, settings.actor_rate, settings.final_rate * settings.actor_rate)
        self._critics = AdamOptimizer(self.critic, settings.critic_rate, settings.final_rate * settings.critic_rate)
        self._sums_rewards = settings.networks == "joint"
        self._center, self._factor = 0.0, settings.reward_scale or 1.0

    def standardise_states(self, states: FloatArray) -> None:
        """Take mean and deviation of states from ``[count, agents, features]``."""
        for network in self.networks.values():
            network.standardise(torch.from_numpy(states))

    def standardise_rewards(self, rewards: FloatArray) -> None:
        """Take the scale of rewards from ``[count, agents]``."""
        scaled = rewards.sum(axis=-1) if self._sums_rewards else rewards
        self._center, self._factor = float(scaled.mean()), 1.0 / max(float(scaled.std()), 1e-9)

    def scaled_reward(self, batch: TransitionBatch) -> Tensor:
        """[rows, agents or 1] Standardised rewards of each agent, or of their sum."""
        reward = batch.reward.sum(dim=-1, keepdim=True) if self._sums_rewards else batch.reward
        return (reward - self._center) * self._factor

    def explore(self, state: FloatArray, slot: int, rng: np.random.Generator) -> FloatArray:
        """Levels ``[count, agents, numbers]`` with exploration; slots count from the first of all."""
        s = self.settings
        sigma = max(s.noise * s.noise_decay**slot, s.noise_least)
        with torch.no_grad():
            signal = self.actor(state_tensor(state))
        return self.quantiser.quantise(self.head.explore(signal, sigma, rng))

    def target(self, batch: TransitionBatch) -> Tensor:
        """Targets of the critic, ``r + gamma Q'(s', mu'(s'))`` of equation (21)."""
        if self._gamma == 0.0:
            return self.scaled_reward(batch)
        with torch.no_grad():
            signal = self.networks["target_actor"](batch.next_view)
            shares = torch.from_numpy(self.quantiser.quantise(self.head.shares(signal))).float()
            next_value = self.networks["target_critic"](batch.next_view, self.head.critic_input(shares))[..., 0]
        return self.scaled_reward(batch) + self._gamma * next_value

    def learn(self, batch: TransitionBatch, spent: float, rng: np.random.Generator) -> dict[str, Tensor]:
        """Update critic and actor by a gradient step each; returns critic loss and value.

        ``spent`` is the share of the budget that is spent, by which learning rates fall.
        """
        value = self.critic(batch.view, self.head.critic_input(batch.action))[..., 0]
        error = value - self.target(batch)
        self._critics.descend(mean_squared_or_huber(error, self.settings.huber_delta).mean(), spent)
        self.learning += 1
        if self.learning > self.settings.actor_delay:
            signal = self.actor(batch.view)
            objective = self.head.actor_objective(signal, self.critic, batch.view, self.settings.inverting, rng)
            self._actors.descend(-objective.mean(), spent)
        if self._gamma > 0.0:
            for kind in ("actor", "critic"):
                polyak_update_with_buffers(self.networks[f"target_{kind}"], self.networks[kind], self.settings.tau)
        return {"train/critic_loss": error.detach().square().mean(), "train/value": value.detach().mean()}

    def imitate(self, examples: Examples, rng: np.random.Generator, tracker: TrainingProgress) -> None:
        """Supervised steps of the actor, at a rate that falls along a cosine; fewer if time is over before."""
        s = self.settings
        optimizer = AdamOptimizer(self.actor, s.imitation_rate)
        for step in range(s.imitation_steps):
            if tracker.spent >= 1.0:
                break
            rows = torch.from_numpy(rng.integers(len(examples.state), size=s.batch_size))
            loss = self.head.imitation_loss(self.actor(examples.state[rows]), examples.aim[rows])
            optimizer.descend(loss, step / s.imitation_steps)
        self.imitated = True
        polyak_update_with_buffers(self.networks["target_actor"], self.actor, 1.0)


class Examples:
    """States and imitation targets of an expert's decisions, one row per slot.

    Attributes
    ----------
    state : Tensor [slots, agents, features]
    aim : Tensor [slots, agents, numbers]
        Shares that become the expert's levels, or those next to its decisions; NaN where any would do.
    """

    def __init__(self, settings: DdpgDiscrete, problem: JointProblem[Any], demonstrations: Demonstrations) -> None:
        observation, decisions = single_slots(problem, demonstrations)
        quantiser = Quantiser(settings.encoding, settings.levels, problem.choices)
        self.state = state_tensor(state_of(problem, observation, settings.normalise))
        self.aim = torch.from_numpy(quantiser.imitation_targets(problem.encode(decisions)).astype(np.float32))

    @property
    def count(self) -> int:
        """Number of slots."""
        return len(self.state)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Both by name."""
        return {"state": self.state.numpy(), "aim": self.aim.numpy()}
