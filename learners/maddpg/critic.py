"""Critics that see all agents and what all of them do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.networks import StackedMLP, agents_to_copies, copies_to_agents
from offloadopt.learners.common.normalization import RunningNormalizer, reward_mean_and_std


class CentralisedCritic(nn.Module):
    """``Q_i`` of each agent: of its own view and action, of what a centre sees, and of all others' actions.

    It answers in deviations from the mean of all rewards paid so far. When these change, the last layer is changed with
    them so that no value does (as PopArt, van Hasselt et al. 2016, arXiv:1602.07714): costs of any magnitude are
    learned at the same pace. A constant taken off every reward changes no preference, since what follows always counts.

    Parameters
    ----------
    agents : int
    copies : int
        1 network for all agents, or one for each.
    sizes : (int, int, int)
        Features of a view and of the whole, entries of an action's row.
    hidden : sequence of int
    activation : {"tanh", "relu"}
    standardise : bool
        Whether views and the whole are standardised by what `watch` was shown.
    """

    def __init__(
        self,
        agents: int,
        copies: int,
        sizes: tuple[int, int, int],
        hidden: Sequence[int],
        activation: str,
        standardise: bool,
    ) -> None:
        super().__init__()
        view, whole, action = sizes
        self.view_normalizer = RunningNormalizer(view) if standardise else None
        self.global_normalizer = RunningNormalizer(whole) if standardise else None
        self.reward_statistics = RunningNormalizer(copies)
        inputs = view + whole + (1 + agents) * action
        self.network = StackedMLP(copies, (inputs, *hidden, 1), activation, recurrent=False)
        self._others = 1.0 - torch.eye(agents)[..., None]

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights; at first every value is the mean."""
        self.network.initialise(0.0, generator)

    def forward(self, seen: AgentObservation, own: Tensor, joint: Tensor) -> Tensor:
        """Values in deviations ``[rows, agents]``.

        Parameters
        ----------
        seen : AgentObservation
            With a whole.
        own, joint : Tensors [rows, agents, entries]
            What each agent does, and what the others do beside it: agent i's own row of ``joint`` does not count for
            its value.
        """
        view, whole = seen.view, cast(Tensor, seen.global_state)
        if self.view_normalizer is not None and self.global_normalizer is not None:
            view, whole = self.view_normalizer(view), self.global_normalizer(whole)
        agents = view.shape[1]
        others = (joint[:, None] * self._others).flatten(2)
        if whole.ndim == 2:
            whole = whole[:, None].expand(-1, agents, -1)
        signal = torch.cat([view, own, whole, others], dim=-1)
        values, _ = self.network(agents_to_copies(signal[None], self.network.copies))
        return copies_to_agents(values, agents)[0, ..., 0]

    def update_statistics(self, view: Tensor, whole: Tensor) -> None:
        """Take views ``[..., agents, features]`` and wholes ``[..., features]`` into the statistics."""
        if self.view_normalizer is not None and self.global_normalizer is not None:
            self.view_normalizer.update_statistics(view)
            self.global_normalizer.update_statistics(whole)

    @torch.no_grad()
    def update_reward_statistics(self, reward: Tensor, gamma: float, target: CentralisedCritic | None) -> None:
        """Let the scale follow rewards ``[..., agents]``.

        Parameters
        ----------
        gamma : float
            Discount, by which the mean of rewards is that of values divided by ``1 - gamma``.
        target : CentralisedCritic, optional
            Keeps its values as this one does. Without it none does: before anything was learned.
        """
        center, deviation = self.scale()
        self.reward_statistics.update_statistics(reward if self.network.copies > 1 else reward[..., None])
        new_center, new_deviation = self.scale()
        if target is None:
            return
        shift = (center - new_center) / (new_deviation * (1.0 - gamma))
        for last in (self.network.last, target.network.last):
            last.weight.mul_((deviation / new_deviation)[:, None, None])
            last.bias.mul_((deviation / new_deviation)[:, None, None]).add_(shift[:, None, None])

    def standardise_rewards(self, reward: Tensor) -> Tensor:
        """Rewards ``[rows, agents]`` in deviations from their mean."""
        center, deviation = self.scale()
        return (reward - center) / deviation

    def to_reward_units(self, value: Tensor, gamma: float) -> Tensor:
        """Discounted sums of rewards for values in deviations ``[rows, agents]``."""
        center, deviation = self.scale()
        return value * deviation + center / (1.0 - gamma)

    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``[copies]``; 0 and 1 before anything was paid."""
        return reward_mean_and_std(self.reward_statistics)
