"""Clipped PPO with generalised advantages for agents that decide by themselves.

Schulman et al. 2017 (arXiv:1707.06347), with many agents as in IPPO (de Witt et al. 2020, arXiv:2011.09533) and MAPPO
(Yu et al. 2022, arXiv:2103.01955):

1. in many episodes side by side every agent samples actions from its own view, with one network for all or its own;
2. a critic of that view or of all agents' views values these states; generalised advantage estimates (GAE) are
   standardised over the roll-out;
3. for some epochs, over minibatches: ascend ``E[min(r A, clip(r) A)] + entropy - value error``;
4. execution does not explore, and nothing passes between agents.

With demonstrations the actor is first trained to imitate the expert's decisions from the agents' views.

Rewards are not scaled: advantages are standardised, and the critic's scale follows its returns (see `Critic`). The
terminal cost of a horizon is no reward: there the critic's value estimates the remaining cost.

Recorded results: ``docs/results/learners.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from offloadopt.core import Demonstrations, Problem
from offloadopt.envs.rewards import agent_reward, team_reward
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.agent_interface import AgentInterface, AgentObservation
from offloadopt.learners.common.agent_policy import Actor, AgentLearner, AgentPolicy
from offloadopt.learners.common.demonstrations import ExpertActions, minimise
from offloadopt.learners.common.distributions import Heads, mask_outputs
from offloadopt.learners.common.optimizer import ClippedAdam
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import Training, TrainingProgress, measurements
from offloadopt.learners.common.weight_aggregation import Federable, Pair, WeightExchange
from offloadopt.learners.ppo.critic import Critic
from offloadopt.learners.ppo.rollout import Collector, Rollout, advantages
from offloadopt.quantities import Factor, Rate, Rounds, Size


@dataclass(frozen=True)
class RolloutBatch:
    """A roll-out prepared for updates: tensors ``[slots, rows, ...]``, most of them ``[slots, rows, agents, ...]``.

    Rows are episodes, or pieces of them, or if agents do not remember, slots of episodes in any order
    (``slots == 1``). Memories ``[1, rows, agents, width]`` are those before the first of the slots.
    """

    view: Tensor
    allowed: Tensor | None
    global_state: Tensor | None
    actions: Tensor
    log_probability: Tensor
    advantage: Tensor
    returns: Tensor
    actor_memory: Tensor | None = None
    critic_memory: Tensor | None = None

    def shuffled(self, parts: int, generator: torch.Generator) -> Iterator[RolloutBatch]:
        """All rows in random order, in parts."""
        order = torch.randperm(self.view.shape[1], generator=generator).tensor_split(parts)
        return (self._each(lambda values, rows=rows: values[:, rows]) for rows in order)  # type: ignore[misc]

    def as_single_slots(self) -> RolloutBatch:
        """Every slot is a row of its own."""
        return self._each(lambda values: values.flatten(0, 1)[None])

    def in_chunks(self, slots: int) -> RolloutBatch:
        """Pieces of so many slots are rows of their own."""
        return self._each(lambda values: values.unflatten(0, (-1, slots)).transpose(0, 1).flatten(1, 2))

    def _each(self, change: Callable[[Tensor], Tensor]) -> RolloutBatch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(value) for name, value in values.items() if value is not None})


class ActorCritic(nn.Module):
    """Actor, critic and exploration spread, trained together.

    Parameters
    ----------
    actor : Actor
    critic : Critic
    spread : Tensor [copies, spreads]
        Exploration spread of numbers, the same for every observation.
    """

    def __init__(self, actor: Actor, critic: Critic, spread: Tensor) -> None:
        super().__init__()
        self.actor = actor
        self.critic = critic
        self.spread = nn.Parameter(spread)

    @torch.no_grad()
    def explore(
        self, observation: AgentObservation, memory: Tensor | None, heads: Heads, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Random actions, their logarithmic probabilities, the next memory."""
        outputs, memory = self.actor(observation.view[None], memory)
        outputs = mask_outputs(outputs[0], observation.allowed)
        actions = heads.sample(outputs, self.spread, generator)
        return actions, heads.log_probability(outputs, self.spread, actions), memory

    def critic_view(self, source: Rollout | RolloutBatch) -> Tensor:
        """Global state for a central critic, or each agent's own view."""
        return source.view if source.global_state is None else source.global_state

    def update_statistics(self, batch: RolloutBatch) -> None:
        """Update the statistics by which views are standardised."""
        self.actor.normalizer.update_statistics(batch.view)
        self.critic.normalizer.update_statistics(self.critic_view(batch))


