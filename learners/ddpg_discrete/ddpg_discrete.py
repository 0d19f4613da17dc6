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

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from offloadopt.core import Budget, Demonstrations, FloatArray, Learner, Observation, Outcome, Problem, Progress, Record
from offloadopt.envs.episodes import Episodes
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import (
    Arrays,
    mean_squared_or_huber,
    one_thread,
    seeded_generator,
    with_prefix,
)
from offloadopt.learners.common.training import TrainingProgress, measurements
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


class DdpgDiscrete(Learner):
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
    ) -> CentralPolicy:
        """Train by interaction, after imitation where there are demonstrations.

        Parameters
        ----------
        problem : JointProblem
        demonstrations : Demonstrations, optional
            Feasible decisions, which the actor imitates before it acts; their steps are not counted.
        budget : Budget, optional
            Without it `default_steps`; rounded up to whole slots. Training ends early when ``seconds`` are over, and
            then depends on the clock.
        seed : int
            Of nature's draws, initial weights, exploration and replay.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called at the end of episodes with ``episode/cost``, ``episode/objective`` and metrics, and of the last
            gradient step ``train/critic_loss`` and ``train/value``.
        checkpoint : Path, optional
            Folder from which an interrupted training continues with the episode it was in.
        """
        self.require(problem)
        self.check_demonstrations(demonstrations is not None)
        problem = cast(JointProblem[Any], problem)
        begin = time.monotonic()
        examples = None if demonstrations is None else Examples(self, problem, demonstrations)
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, examples)
        tracker = TrainingProgress(begin, self.slots, budget, progress, record, store, decisions=problem.num_agents)
        with one_thread():
            agent = CentralAgent(self, problem, seeded_generator(seed))
            transitions = TransitionReplay(self.buffer_size)
            episodes = Episodes(problem, self.num_envs, seed)
            slot = episode = 0
            state = {} if store is None else store.read()
            if state:
                slot, episode = (int(number) for number in state["done"])
                agent.restore(state)
                transitions.restore(state)
            else:
                if self.normalise and self.standardise:
                    agent.standardise_states(self._random_states(episodes, agent, np.random.default_rng([seed, 2])))
                if examples is not None:
                    agent.imitate(examples, np.random.default_rng([seed, 1]), tracker)

            def everything() -> Arrays:
                return {"done": np.array([slot, episode]), **agent.arrays(), **transitions.arrays()}

            while tracker.spent < 1.0:
                # Every episode has streams of its own, so a training continues without any generator's state.
                nature, chance = np.random.SeedSequence(seed, spawn_key=(episode,)).spawn(2)
                episodes.reseed(int(nature.generate_state(1, np.uint64)[0]))
                slot = self._run_episode(tracker, episodes, agent, transitions, slot, np.random.default_rng(chance))
                episode += 1
                tracker.keep(everything)
            tracker.finish(everything)
        found = 0 if examples is None else len(examples.state)
        return CentralPolicy(
            problem, agent.actor, Origin.of(self, problem, seed=seed, steps=tracker.step, demonstrations=found)
        )

    def _random_states(self, episodes: Episodes, agent: CentralAgent, rng: np.random.Generator) -> FloatArray:
        """States ``[count, agents, features]`` of an episode with random actions; its slots are not counted.

        An expert's states are not used: its workloads hardly differ, and those of an imperfect policy lie far outside.
        """
        problem = cast(JointProblem[Any], episodes.problem)
        states = []
        episodes.begin()
        while not episodes.ended:
            states.append(state_of(problem, episodes.observation, self.normalise))
            shares = agent.quantiser.quantise(rng.random((episodes.count, problem.num_agents, len(problem.choices))))
            episodes.step(problem.decode(shares))
        return np.concatenate(states)

    def _run_episode(
        self,
        tracker: TrainingProgress,
        episodes: Episodes,
        agent: CentralAgent,
        transitions: TransitionReplay,
        slot: int,
        rng: np.random.Generator,
    ) -> int:
        """Run an episode of Algorithm 3, or the slots that the budget leaves; returns the number of slots so far."""
        problem = cast(JointProblem[Any], episodes.problem)
        outcomes: list[Outcome] = []
        measured: dict[str, Tensor] = {}
        episodes.begin()
        observed_state = state_of(problem, episodes.observation, self.normalise)
        for _ in range(problem.horizon):
            if tracker.spent >= 1.0:
                break
            if slot < self.warm_up and not agent.imitated:
                shares = agent.quantiser.quantise(
                    rng.random((len(observed_state), problem.num_agents, len(problem.choices)))
                )
            else:
                shares = agent.explore(observed_state, slot, rng)
            outcomes.append(episodes.step(problem.decode(shares)))
            next_state = state_of(problem, episodes.observation, self.normalise)
            if self.replay == "overwrite" or transitions.count < self.buffer_size:
                transitions.append(observed_state, shares, -outcomes[-1].running_cost, next_state)
                learns = self.replay == "overwrite" and slot >= self.warm_up
            else:
                learns = True
            observed_state = next_state
            slot += 1
            if learns:
                if not agent.learning and self.reward_scale is None:
                    agent.standardise_rewards(transitions.rewards())
                measured = agent.learn(transitions.draw(self.batch_size, rng), tracker.spent, rng)
            decided = min(len(observed_state), tracker.left)
            tracker.advance(decided, partial(measurements, outcomes, measured, {}) if episodes.ended else None)
        return slot


