"""Digital twins of agents' experience: conditional generators of what an agent sees, does, earns and sees next.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), section 5.1 and Algorithm 1, lines 11, 14 and 15. Each agent's
generator learns from its own experience ``x = (o, a, r, o')`` alone, and answers two questions:

* *stand in*: what may this agent have experienced in a slot in which all agents together did such and such?
* *foresee*: what does it earn and see next where it does ``a`` at ``o``?

The condition, "environment state, action history and observation" in the paper's words, is ``c = (o, a, digest)``, of
which either its own part or the digest may be missing: parts are left out by chance in training and marked as such, so
that one generator answers both. The *digest* is the mean of all agents' actions in the slot, which these report to a
platform that announces it. It is the partly visible global state ``s'`` of the paper, which does not say what that
holds. Without it, stand-ins would have nothing to do with what the agent was paid that asks for them. With two agents
it gives away what the other did.

What stands in is what was last made known (`publish`), while each agent leads on its own twin as it is.

The consistency of (19), by which a sample has to fit its condition, is a classifier's for labels. Here it is the mean
squared difference from what really followed, where ``o`` and ``a`` are given (as Isola et al. 2017, arXiv:1611.07004,
for images): without it the reward that was foreseen had a correlation of 0.2 with the real one.

Vectors are standardised by each agent's own mean and deviation at first. What twins make up stays within what the agent
has experienced: critics learn from it, and their mistakes about what never was would feed on themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface, AgentObservation
from offloadopt.learners.common.gumbel_softmax import RelaxedActions
from offloadopt.learners.common.normalization import RunningNormalizer
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import Arrays, with_prefix
from offloadopt.learners.maddpg_cgan.gan import Adversaries, AdversarySettings
from offloadopt.learners.maddpg_cgan.stylegan import StyleGenerator

OWN_GIVEN, DIGEST_GIVEN = 0.5, 0.75
"""Shares of training rows whose condition holds the agent's own part, and the digest."""