def clipped_objective(log_ratio: Tensor, advantage: Tensor, clip_range: float) -> Tensor:
    """``min(r A, clip(r, 1 - eps, 1 + eps) A)``, equation (7) of Schulman et al. 2017."""
    ratio = log_ratio.exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantage)


class Ppo(AgentLearner, Federable):
    """Clipped PPO for decentralised agents: IPPO with a local critic, MAPPO with a central one.

    A step of the budget is an *agent-step*, one agent's decision in one slot. It is rounded up to whole roll-outs;
    these have fewer environments only where one of them would be more than the budget.
    """

    name = "ppo"
    uses_demonstrations = True

    critic: Literal["local", "central"] = Field(
        "local", description="values an agent's own view (IPPO), or all (MAPPO)"
    )
    reward: Literal["agent", "team"] = Field("agent", description="whose cost an agent bears: its own or everybody's")
    recurrent: bool = Field(False, description="agents remember: gated recurrent units after the hidden layers")
    chunk: Size | None = Field(
        None,
        ge=1,
        description="slots through which recurrent agents' errors go back, a divisor of longer horizons; none: all",
    )

    steps: Rounds = Field(20_000_000, ge=1, description="agent-steps, unless a budget says otherwise")
    num_envs: Size = Field(128, ge=1, description="episodes side by side")
    rollout_length: Size | None = Field(None, ge=1, description="slots of a roll-out; none: whole episodes")
    epochs: Rounds = Field(4, ge=1, description="passes over a roll-out")
    minibatch_size: Size = Field(
        4096, ge=1, description="agent-steps in a gradient step (in whole slots of all agents)"
    )
    learning_rate: Rate = Field(3e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    final_learning_rate: Rate = Field(0.0, ge=0, description="and at the end")
    gamma: float = Field(0.99, ge=0, le=1, description="discount of a slot")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of the advantages; less where views are complete")
    clip_range: Factor = Field(0.2, gt=0, description="largest relative change of a probability that is rewarded")
    entropy_weight: Factor = Field(0.0, ge=0, description="of the policy's entropy")
    value_weight: Factor = Field(0.5, gt=0, description="of the squared value error, in deviations of returns")
    max_gradient_norm: Factor = Field(0.5, gt=0, description="longer gradients are shortened to this")
    initial_std: Factor = Field(0.5, gt=0, description="of explored numbers before they are squashed, at the start")
    explore_together: bool = Field(True, description="numbers may be explored in dependence on each other")
    imitation_steps: Rounds = Field(1000, ge=0, description="gradient steps on demonstrations before, if there are any")
    imitation_rate: Rate = Field(1e-3, gt=0, description="Adam's step size in imitation")

    @model_validator(mode="after")
    def _remembers_whole_episodes(self) -> Self:
        if self.recurrent and self.rollout_length is not None:
            raise ValueError(
                f"rollout_length = {self.rollout_length}; allowed for recurrent agents: none, whole episodes"
            )
        if self.chunk is not None and not self.recurrent:
            raise ValueError(f"chunk = {self.chunk}; allowed for agents that do not remember: none")
        return self

    @model_validator(mode="after")
    def _federates_what_it_has(self) -> Self:
        if self.federation is not None and self.federation.rule == "literal":
            raise ValueError(
                "federation.rule = 'literal'; allowed where no target networks follow: average, personalised"
            )
        return self

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also chunks that do not fit the horizon."""
        super().require(problem)
        if self.chunk is not None and problem.horizon % min(self.chunk, problem.horizon) > 0:
            raise InvalidInput(f"chunk = {self.chunk}; allowed: a divisor of the horizon, {problem.horizon} slots")

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> ExpertActions:
        """An expert's decisions, which the actor first learns to imitate."""
        return ExpertActions.of(self.interface(problem), demonstrations)

    def make_training(
        self, problem: Any, seed: int, examples: ExpertActions | None, tracker: TrainingProgress
    ) -> PpoTraining:
        """Create actor and critic with initial weights."""
        return PpoTraining(self, self.interface(problem), seed, examples, tracker.total)


class PpoTraining(Training):
    """Actor, critic and their optimiser; an iteration is one roll-out or more, to the end of its episodes.

    Parameters
    ----------
    settings : Ppo
    interface : AgentInterface
    seed : int
    examples : ExpertActions, optional
    total : int
        Agent-steps of the budget.
    """

    state_fields = ("optimizer", "exchange")

    def __init__(
        self, settings: Ppo, interface: AgentInterface, seed: int, examples: ExpertActions | None, total: int
    ) -> None:
        super().__init__(examples)
        self.settings, self.interface, self.seed = settings, interface, seed
        s, problem = settings, interface.problem
        self.networks = make_networks(s, interface, seeded_generator(seed))
        self.optimizer = ClippedAdam(self.networks, s.learning_rate, s.final_learning_rate, s.max_gradient_norm)
        self.exchange = None if s.federation is None else WeightExchange(s.federation)
        self._slots = min(s.rollout_length or problem.horizon, problem.horizon)
        num_envs = min(s.num_envs, math.ceil(total / (self._slots * problem.num_agents)))
        reward_of = team_reward if s.reward == "team" else agent_reward
        self._collector = Collector(interface, num_envs, reward_of, with_global_state=s.critic == "central")

    def prepare(self, tracker: TrainingProgress) -> None:
        """Imitate the demonstrations."""
        s, actor, generator = self.settings, self.networks.actor, seeded_generator(self.seed)
        if self.examples is None or s.imitation_steps == 0:
            return
        actor.normalizer.update_statistics(self.examples.view)
        examples = self.examples if s.recurrent else self.examples.as_single_slots()
        slots, count, agents, _ = examples.view.shape
        size = min(count, -(-s.minibatch_size // (slots * agents)))
        batches = (torch.randint(count, (size,), generator=generator) for _ in range(s.imitation_steps))
        loss = partial(examples.imitation_loss, actor, self.interface.heads)
        error = minimise(list(actor.parameters()), loss, batches, s.imitation_rate, tracker)
        tracker.record({"train/imitation_error": error})

    def advance(self, tracker: TrainingProgress) -> None:
        """Roll out and update, until episodes are over."""
        self._update_once(tracker)
        while not self._collector.between_episodes and tracker.spent < 1.0:
            self._update_once(tracker)

    def policy(self, origin: Origin) -> AgentPolicy:
        """Create the policy of the actor."""
        return AgentPolicy(self.interface, self.networks.actor, origin)

    def _update_once(self, tracker: TrainingProgress) -> None:
        """Roll out and update."""
        # Every roll-out has streams of its own, so a training continues without any generator's state.
        stream = np.random.SeedSequence(self.seed, spawn_key=(tracker.step,))
        instance_seed, action_seed = stream.generate_state(2, np.uint64).tolist()
        generator = torch.Generator().manual_seed(action_seed)
        explore = partial(self.networks.explore, heads=self.interface.heads, generator=generator)
        rollout = self._collector.collect(explore, self._slots, instance_seed)
        batch, explained = self._advantages_and_returns(rollout)
        kl, clipped = self._update(batch, tracker.spent, generator)
        measured = {
            "train/reward": rollout.reward.mean(),
            "train/entropy": -rollout.log_probability.mean(),
            "train/explained_variance": explained,
            "train/approx_kl": kl,
            "train/clip_fraction": clipped,
        }
        communication = {}
        if self.exchange is not None:
            mean_reward = rollout.reward.mean(dim=(0, 1))
            self.exchange.after_update(tracker.spent, [Pair(self.networks)], mean_reward, torch.ones_like(mean_reward))
            communication = self.exchange.communication
        tracker.advance(rollout.reward.numel(), partial(_recorded, rollout, measured, communication))

    @torch.no_grad()
    def _advantages_and_returns(self, rollout: Rollout) -> tuple[RolloutBatch, Tensor]:
        """Advantages and returns by the current critic, whose scale is then updated; and the explained variance."""
        networks, s, slots = self.networks, self.settings, len(rollout.reward)
        # Inputs hold one slot more than the pieces, for the value after the last slot.
        length = len(rollout.view) if s.chunk is None else min(s.chunk, slots)
        value, critic_memory = _run_in_chunks(networks.critic.values, networks.critic_view(rollout), length)
        if rollout.terminated:
            value[-1] = 0.0
        advantage = advantages(rollout.reward, value, s.gamma, s.gae_lambda)
        returns = advantage + value[:-1]
        explained = 1.0 - advantage.var() / returns.var()
        networks.critic.update_return_statistics(returns)
        # Agents with networks of their own may have costs of their own.
        deviation, mean = torch.std_mean(advantage, dim=(0, 1, 2) if s.shared else (0, 1), keepdim=True)
        batch = RolloutBatch(
            view=rollout.view[:-1],
            allowed=rollout.allowed,
            global_state=None if rollout.global_state is None else rollout.global_state[:-1],
            actions=rollout.actions,
            log_probability=rollout.log_probability,
            advantage=(advantage - mean) / torch.where(deviation > 0, deviation, 1.0),
            returns=networks.critic.standardise_returns(returns),
        )
        if s.chunk is None:
            return batch if s.recurrent else batch.as_single_slots(), explained
        _, actor_memory = _run_in_chunks(networks.actor, rollout.view, length)
        chunks = batch.in_chunks(length)
        return replace(chunks, actor_memory=actor_memory, critic_memory=critic_memory), explained

    def _update(self, batch: RolloutBatch, spent: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The epochs over a roll-out; returns the last minibatch's divergence and share of clipped ratios."""
        networks, heads, s = self.networks, self.interface.heads, self.settings
        parts = max(1, round(batch.advantage.numel() / s.minibatch_size))
        for _ in range(s.epochs):
            for part in batch.shuffled(parts, generator):
                outputs = mask_outputs(networks.actor(part.view, part.actor_memory)[0], part.allowed)
                value, _ = networks.critic(networks.critic_view(part), part.critic_memory)
                log_probability = heads.log_probability(outputs, networks.spread, part.actions)
                log_ratio = log_probability - part.log_probability
                loss = s.value_weight * (value - part.returns).square()
                loss = loss - clipped_objective(log_ratio, part.advantage, s.clip_range)
                if s.entropy_weight > 0:
                    loss = loss - s.entropy_weight * heads.entropy(outputs, networks.spread, generator)
                # A shared network averages over agents; networks of their own each have a loss of their own.
                self.optimizer.descend(loss.mean() if s.shared else loss.mean(dim=(0, 1)), spent)
        networks.update_statistics(batch)
        log_ratio = log_ratio.detach()
        return (log_ratio.expm1() - log_ratio).mean(), (log_ratio.expm1().abs() > s.clip_range).float().mean()


def make_networks(settings: Ppo, interface: AgentInterface, generator: torch.Generator) -> ActorCritic:
    """Create actor and critic with initial weights."""
    s, agents, features, heads = settings, interface.problem.num_agents, interface.features, interface.heads
    copies, central = 1 if s.shared else agents, s.critic == "central"
    shape = s.activation, s.recurrent, s.standardise
    actor = Actor(copies, (features, *s.hidden, heads.outputs), *shape)
    critic = Critic(agents, central, copies, interface.global_features if central else features, s.hidden, *shape)
    actor.initialise(generator)
    critic.initialise(generator)
    return ActorCritic(actor, critic, heads.initial_spread(s.initial_std).repeat(copies, 1))


def _run_in_chunks(
    run: Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]], inputs: Tensor, slots: int
) -> tuple[Tensor, Tensor | None]:
    """Run a network over pieces of so many slots: its outputs, and its memories before each whole piece.

    Inputs are one slot longer than the pieces together; ``None`` for the memories of a network that has none.
    """
    outputs: list[Tensor] = []
    memories: list[Tensor | None] = []
    memory = None
    for piece in inputs.split(slots):
        memories.append(memory)
        output, memory = run(piece, memory)
        outputs.append(output)
    known = [kept for kept in memories if kept is not None]
    kept = torch.cat([torch.zeros_like(known[0]), *known[:-1]], dim=1) if known else None
    return torch.cat(outputs), kept


def _recorded(rollout: Rollout, measured: Mapping[str, Tensor], communication: Mapping[str, float]) -> dict[str, float]:
    found = measurements(rollout.outcomes, measured, communication)
    if rollout.whole_episodes:
        return found
    # Sums over a part of an episode are no metrics of episodes.
    return {name: value for name, value in found.items() if name == "episode/cost" or not name.startswith("episode/")}
