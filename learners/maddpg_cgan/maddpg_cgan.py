"""MADDPG-CGAN: MADDPG with generated experience of the other agents and synthetic transitions.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), Algorithm 1. Every agent has a conditional StyleGAN of its own
experience, its digital twin (`experience_generator`). What differs from `maddpg`:

1. agent i's critic receives its own view, action and reward as they were, and in the place of all others' the output of
   their generators for the slot: no agent sends its views and rewards (lines 9 to 13). Of the slot itself the critic
   receives the others' mean action, which a platform announces: the partly visible global state ``s'`` of (20);
2. generators are trained on their agents' replay buffers (line 14), after the gradient steps that they are used in;
3. each generator predicts ``lookahead`` slots from its agent's view, with the agent's actor. The rule of (23) selects
   predictions (lines 15 and 16, `synthetic_replay`), which make up ``synthetic_fraction`` of every batch;
4. agents have networks of their own. The exchange of weights every few updates (line 18, (24)) is an option of all such
   learners: ``federation``, or the learner `federated` around this one.

Choices where the paper leaves it open:

* all agents' generators and actors are published between rounds of episodes and used as published. In every slot agents
  report their actions to the platform, which announces the mean. These bytes are counted, as `maddpg` counts those of
  the experience that its agents send. In both cases each message goes to n - 1 agents: sizes and frequencies differ;
* the statistics by which networks standardise views are those of all agents;
* the first ``pretraining_steps`` gradient steps train the generators alone;
* predictions are not made in every slot, but every ``generate_every`` slots from all of the latest slots that (23)
  considers, by the current actors: one call of the generators serves them all;
* no mean action is announced for predicted slots; the others' part in them is generated without it;
* actions of the others after the next observation are those of their target actors in the generated next views.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from offloadopt.core import Observation
from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface, AgentObservation
from offloadopt.learners.common.replay import (
    Experience,
    JointReplay,
    concatenate,
    split,
    take,
)
from offloadopt.learners.maddpg.maddpg import ActorsAndCritics, Maddpg
from offloadopt.learners.maddpg_cgan.experience_generator import ExperienceGenerators
from offloadopt.learners.maddpg_cgan.gan import GanSettings
from offloadopt.learners.maddpg_cgan.synthetic_replay import SelectionRule, select_synthetic
from offloadopt.quantities import Rounds, Size
from offloadopt.structures.agents import AgentProblem


class MaddpgCgan(Maddpg, SelectionRule):
    """MADDPG whose critics use generated instead of communicated experience of the other agents."""

    name = "maddpg-cgan"

    shared: bool = Field(False, description="one network for all agents; otherwise each has its own")
    generator: GanSettings = Field(
        GanSettings(consistency_weight=10.0), description="each agent's generator and how it is trained"
    )
    pretraining_steps: Rounds = Field(300, ge=1, description="gradient steps at first that generators alone take")
    generator_every: Rounds = Field(8, ge=1, description="gradient steps between two of the generators")
    synthetic_fraction: float = Field(0.2, ge=0, lt=1, description="share of synthetic transitions in a batch; 0: none")
    generate_every: Rounds = Field(10, ge=1, description="slots between two calls of the generators for predictions")
    synthetic_capacity: Size = Field(
        500, ge=2, description="latest synthetic slots in their replay buffer, of all environments"
    )

    @model_validator(mode="after")
    def _rewards_are_private(self) -> Self:
        if self.reward == "team":
            raise ValueError("reward = 'team'; allowed where agents do not send each other their rewards: agent")
        return self

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> CganAgents:
        """Create agents and their generators with initial weights."""
        return CganAgents(self, self.interface(problem), generator)


class CganAgents(ActorsAndCritics):
    """Agents without access to the others' experience, and the generators of all agents."""

    state_fields = ("generators", "_synthetic", "_published_actor", "_steps", "_slots")

    settings: MaddpgCgan

    def __init__(self, settings: MaddpgCgan, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface, generator)
        masked = interface.observe(interface.problem.empty_observation()).allowed is not None
        self.generators = ExperienceGenerators(settings.generator, interface, self.relaxed, masked, generator)
        self._latest: deque[AgentObservation] = deque(maxlen=settings.lookback + 1)
        self._synthetic = JointReplay(2 * settings.synthetic_capacity)  # each is stored with its next observation
        self._published_actor = copy.deepcopy(self.target_actor)
        self._steps = self._slots = 0

    @property
    def ready(self) -> bool:
        """Whether the pretraining of the generators is over."""
        return self._steps >= self.settings.pretraining_steps

    @property
    def global_features(self) -> int:
        """Number of features in all agents' views and the announced mean action."""
        return self.interface.problem.num_agents * self.interface.features + self.relaxed.size

    def observe(self, observation: Observation) -> AgentObservation:
        """Convert an observation to the agents' views; there is no common global state."""
        return self.interface.observe(observation)

    def global_states(self, observation: AgentObservation) -> Tensor:
        """All agents' views, and zeros for the mean action, which is of order 1 and needs no scaling."""
        views = observation.view.flatten(-2)
        return torch.cat([views, views.new_zeros(*views.shape[:-1], self.relaxed.size)], dim=-1)

    def count_communication(self, observation: AgentObservation, actions: Tensor | None) -> None:
        """Count the bytes of the actions that agents report to the platform, and of the mean that it announces."""
        if actions is None:
            return
        count, agents, numbers = actions.shape
        reported, announced = count * agents * self.interface.action_bytes, count * numbers * NUMBER_BYTES
        self.sent += reported + announced
        self.delivered += reported + announced * agents

    def update_statistics(self, observations: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """Update the statistics as `ActorsAndCritics`, and publish generators and actors."""
        super().update_statistics(observations, reward, learning)
        if self.ready:
            self._publish()

    def _publish(self) -> None:
        """Publish the current generators and actors, and count their bytes."""
        self.generators.publish()
        self._published_actor.load_state_dict(self.target_actor.state_dict())
        agents = self.interface.problem.num_agents
        actor = sum(weight[0].nbytes for weight in self._published_actor.network.parameters())
        size = agents * (self.generators.bytes + actor)
        self.sent += size
        self.delivered += size * (agents - 1)

    def generate(self, observation: AgentObservation, slot: int, spent: float, generator: torch.Generator) -> None:
        """Every ``generate_every`` slots, predict from the latest slots and store the selected predictions."""
        if slot == 0:
            self._latest.clear()
        self._latest.append(observation)
        self._slots += 1
        wanted = self.settings.synthetic_fraction > 0.0 and self._slots % self.settings.generate_every == 0
        if not (self.ready and wanted):
            return
        starts, forecast = len(self._latest), []
        now = concatenate(list(self._latest))
        for _ in range(self.settings.lookahead):
            actions = self.explore(now, spent, generator)
            reward, next_observation = self.generators.predict(now, actions, generator)
            forecast.append(Experience(now, actions, reward, next_observation))
            now = next_observation
        values = [value.chunk(starts) for value in self._values(forecast, generator)]
        parts = [split(experience, starts) for experience in forecast]
        by_start = [*zip(*parts, strict=True)], [*zip(*values, strict=True)]
        for selected in select_synthetic(self.settings, *by_start, generator):
            self._synthetic.append(selected.observation, selected.action, selected.reward.numpy())
            self._synthetic.append(selected.next_observation)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of critics and actors, and every ``generator_every``-th time one of the generators."""
        if not self.ready:
            self._steps += 1
            self.generators.update_statistics(batch)
            measured = self.generators.learn(batch, generator)
            if self.imitating:
                self.update_actors(batch, spent, generator)
            if self.ready:
                self._publish()
            return measured
        self._steps += 1
        measured = super().learn(self._training_batch(batch, generator), spent, generator)
        if self._steps % self.settings.generator_every == 0:
            measured |= self.generators.learn(batch, generator)
        return measured

    def _training_batch(self, batch: Experience, generator: torch.Generator) -> Experience:
        """Replace a share of a batch by synthetic transitions, and the others' part by generated experience."""
        rows = len(batch.action)
        synthetic = round(rows * self.settings.synthetic_fraction) if self._synthetic.appended else 0
        announced = torch.arange(rows) < rows - synthetic
        if synthetic:
            rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
            prioritised = batch.prioritised and batch.prioritised.replaced_from(rows - synthetic)
            batch = concatenate([take(batch, slice(rows - synthetic)), self._synthetic.draw(synthetic, rng)])
            batch = replace(batch, prioritised=prioritised)
        return self._with_generated_others(batch, announced, generator)

    def _with_generated_others(self, batch: Experience, announced: Tensor, generator: torch.Generator) -> Experience:
        """Replace the others' part of a batch by generated experience in the critics' input.

        Agent i's critic receives i's own view, the others' generated views, and the others' mean action: that which was
        announced, or where none was, that of the generated actions.
        """
        others = self.generators.generate(batch.action, announced, generator)
        next_action = self.sample_actions(self._published_actor, others.next_observation, generator)
        others_action = torch.where(announced[:, None, None], batch.action, others.action)
        return replace(
            batch,
            observation=_own_and_others(batch.observation, others.observation, others_action),
            next_observation=_own_and_others(batch.next_observation, others.next_observation, next_action),
            others=replace(others, next_action=next_action),
        )

    @torch.no_grad()
    def _values(self, forecast: Sequence[Experience], generator: torch.Generator) -> list[Tensor]:
        """Compute the critics' values ``[environments, agents]`` of each slot of a forecast."""
        together = concatenate(forecast)
        unannounced = torch.zeros(len(together.action), dtype=torch.bool)
        batch = self._with_generated_others(together, unannounced, generator)
        return list(self.critic(batch.observation, batch.action, batch.others_action).chunk(len(forecast)))


def _own_and_others(own: AgentObservation, others: AgentObservation, action: Tensor) -> AgentObservation:
    """Join each agent's own view, the others' views and their mean action to the critics' global state."""
    agents = own.view.shape[1]
    is_own = torch.eye(agents, dtype=torch.bool)[..., None]
    views = torch.where(is_own, own.view[:, None], others.view[:, None]).flatten(2)
    mean_action = (action.sum(dim=1, keepdim=True) - action) / max(agents - 1, 1)
    return replace(own, global_state=torch.cat([views, mean_action], dim=-1))
