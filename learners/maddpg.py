"""MADDPG: actors that decide from what each agent sees, taught by critics that see all of them.

Lowe et al. 2017, "Multi-agent actor-critic for mixed cooperative-competitive environments" (arXiv:1706.02275), for
agents with numbers, choices, or both:

1. episodes side by side are decided at first by chance, then by every agent's actor from its own view, with noise on
   numbers and choices drawn from a softmax; what all saw, did and were paid enters a joint replay;
2. a critic ``Q_i(x, a_1, ..., a_n)`` of everything seen and all agents' actions steps towards
   ``r_i + gamma Q'_i(x', mu'_1, ..., mu'_n)`` with the slowly following networks ``Q'``, ``mu'`` (their equation (6));
3. agent i's actor steps up the slope of ``Q_i`` by its own action, the others' being those of the replay (equation
   (5)). Through choices the slope passes by the straight-through Gumbel-softmax estimator (see `relaxed`);
4. execution does not explore, and nothing passes between agents.

Each agent is paid for its own cost, or all for everybody's. The horizon only cuts episodes off, so what follows always
counts, but for a problem with one slot, where nothing follows. A step of the budget is one agent's decision in one
slot, as for `ppo` and `ddpg`.

Agents with networks of their own are slices of the same arrays (`trunks`); no agent's gradient depends on another's
parameters, and each is clipped by itself.

What is not in the paper: choices that are whole where critics see them, one network for all agents (``shared``), some
decisions by chance also after the warm-up, and large outputs that cost (``output_weight``).

What was found, one training each. On ``battery_d2d`` from view ``full``, mean cost of 128 held-out draws: 470 after
680,000 steps (78 s of CPU), 558 with another seed after 560,000 (73 s); everything at home in the slowest mode is 823.
On ``carbon_mimo`` (view ``full``, ``controls = "energy"``) it came to 12.8 in 37 s of CPU with ``gamma = 0.99``,
``noise = 0.1`` and ``random_share = 0.02``; `ppo` to 9.2 in 34 s.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from offloadopt.core import Budget, Demonstrations, Learner, Outcome, Problem, Progress, Record
from offloadopt.envs.episodes import Episodes
from offloadopt.learners.agent_interface import AgentInterface, Seen
from offloadopt.learners.agent_policy import Actor, AgentPolicy
from offloadopt.learners.agents import Agents, Arrays
from offloadopt.learners.checkpoint import Checkpoint
from offloadopt.learners.course import Course
from offloadopt.learners.ensemble import one_thread, seeded_generator
from offloadopt.learners.heads import restrict
from offloadopt.learners.joint_critic import JointCritic
from offloadopt.learners.joint_replay import Experience, JointReplay
from offloadopt.learners.off_policy import below
from offloadopt.learners.policies import Origin
from offloadopt.learners.relaxed import Relaxed
from offloadopt.learners.rollouts import agent_reward, team_reward
from offloadopt.structure import AgentProblem

ROUND_SLOTS = 64
"""A round is whole episodes with at least so many slots. Statistics follow, and states are kept, between rounds."""


class Maddpg(Learner):
    """MADDPG for any problem whose decisions are made by agents."""

    name = "maddpg"
    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]
    policy_type = AgentPolicy

    view: str | None = Field(None, description="what agents see; none: the problem's first view")
    controls: str | None = Field(None, description="what agents set; none: the decision itself")
    shared: bool = Field(True, description="one actor and critic for all agents; otherwise each has its own")
    reward: Literal["agent", "team"] = Field("agent", description="whose cost an agent bears: its own or everybody's")
    hidden: tuple[PositiveInt, ...] = Field((64, 64), min_length=1, description="widths of the hidden layers")
    activation: Literal["tanh", "relu"] = Field("relu", description="of the hidden layers")
    standardise: bool = Field(True, description="views by their running mean and deviation")

    steps: int = Field(1_000_000, ge=1, description="decisions of agents in training, unless a budget says otherwise")
    environments: int = Field(16, ge=1, description="episodes that are decided side by side")
    warm_up: int = Field(200, ge=1, description="slots of all environments decided by chance, rounded up to a round")
    update_every: int = Field(1, ge=1, description="slots of all environments between two gradient steps")
    buffer_size: int = Field(100_000, ge=1, description="latest moments of an environment that are remembered")
    batch_size: int = Field(128, ge=1, description="of those in a gradient step, each with all its agents")
    gamma: float = Field(0.95, ge=0, lt=1, description="discount of a slot")
    tau: float = Field(0.02, gt=0, le=1, description="share of the way that targets follow in a gradient step")
    actor_rate: float = Field(1e-3, gt=0, description="Adam's step size for actors")
    critic_rate: float = Field(3e-3, gt=0, description="Adam's step size for critics")
    final_rate: float = Field(0.1, ge=0, le=1, description="share of both left at the end; they fall along a cosine")
    max_gradient_norm: float = Field(0.5, gt=0, description="longer gradients of an agent are shortened to this")
    temperature: float = Field(1.0, gt=0, description="of the softmax through which choices pass gradients")
    noise: float = Field(0.2, ge=0, description="deviation of explored numbers, in halves of their range")
    random_share: float = Field(0.05, ge=0, le=1, description="share of decisions by chance also after the warm-up")
    output_weight: float = Field(1e-3, ge=0, description="of the actors' mean squared outputs, which holds them back")

    @model_validator(mode="after")
    def _moments_fit(self) -> Self:
        least = 3 * self.environments
        if self.buffer_size < least:
            raise ValueError(f"buffer_size = {self.buffer_size}; allowed: at least 3 environments = {least}")
        return self

    @property
    def default_steps(self) -> int:
        """Decisions of agents in training without a budget."""
        return self.steps

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without agents, and names that this one does not know."""
        super().require(problem)
        AgentInterface.check(cast(AgentProblem[Any], problem), self.view, self.controls)

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
            Not used: the paper has no expert.
        budget : Budget, optional
            ``steps`` are environments x slots x agents. Training ends early when ``seconds`` are over, and then depends
            on the clock.
        seed : int
            Of nature's draws, initial weights, exploration and replay.
        progress : callable, optional
            Called with the number of steps done since the last call.
        record : callable, optional
            Called at the end of episodes with their mean ``cost`` and metrics, exploration included, and the last
            gradient step's ``loss/critic`` and ``value`` in deviations of rewards.
        checkpoint : Path, optional
            Folder from which an interrupted training continues with the round it was in. The whole replay is kept
            there (see `JointReplay`).
        """
        begin = time.monotonic()
        self.require(problem)
        interface = AgentInterface(cast(AgentProblem[Any], problem), self.view, self.controls)
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, None)
        course = Course(begin, self.default_steps, budget, progress, record, store)
        with one_thread():
            students = Students(self, interface, seeded_generator(seed))
            replay = JointReplay(self.buffer_size // self.environments)
            episodes = Episodes(interface.problem, self.environments, seed)
            slot = number = 0
            if store is not None and (state := store.read()):
                slot, number = state["done"].tolist()
                students.restore(state)
                replay.restore(state)

            def everything() -> Arrays:
                return {"done": np.array([slot, number]), **students.arrays(), **replay.arrays()}

            while course.spent < 1.0:
                # Every round has streams of its own, so a training continues without any generator's state.
                stream = np.random.SeedSequence(seed, spawn_key=(number,))
                nature, noise, lessons = stream.generate_state(3, np.uint64).tolist()
                episodes.reseed(nature)
                chance = torch.Generator().manual_seed(noise), np.random.default_rng(lessons)
                slot += self._round(course, episodes, students, replay, slot >= self.warm_up, chance)
                number += 1
                course.keep(everything)
            course.finish(everything)
        # Saved policies of agents say whether these remember.
        origin = Origin.of(self, problem, seed=seed, steps=course.step)
        origin = origin.replace(settings={**origin.settings, "recurrent": False})
        return AgentPolicy(interface, students.actor, origin)

    def _round(
        self,
        course: Course,
        episodes: Episodes,
        students: Students,
        replay: JointReplay,
        learning: bool,
        chance: tuple[torch.Generator, np.random.Generator],
    ) -> int:
        """Some episodes of all environments, or what the budget leaves of them; returns the slots done."""
        generator, rng = chance
        interface, horizon = students.interface, episodes.problem.horizon
        pay = team_reward if self.reward == "team" else agent_reward
        moments: list[Seen] = []
        rewards: list[NDArray[Any]] = []
        measured: dict[str, Tensor] = {}
        for _ in range(math.ceil(ROUND_SLOTS / horizon)):
            outcomes: list[Outcome] = []
            episodes.begin()
            for _ in range(horizon):
                if course.spent >= 1.0:
                    return len(moments)  # all that is left to be done is to stop
                seen = interface.see(episodes.observation, centre=True)
                rows = students.explore(seen, generator) if learning else students.guess(seen, generator)
                decisions = interface.decide(episodes.observation, students.relaxed.actions(rows))
                outcomes.append(episodes.step(decisions))
                moments.append(seen)
                rewards.append(pay(outcomes[-1]))
                replay.append(seen, rows, rewards[-1])
                if learning and len(moments) % self.update_every == 0:
                    measured = students.learn(replay.draw(self.batch_size, rng), course.spent, generator)
                decided = min(rewards[-1].size, course.steps - course.step)
                course.advance(decided, partial(_measure, outcomes, measured) if episodes.ended else None)
            replay.append(interface.see(episodes.observation, centre=True))
        students.watch(moments, torch.from_numpy(np.stack(rewards)), learning)
        return len(moments)


class Clipped(Agents[nn.Module]):
    """Copies of networks under training by Adam, each copy with gradients of limited length."""

    def __init__(self, networks: nn.Module, first_rate: float, last_rate: float, longest: float) -> None:
        super().__init__(networks, first_rate, last_rate)
        self._longest = longest

    def descend(self, loss: Tensor, spent: float) -> None:
        """One step along the shortened gradient of each copy's own loss, when a share of the budget is spent."""
        first, last = self._rates
        share = 0.5 * (1.0 + math.cos(math.pi * min(spent, 1.0)))
        self._optimizer.param_groups[0]["lr"] = last + (first - last) * share
        self._optimizer.zero_grad()
        loss.sum().backward()
        shorten([cast(Tensor, parameter.grad) for parameter in self.networks.parameters()], self._longest)
        self._optimizer.step()