class CentralAgent:
    """Actor, critic, their target networks and optimisers."""

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

    def arrays(self) -> Arrays:
        """Networks, optimisers and the scale of rewards."""
        found = {"reward": np.array([self._center, self._factor]), "learned": np.array([self.learning, self.imitated])}
        for kind, agents in (("actors", self._actors), ("critics", self._critics)):
            found |= {f"{kind}.{name}": array for name, array in agents.arrays().items()}
        for kind in ("target_actor", "target_critic"):
            found |= {f"{kind}.{name}": array for name, array in self.networks[kind].arrays().items()}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        self._center, self._factor = (float(number) for number in arrays["reward"])
        self.learning, self.imitated = int(arrays["learned"][0]), bool(arrays["learned"][1])
        self._actors.restore(with_prefix(arrays, "actors"))
        self._critics.restore(with_prefix(arrays, "critics"))
        for kind in ("target_actor", "target_critic"):
            weights = with_prefix(arrays, kind)
            self.networks[kind].load_state_dict({name: torch.from_numpy(a.copy()) for name, a in weights.items()})


class Examples:
    """States and imitation targets of an expert's decisions, one row per slot.

    Attributes
    ----------
    state : Tensor [slots, agents, features]
    aim : Tensor [slots, agents, numbers]
        Shares that become the expert's levels, or those next to its decisions; NaN where any would do.
    """

    def __init__(self, settings: DdpgDiscrete, problem: JointProblem[Any], demonstrations: Demonstrations) -> None:
        count, horizon = demonstrations.instances.count, problem.horizon
        if count == 0:
            raise InvalidInput("the demonstrations are empty; allowed: 1 or more, or none at all")
        failed = np.flatnonzero(~np.isfinite(demonstrations.solutions.objective))
        if len(failed):
            raise InvalidInput(f"demonstration {failed[0]} is not feasible; allowed: feasible ones only")
        decisions = problem.check_decisions(demonstrations.solutions.decisions, count)
        by_slot = {
            name: field.check(name, demonstrations.observations[name], horizon).reshape(count * horizon, *field.shape)
            for name, field in problem.observation_fields.items()
        }
        quantiser = Quantiser(settings.encoding, settings.levels, problem.choices)
        aim = quantiser.imitation_targets(problem.encode(decisions))
        self.state = state_tensor(state_of(problem, Observation(by_slot), settings.normalise))
        self.aim = torch.from_numpy(aim.reshape(count * horizon, *aim.shape[-2:]).astype(np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Both by name."""
        return {"state": self.state.numpy(), "aim": self.aim.numpy()}
