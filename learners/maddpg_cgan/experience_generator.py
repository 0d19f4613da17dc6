"""Conditional generators of each agent's experience: view, action, reward and next view.

Yuan et al. 2025 (doi:10.11897/SP.J.1016.2025.01763), section 5.1 and Algorithm 1, lines 11, 14 and 15. The generator of
an agent, its digital twin, is trained on its own experience ``x = (o, a, r, o')`` alone and used in two ways:

* `generate`: sample the agent's experience in a slot, given the mean action of all agents or nothing;
* `predict`: sample its reward and next view, given its action ``a`` in view ``o``.

The condition, "environment state, action history and observation" in the paper's words, is ``c = (o, a, m)``, of which
either the own part ``(o, a)`` or ``m`` may be missing: parts are left out at random in training and marked as such, so
that one generator serves both. ``m`` is the mean of all agents' actions in the slot, which these report to a platform
that announces it. It is the partly visible global state ``s'`` of the paper, which does not say what that holds.
Without it, generated experience would be independent of the reward of the agent that uses it. With two agents it
reveals the other's action.

`generate` uses the generators as last published (`publish`), while each agent predicts with its current one.

The consistency of (19), by which a sample has to fit its condition, is a classifier's for labels. Here it is the mean
squared difference from the real experience, where ``o`` and ``a`` are given (as Isola et al. 2017, arXiv:1611.07004,
for images). Without it predicted rewards hardly correlate with real ones.

Vectors are standardised by each agent's own initial mean and standard deviation. Samples are clamped to the range of
the agent's real experience: critics learn from them, and their errors outside of it would amplify themselves.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor

from offloadopt.learners.common.agent_interface import NUMBER_BYTES, AgentInterface, AgentObservation
from offloadopt.learners.common.checkpoint import Stateful
from offloadopt.learners.common.gumbel_softmax import RelaxedActions
from offloadopt.learners.common.normalization import RunningNormalizer
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.maddpg_cgan.gan import ConditionalGans, GanSettings
from offloadopt.learners.maddpg_cgan.stylegan import StyleGenerator

OWN_GIVEN, MEAN_ACTION_GIVEN = 0.5, 0.75
"""Shares of training rows whose condition holds the agent's own part, and the mean action."""