def shorten(gradients: Sequence[Tensor], longest: float) -> None:
    """Shorten each copy's gradient, spread over arrays ``[copies, ...]``, to at most this length."""
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients])
    factor = (longest / squares.sum(dim=0).sqrt().clamp(min=longest)).view(-1, 1, 1)
    for gradient in gradients:
        gradient.mul_(factor)


class Students:
    """Every agent's actor and critic and the networks that follow them.

    Attributes
    ----------
    interface : AgentInterface
    relaxed : Relaxed
        The form of actions in the replay.
    actor : Actor
    critic : JointCritic
    """

    def __init__(self, settings: Maddpg, interface: AgentInterface, generator: torch.Generator) -> None:
        agents, hidden, heads = interface.problem.agents, settings.hidden, interface.heads
        copies = 1 if settings.shared else agents
        self.settings = settings
        self.interface = interface
        self.relaxed = Relaxed(interface.controls.fields)
        sizes = (interface.features, *hidden, heads.outputs)
        self.actor = Actor(copies, sizes, settings.activation, False, settings.standardise)
        self.critic = JointCritic(
            agents,
            copies,
            (interface.features, interface.whole_features, self.relaxed.size),
            hidden,
            settings.activation,
            settings.standardise,
        )
        self.actor.initialise(generator)
        self.critic.initialise(generator)
        self.target_actor, self.target_critic = copy.deepcopy(self.actor), copy.deepcopy(self.critic)
        self._gamma = settings.gamma if interface.problem.horizon > 1 else 0.0
        self._actors, self._critics = (
            Clipped(networks, rate, rate * settings.final_rate, settings.max_gradient_norm)
            for networks, rate in ((self.actor, settings.actor_rate), (self.critic, settings.critic_rate))
        )

    @torch.no_grad()
    def guess(self, seen: Seen, generator: torch.Generator) -> Tensor:
        """Rows ``[count, agents, size]`` by chance alone."""
        indifferent = torch.zeros(*seen.view.shape[:-1], self.relaxed.size)
        return self.relaxed.guess(restrict(indifferent, seen.allowed), generator)

    @torch.no_grad()
    def explore(self, seen: Seen, generator: torch.Generator) -> Tensor:
        """What the actors do with noise, and now and then anything."""
        rows = self.relaxed.explore(self._outputs(self.actor, seen), self.settings.noise, generator)
        anything = torch.rand(*rows.shape[:-1], 1, generator=generator) < self.settings.random_share
        return torch.where(anything, self.guess(seen, generator), rows)

    @torch.no_grad()
    def watch(self, moments: Sequence[Seen], reward: Tensor, learning: bool) -> None:
        """Let statistics follow what was seen and the rewards ``[slots, count, agents]`` paid for it."""
        view = torch.stack([seen.view for seen in moments])
        if self.actor.standard is not None:
            self.actor.standard.watch(view)
        self.critic.watch(view, torch.stack([cast(Tensor, seen.whole) for seen in moments]))
        self.critic.pay(reward, self._gamma, self.target_critic if learning else None)
        for target, source in self._pairs():
            imitate_statistics(target, source)

    @torch.no_grad()
    def target(self, batch: Experience, generator: torch.Generator) -> Tensor:
        """[rows, agents] what the critics should have said, in deviations."""
        paid = self.critic.in_deviations(batch.reward)
        if self._gamma == 0.0:
            return paid
        outputs = self._outputs(self.target_actor, batch.following)
        rows = self.relaxed.straight_through(outputs, self.settings.temperature, generator)
        return paid + self._gamma * self.target_critic(batch.following, rows, rows)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """A step of the critics, one of the actors, and their targets behind them; and what was measured in it."""
        worth = self.critic(batch.seen, batch.action, batch.action)
        error = worth - self.target(batch, generator)
        self._critics.descend(self._by_copy(0.5 * error.square()), spent)
        self._improve(batch, spent, generator)
        for target, source in self._pairs():
            follow(target, source, self.settings.tau)
        return {"loss/critic": error.detach().square().mean(), "value": worth.detach().mean()}

    def _improve(self, batch: Experience, spent: float, generator: torch.Generator) -> None:
        """A step of the actors along the critics' slopes by what each would do beside what the others did."""
        outputs, _ = self.actor(batch.seen.view[None])
        restricted = restrict(outputs[0], batch.seen.allowed)
        rows = self.relaxed.straight_through(restricted, self.settings.temperature, generator)
        own = rows.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(batch.seen, own, batch.action).sum(), own)
        loss = self.settings.output_weight * outputs[0].square().mean(dim=-1) - (rows * slope).sum(dim=-1)
        self._actors.descend(self._by_copy(loss), spent)

    def _outputs(self, actor: Actor, seen: Seen) -> Tensor:
        outputs, _ = actor(seen.view[None])
        return restrict(outputs[0], seen.allowed)

    def _by_copy(self, loss: Tensor) -> Tensor:
        """Means of ``[rows, agents]``: of all, or for each agent with networks of its own."""
        return loss.mean().view(1) if self.settings.shared else loss.mean(dim=0)

    def _pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        return (self.target_actor, self.actor), (self.target_critic, self.critic)

    def arrays(self) -> Arrays:
        """Everything that training changes; for ``copies`` of networks each array of weights leads with them."""
        found: Arrays = {}
        for kind, agents in (("actor", self._actors), ("critic", self._critics)):
            found |= {f"{kind}.{name}": array for name, array in agents.arrays().items()}
        for kind, networks in (("target_actor", self.target_actor), ("target_critic", self.target_critic)):
            found |= {f"{kind}.{name}": value.numpy().copy() for name, value in networks.state_dict().items()}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        self._actors.restore(below(arrays, "actor"))
        self._critics.restore(below(arrays, "critic"))
        for kind, networks in (("target_actor", self.target_actor), ("target_critic", self.target_critic)):
            networks.load_state_dict({name: torch.from_numpy(array) for name, array in below(arrays, kind).items()})


@torch.no_grad()
def follow(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Move all weights of ``target`` a share ``rate`` of the way to those of ``source``."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)


def imitate_statistics(target: nn.Module, source: nn.Module) -> None:
    """Give ``target`` the scales of ``source``."""
    for held, new in zip(target.buffers(), source.buffers(), strict=True):
        held.copy_(new)


def _measure(outcomes: Sequence[Outcome], measured: Mapping[str, Tensor]) -> dict[str, float]:
    total = Outcome.total(outcomes)
    means = {name: float(values.mean()) for name, values in {"cost": total.cost, **total.metrics}.items()}
    return {**means, **{name: float(value) for name, value in measured.items()}}