class ExperienceTwins:
    """Every agent's generator.

    Parameters
    ----------
    settings : AdversarySettings
    interface : AgentInterface
    relaxed : RelaxedActions
        The form of actions.
    masked : bool
        Whether options can be forbidden, so that what is allowed next belongs to an experience.
    generator : torch.Generator
        Of initial weights.
    """

    def __init__(
        self,
        settings: AdversarySettings,
        interface: AgentInterface,
        relaxed: RelaxedActions,
        masked: bool,
        generator: torch.Generator,
    ) -> None:
        self.num_agents, self._relaxed = interface.problem.num_agents, relaxed
        view, action, allowed = interface.features, relaxed.size, interface.heads.outputs if masked else 0
        self._sizes = [view, action, 1, view, allowed]
        self._own = view + action
        self._features = sum(self._sizes)
        self.scale = RunningNormalizer(self.num_agents * self._features)
        shape = (self.num_agents, self._features)
        self._range = torch.full(shape, torch.inf), torch.full(shape, -torch.inf)
        condition = self._own + action + 2
        self.players = Adversaries(settings, self.num_agents, (self._features,), condition, generator)
        self.known = copy.deepcopy(self.players.averaged)

    @property
    def bytes(self) -> int:
        """Of one agent's generator, with the means, deviations and ranges of what it makes up."""
        return self.players.bytes + NUMBER_BYTES * 4 * self._features

    def publish(self) -> None:
        """Make the generators known as they are."""
        self.known.load_state_dict(self.players.averaged.state_dict())

    def update_statistics(self, batch: Experience) -> None:
        """Let means, deviations and ranges follow an experience of all agents."""
        vectors = self._vectors(batch)
        self.scale.update_statistics(vectors.flatten(1))
        self._reach(vectors)

    def _reach(self, vectors: Tensor) -> None:
        """Let ranges follow experiences."""
        low, high = self._range
        self._range = torch.minimum(low, vectors.amin(dim=0)), torch.maximum(high, vectors.amax(dim=0))

    def learn(self, batch: Experience, generator: torch.Generator) -> dict[str, Tensor]:
        """A step of all agents' players, each on its own rows; what was measured, as means over the agents."""
        vectors = self._vectors(batch)
        self._reach(vectors)
        real = self._scaled(vectors)
        own = _given(real[..., : self._own], OWN_GIVEN, generator)
        digest = _given(self._digest(batch.action).expand(*real.shape[:2], -1), DIGEST_GIVEN, generator)
        condition = torch.cat([own, digest], dim=-1)
        real = real.transpose(0, 1)
        found = self.players.learn(real, condition.transpose(0, 1), generator, partial(self._unlike, real))
        return {f"twin/{name}": value.mean() for name, value in found.items()}

    def stand_in(self, action: Tensor, announced: Tensor, generator: torch.Generator) -> Experience:
        """Experiences ``[rows, agents, ...]`` in slots of which at most what all did together is known.

        Parameters
        ----------
        action : Tensor [rows, agents, size]
            From which the digest is taken; nothing else is read.
        announced : bool Tensor [rows]
            Whether the digest is known.
        """
        known = announced[:, None, None].float()
        digest = torch.cat([self._digest(action) * known, known], dim=-1).expand(-1, self.num_agents, -1)
        own = action.new_zeros(*action.shape[:2], self._own)
        condition = torch.cat([_mark(own, 0.0), digest], dim=-1)
        view, row, reward, following, allowed = self._sample(condition, generator, self.known)
        row = self._whole(row)
        return Experience(AgentObservation(view), row, reward[..., 0], AgentObservation(following, _options(allowed)))

    def foresee(
        self, seen: AgentObservation, action: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, AgentObservation]:
        """Rewards ``[rows, agents]`` and what is seen next where agents do ``action`` at ``seen``."""
        blank = torch.zeros(*action.shape[:2], self._features)
        blank[..., : self._own] = torch.cat([seen.view, action], dim=-1)
        own = self._scaled(blank)[..., : self._own]
        condition = torch.cat([_mark(own, 1.0), _mark(torch.zeros_like(action), 0.0)], dim=-1)
        _, _, reward, following, allowed = self._sample(condition, generator, self.players.averaged)
        return reward[..., 0], AgentObservation(following, _options(allowed))

    def _sample(self, condition: Tensor, generator: torch.Generator, networks: StyleGenerator) -> list[Tensor]:
        made = self.players.sample(condition.transpose(0, 1), generator, networks).transpose(0, 1)
        mean, deviation = self._moments()
        return list((made * deviation + mean).clamp(*self._range).split(self._sizes, dim=-1))

    def _unlike(self, real: Tensor, made: Tensor, condition: Tensor) -> Tensor:
        """[copies] mean squared difference from what really was, where the condition holds the agent's own part."""
        return ((made - real).square().mean(dim=-1) * condition[..., self._own]).mean(dim=1)

    def _vectors(self, batch: Experience) -> Tensor:
        """Experiences in a row ``[rows, agents, features]``."""
        parts = [batch.observation.view, batch.action, batch.reward[..., None], batch.next_observation.view]
        if batch.next_observation.allowed is not None:
            parts.append(batch.next_observation.allowed.float())
        return torch.cat(parts, dim=-1)

    def _scaled(self, vectors: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return (vectors - mean) / torch.where(deviation > 0, deviation, torch.ones_like(deviation))

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Means and deviations ``[agents, features]``."""
        scale = self.scale
        deviation = (scale.squared_deviations / scale.count.clamp(min=1.0)).sqrt()
        shape = (self.num_agents, self._features)
        return scale.mean.float().view(shape), deviation.float().view(shape)

    def _digest(self, action: Tensor) -> Tensor:
        """[rows, 1, size] the mean action, as deviations of an order that networks take."""
        return 3.0 * action.mean(dim=1, keepdim=True)

    def _whole(self, row: Tensor) -> Tensor:
        """Rows with numbers in their range and one option for certain."""
        return self._relaxed.harden(row.clamp(-1.0, 1.0))

    def arrays(self) -> Arrays:
        """Everything that training changes."""
        scale = {f"twin.scale.{name}": value.numpy().copy() for name, value in self.scale.state_dict().items()}
        scale |= {"twin.low": self._range[0].numpy(), "twin.high": self._range[1].numpy()}
        scale |= {f"twin.known.{name}": value.numpy().copy() for name, value in self.known.state_dict().items()}
        return scale | {f"twin.players.{name}": array for name, array in self.players.arrays().items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        scale = with_prefix(arrays, "twin.scale")
        self.scale.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in scale.items()})
        self._range = torch.from_numpy(arrays["twin.low"].copy()), torch.from_numpy(arrays["twin.high"].copy())
        known = with_prefix(arrays, "twin.known")
        self.known.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in known.items()})
        self.players.restore(with_prefix(arrays, "twin.players"))


def _mark(values: Tensor, given: float) -> Tensor:
    """Values followed by whether they are given."""
    return torch.cat([values, values.new_full((*values.shape[:-1], 1), given)], dim=-1)


def _given(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Values ``[rows, agents, numbers]`` of which only a share of the rows is given, and which are."""
    given = (torch.rand(*values.shape[:-1], 1, generator=generator) < share).float()
    return torch.cat([values * given, given], dim=-1)


def _options(allowed: Tensor) -> Tensor | None:
    """What is allowed, or nothing where options cannot be forbidden."""
    return allowed > 0.5 if allowed.shape[-1] > 0 else None
