"""MADDPG-CGAN: MADDPG whose agents know each other's experience through digital twins alone, and learn from forecasts.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), Algorithm 1. Every agent has a conditional StyleGAN of its own
experience (`experience_twin`). What differs from `maddpg`:

1. agent i's critic sees its own view, action and reward as they were, and in the place of all others' what their twins
   make of the slot: what they see and earn passes to nobody (lines 9 to 13). Of the slot itself it sees what a platform
   announces that the others did on average, the partly visible global state ``s'`` of (20) (see `experience_twin`);
2. twins learn from their agents' replays (line 14), after the gradient steps that they are used in;
3. each twin is led on ``ahead`` slots from what its agent sees, by the agent's actor. Of the predictions those that the
   rule of (23) chooses are remembered beside the real ones (lines 15 and 16, `forecasts`), and make up
   ``imagined_share`` of every batch;
4. networks are the agents' own. That their weights are shared every few updates (line 18, (24)) is an option of all
   such learners: ``federation``, or `federated` around this one.

Where the paper leaves it open, it was chosen that

* all agents' twins and actors are made known to all others between rounds of episodes, and used as they were then. In
  every slot agents report their actions to the platform, which announces the mean. These bytes are counted, as `maddpg`
  counts the experience that its agents tell each other. Both ways a message leaves each agent for n - 1 others: what
  differs is its size and how often it is sent;
* the means and deviations by which networks standardise what is seen are those of all agents together;
* the take_first ``head_start`` gradient steps teach the twins alone;
* twins are not led on in every slot, but every ``imagine_every`` slots from all of the latest ones that (23) looks back
  to at once, by today's actors: one call of the generators serves them all;
* of foreseen slots nothing is announced, so that the others' part in them is what these usually do;
* following actions of the others are those of their actors' targets at what their twins see next.

What was found on ``twin_inference`` (8 users, 6 servers, view ``full``, priorities, 400,000 decisions in 3 to 5 min of
CPU; mean cost of 64 held-out draws; the optimum is 224, `maddpg` comes to 416 +- 55 over five seeds): 609 +- 164 over
five seeds, with personalised sharing of weights, as published, 807 +- 177. Without foreseen experience
(``imagined_share = 0``) two seeds came to 499 and 401, with it to 427 and 651; with shared weights alone one to 544.
Shared weights make agents alike, and agents that are alike crowd onto the same server.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from offloadopt.core import Observation
from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface, AgentObservation
from offloadopt.learners.common.replay import (
    Experience,
    JointReplay,
    concatenate,
    concatenate_observations,
    split,
    take_first,
)
from offloadopt.learners.common.torch_utils import Arrays, with_prefix
from offloadopt.learners.maddpg.maddpg import ActorsAndCritics, Maddpg
from offloadopt.learners.maddpg_cgan.experience_generator import ExperienceTwins
from offloadopt.learners.maddpg_cgan.gan import AdversarySettings
from offloadopt.learners.maddpg_cgan.synthetic_replay import Enrichment, choose
from offloadopt.structures.agents import AgentProblem


class MaddpgCgan(Maddpg):
    """MADDPG whose agents do not tell each other their experience, but know twins that make up the like."""

    name = "maddpg-cgan"

    shared: bool = Field(False, description="one network for all agents; otherwise each has its own")
    twin: AdversarySettings = Field(
        AdversarySettings(consistency_weight=10.0), description="each agent's generator and how it is trained"
    )
    head_start: int = Field(300, ge=1, description="gradient steps at take_first that twins alone take")
    twin_every: int = Field(8, ge=1, description="gradient steps between two of the twins")
    ahead: int = Field(5, ge=1, description="n, slots that twins are led on")
    behind: int = Field(5, ge=0, description="n', slots for which what was foreseen is kept")
    greedy: float = Field(0.8, ge=0, le=1, description="epsilon, how often the prediction of most worth is chosen")
    greedy_fall: float = Field(0.9, gt=0, le=1, description="its factor for each slot further ahead")
    imagined_share: float = Field(0.2, ge=0, lt=1, description="share of batches that was foreseen; 0: none")
    imagine_every: int = Field(10, ge=1, description="slots between two of those from which twins are led on")
    imagined_size: int = Field(500, ge=2, description="latest foreseen slots that are remembered, of all environments")

    @model_validator(mode="after")
    def _rewards_are_private(self) -> Self:
        if self.reward == "team":
            raise ValueError("reward = 'team'; allowed where agents do not tell each other what they are paid: agent")
        return self

    def make_agents(self, problem: AgentProblem[Any], generator: torch.Generator) -> CganAgents:
        """Agents that have learned nothing yet, and their twins."""
        return CganAgents(self, AgentInterface(problem, self.view, self.controls), generator)


class CganAgents(ActorsAndCritics):
    """Agents who do not know what others experience, and everybody's twins."""

    settings: MaddpgCgan

    def __init__(self, settings: MaddpgCgan, interface: AgentInterface, generator: torch.Generator) -> None:
        super().__init__(settings, interface, generator)
        masked = interface.observe(interface.problem.empty_observation()).allowed is not None
        self.twins = ExperienceTwins(settings.twin, interface, self.relaxed, masked, generator)
        self._rule = Enrichment(settings.ahead, settings.behind, settings.greedy, settings.greedy_fall)
        self._lately: deque[AgentObservation] = deque(maxlen=settings.behind + 1)
        self._imagined = JointReplay(2 * settings.imagined_size)  # what follows each is held beside it
        self._known_actor = copy.deepcopy(self.target_actor)
        self._steps = self._slots = 0

    @property
    def ready(self) -> bool:
        """Whether the twins' head start is over."""
        return self._steps >= self.settings.head_start

    @property
    def global_features(self) -> int:
        """Numbers in all agents' views, and in what is announced."""
        return self.interface.problem.num_agents * self.interface.features + self.relaxed.size

    def observe(self, observation: Observation) -> AgentObservation:
        """What agents see; nobody sees everything."""
        return self.interface.observe(observation)

    def global_states(self, seen: AgentObservation) -> Tensor:
        """All agents' views in a row, and nothing for what is announced: it is of order one anyway."""
        views = seen.view.flatten(-2)
        return torch.cat([views, views.new_zeros(*views.shape[:-1], self.relaxed.size)], dim=-1)

    def count_communication(self, seen: AgentObservation, rows: Tensor | None) -> None:
        """Count the bytes of actions that agents report to the platform, and of their mean that it announces."""
        if rows is None:
            return
        count, agents, numbers = rows.shape
        reported, announced = count * agents * self.interface.action_bytes, count * numbers * NUMBER_BYTES
        self.sent += reported + announced
        self.delivered += reported + announced * agents

    def update_statistics(self, moments: Sequence[AgentObservation], reward: Tensor, learning: bool) -> None:
        """As `ActorsAndCritics`, and make twins and actors known."""
        super().update_statistics(moments, reward, learning)
        if self.ready:
            self._publish()

    def _publish(self) -> None:
        """Make twins and actors known as they are, and count their bytes."""
        self.twins.publish()
        self._known_actor.load_state_dict(self.target_actor.state_dict())
        agents = self.interface.problem.num_agents
        actor = sum(weight[0].nbytes for weight in self._known_actor.network.parameters())
        size = agents * (self.twins.bytes + actor)
        self.sent += size
        self.delivered += size * (agents - 1)

    def generate(self, seen: AgentObservation, slot: int, spent: float, generator: torch.Generator) -> None:
        """Now and then lead the twins on from the latest slots, and remember what of it is chosen."""
        if slot == 0:
            self._lately.clear()
        self._lately.append(seen)
        self._slots += 1
        wanted = self.settings.imagined_share > 0.0 and self._slots % self.settings.imagine_every == 0
        if not (self.ready and wanted):
            return
        starts, forecast = len(self._lately), []
        now = concatenate_observations(list(self._lately))
        for _ in range(self.settings.ahead):
            rows = self.explore(now, spent, generator)
            reward, following = self.twins.foresee(now, rows, generator)
            forecast.append(Experience(now, rows, reward, following))
            now = following
        values = [value.chunk(starts) for value in self._values(forecast, generator)]
        parts = [split(experience, starts) for experience in forecast]
        for chosen in choose(self._rule, [*zip(*parts, strict=True)], [*zip(*values, strict=True)], generator):
            self._imagined.append(chosen.observation, chosen.action, chosen.reward.numpy())
            self._imagined.append(chosen.next_observation)

    def learn(self, batch: Experience, spent: float, generator: torch.Generator) -> dict[str, Tensor]:
        """A step of critics and actors beside the others' twins, and now and then one of the twins."""
        if not self.ready:
            self._steps += 1
            self.twins.update_statistics(batch)
            measured = self.twins.learn(batch, generator)
            if self.ready:
                self._publish()
            return measured
        self._steps += 1
        measured = super().learn(self._taught_by(batch, generator), spent, generator)
        if self._steps % self.settings.twin_every == 0:
            measured |= self.twins.learn(batch, generator)
        return measured

    def _taught_by(self, batch: Experience, generator: torch.Generator) -> Experience:
        """A batch of which a share was foreseen, and twins in the others' place."""
        rows = len(batch.action)
        foreseen = round(rows * self.settings.imagined_share) if self._imagined.appended else 0
        announced = torch.arange(rows) < rows - foreseen
        if foreseen:
            rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
            batch = concatenate([take_first(batch, rows - foreseen), self._imagined.draw(foreseen, rng)])
        return self._among_twins(batch, announced, generator)

    def _among_twins(self, batch: Experience, announced: Tensor, generator: torch.Generator) -> Experience:
        """The same rows with twins in the others' place: agent i's critic sees i's own view and their twins'.

        It also sees what is announced that the others did on average; where nothing is, what their twins do.
        """
        others = self.twins.stand_in(batch.action, announced, generator)
        next_action = self.next_actions(self._known_actor, others.next_observation, generator)
        asked = torch.where(announced[:, None, None], batch.action, others.action)
        return replace(
            batch,
            observation=_among(batch.observation, others.observation, asked),
            next_observation=_among(batch.next_observation, others.next_observation, next_action),
            others=replace(others, next_action=next_action),
        )

    @torch.no_grad()
    def _values(self, forecast: Sequence[Experience], generator: torch.Generator) -> list[Tensor]:
        """What critics think of each slot of a forecast ``[environments, agents]``."""
        together = concatenate(forecast)
        nothing = torch.zeros(len(together.action), dtype=torch.bool)
        batch = self._among_twins(together, nothing, generator)
        return list(self.critic(batch.observation, batch.action, batch.others_action).chunk(len(forecast)))

    def arrays(self) -> Arrays:
        """Everything that training changes."""
        imagined = {f"imagined.{name}": array for name, array in self._imagined.arrays().items()}
        known = {f"known_actor.{name}": value.numpy().copy() for name, value in self._known_actor.state_dict().items()}
        done = {"lived": np.array([self._steps, self._slots])}
        return {**super().arrays(), **self.twins.arrays(), **imagined, **known, **done}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        super().restore(arrays)
        self.twins.restore(arrays)
        self._imagined.restore(with_prefix(arrays, "imagined"))
        known = with_prefix(arrays, "known_actor")
        self._known_actor.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in known.items()})
        self._steps, self._slots = arrays["lived"].tolist()


def _among(own: AgentObservation, others: AgentObservation, asked: Tensor) -> AgentObservation:
    """Everybody's own view, and with it as ``whole [rows, agents, features]`` the others' and what these asked for."""
    agents = own.view.shape[1]
    self_seen = torch.eye(agents, dtype=torch.bool)[..., None]
    views = torch.where(self_seen, own.view[:, None], others.view[:, None]).flatten(2)
    demand = (asked.sum(dim=1, keepdim=True) - asked) / max(agents - 1, 1)
    return replace(own, global_state=torch.cat([views, demand], dim=-1))