class ExperienceGenerators(Stateful):
    """Stacked generators of all agents' experience.

    Parameters
    ----------
    settings : GanSettings
    interface : AgentInterface
    relaxed : RelaxedActions
        Form of the actions.
    masked : bool
        Whether options can be disallowed, so that the next mask of options belongs to an experience.
    generator : torch.Generator
        Source of the initial weights.
    """

    state_fields = ("_low", "_high", "normalizer", "published", "gans")

    def __init__(
        self,
        settings: GanSettings,
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
        self.normalizer = RunningNormalizer(self.num_agents * self._features)
        shape = (self.num_agents, self._features)
        self._low, self._high = torch.full(shape, torch.inf), torch.full(shape, -torch.inf)
        condition = self._own + action + 2
        self.gans = ConditionalGans(settings, self.num_agents, (self._features,), condition, generator)
        self.published = copy.deepcopy(self.gans.averaged)

    @property
    def bytes(self) -> int:
        """Bytes of one agent's generator, with the means, standard deviations and ranges of its samples."""
        return self.gans.bytes + NUMBER_BYTES * 4 * self._features

    def publish(self) -> None:
        """Publish the current generators."""
        self.published.load_state_dict(self.gans.averaged.state_dict())

    def update_statistics(self, batch: Experience) -> None:
        """Add an experience of all agents to means, standard deviations and ranges."""
        vectors = self._vectors(batch)
        self.normalizer.update_statistics(vectors.flatten(1))
        self._extend_range(vectors)

    def _extend_range(self, vectors: Tensor) -> None:
        """Extend the ranges to include experience vectors."""
        self._low = torch.minimum(self._low, vectors.amin(dim=0))
        self._high = torch.maximum(self._high, vectors.amax(dim=0))

    def learn(self, batch: Experience, generator: torch.Generator) -> dict[str, Tensor]:
        """Take a gradient step of all agents' GANs, each on its own rows, and return metrics averaged over agents."""
        vectors = self._vectors(batch)
        self._extend_range(vectors)
        real = self._scaled(vectors)
        own = _leave_out(real[..., : self._own], OWN_GIVEN, generator)
        mean_action = _leave_out(
            self._scaled_mean(batch.action).expand(*real.shape[:2], -1), MEAN_ACTION_GIVEN, generator
        )
        condition = torch.cat([own, mean_action], dim=-1)
        real = real.transpose(0, 1)
        found = self.gans.learn(real, condition.transpose(0, 1), generator, partial(self._squared_difference, real))
        return {f"train/gan_{name}": value.mean() for name, value in found.items()}

    def generate(self, action: Tensor, announced: Tensor, generator: torch.Generator) -> Experience:
        """Sample experiences ``[rows, agents, ...]`` given the mean action of all agents or nothing.

        Parameters
        ----------
        action : Tensor [rows, agents, size]
            Actions of which the mean is taken.
        announced : bool Tensor [rows]
            Whether the mean action is given.
        """
        known = announced[:, None, None].float()
        mean_action = torch.cat([self._scaled_mean(action) * known, known], dim=-1).expand(-1, self.num_agents, -1)
        own = action.new_zeros(*action.shape[:2], self._own)
        condition = torch.cat([_mark(own, 0.0), mean_action], dim=-1)
        view, relaxed, reward, next_view, allowed = self._sample(condition, generator, self.published)
        action = self._valid_action(relaxed)
        next_observation = AgentObservation(next_view, _options(allowed))
        return Experience(AgentObservation(view), action, reward[..., 0], next_observation)

    def predict(
        self, observation: AgentObservation, action: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, AgentObservation]:
        """Sample rewards ``[rows, agents]`` and next observations, given observations and actions."""
        blank = torch.zeros(*action.shape[:2], self._features)
        blank[..., : self._own] = torch.cat([observation.view, action], dim=-1)
        own = self._scaled(blank)[..., : self._own]
        condition = torch.cat([_mark(own, 1.0), _mark(torch.zeros_like(action), 0.0)], dim=-1)
        _, _, reward, next_view, allowed = self._sample(condition, generator, self.gans.averaged)
        return reward[..., 0], AgentObservation(next_view, _options(allowed))

    def _sample(self, condition: Tensor, generator: torch.Generator, networks: StyleGenerator) -> list[Tensor]:
        made = self.gans.sample(condition.transpose(0, 1), generator, networks).transpose(0, 1)
        mean, std = self._moments()
        return list((made * std + mean).clamp(self._low, self._high).split(self._sizes, dim=-1))

    def _squared_difference(self, real: Tensor, made: Tensor, condition: Tensor) -> Tensor:
        """Mean squared difference ``[copies]`` from real experience, where the condition holds the own part."""
        return ((made - real).square().mean(dim=-1) * condition[..., self._own]).mean(dim=1)

    def _vectors(self, batch: Experience) -> Tensor:
        """Concatenate experiences to vectors ``[rows, agents, features]``."""
        parts = [batch.observation.view, batch.action, batch.reward[..., None], batch.next_observation.view]
        if batch.next_observation.allowed is not None:
            parts.append(batch.next_observation.allowed.float())
        return torch.cat(parts, dim=-1)

    def _scaled(self, vectors: Tensor) -> Tensor:
        mean, std = self._moments()
        return (vectors - mean) / torch.where(std > 0, std, torch.ones_like(std))

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Means and standard deviations ``[agents, features]``."""
        mean, std = self.normalizer.mean_and_std()
        shape = (self.num_agents, self._features)
        return mean.view(shape), std.view(shape)

    def _scaled_mean(self, action: Tensor) -> Tensor:
        """Mean action ``[rows, 1, size]``, scaled to about unit order."""
        return 3.0 * action.mean(dim=1, keepdim=True)

    def _valid_action(self, action: Tensor) -> Tensor:
        """Clamp numbers to their range and replace options by one-hots."""
        return self._relaxed.harden(action.clamp(-1.0, 1.0))


def _mark(values: Tensor, given: float) -> Tensor:
    """Append the mark of whether values are given."""
    return torch.cat([values, values.new_full((*values.shape[:-1], 1), given)], dim=-1)


def _leave_out(values: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set values ``[rows, agents, numbers]`` of random rows to 0, keep a share of them, and append the mark."""
    given = (torch.rand(*values.shape[:-1], 1, generator=generator) < share).float()
    return torch.cat([values * given, given], dim=-1)


def _options(allowed: Tensor) -> Tensor | None:
    """Convert samples to a mask of options, or ``None`` where all are allowed."""
    return allowed > 0.5 if allowed.shape[-1] > 0 else None
