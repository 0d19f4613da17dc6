"""Utility of each agent: its term of the team's value, given its own view and action."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import StackedMLP, agents_to_copies, copies_to_agents
from offloadopt.learners.common.normalization import RunningNormalizer, reward_mean_and_std


class UtilityNetwork(nn.Module):
    """Utilities of the agents, whose sum is the team's value ``Q_tot``.

    ``Q_tot`` is standardised by the running mean and standard deviation of the team's rewards. When these statistics
    change, the output layer is changed so that ``Q_tot`` does not (PopArt, van Hasselt et al. 2016, arXiv:1602.07714).
    A constant subtracted from every reward changes no preference between actions, since values are always bootstrapped
    from the next observation.

    Parameters
    ----------
    copies : int
        1 network for all agents, or one for each.
    features, action_size, outputs : int
        Features of a view, entries of an action as input, and outputs, of which the first counts for any action.
    hidden : sequence of int
    activation : {"tanh", "relu"}
    standardise : bool
        Whether views are standardised by their running mean and standard deviation.
    """

    def __init__(
        self,
        copies: int,
        features: int,
        action_size: int,
        outputs: int,
        hidden: Sequence[int],
        activation: str,
        standardise: bool,
    ) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(features) if standardise else None
        self.reward_statistics = RunningNormalizer(1)
        self.network = StackedMLP(copies, (features + action_size, *hidden, outputs), activation, recurrent=False)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial weights; those of the output layer are 0, so that ``Q_tot`` is the mean."""
        self.network.initialise(0.0, generator)

    def forward(self, view: Tensor, action: Tensor | None = None) -> Tensor:
        """Compute outputs ``[rows, agents, outputs]`` for views and actions ``[rows, agents, ...]``."""
        agents = view.shape[1]
        signal = view if self.normalizer is None else self.normalizer(view)
        signal = signal if action is None else torch.cat([signal, action], dim=-1)
        outputs, _ = self.network(agents_to_copies(signal[None], self.network.copies))
        return copies_to_agents(outputs, agents)[0]

    @torch.no_grad()
    def update_reward_statistics(self, reward: Tensor, gamma: float, target: UtilityNetwork | None) -> None:
        """Add rewards ``[..., agents]`` to the statistics and correct the output layers, so that no value changes.

        Parameters
        ----------
        gamma : float
            Discount: the mean of values is that of rewards divided by ``1 - gamma``.
        target : UtilityNetwork, optional
            Target network, which is corrected alike. If ``None``, as before the first update, no layer is corrected.
        """
        center, std = self.reward_scale()
        self.reward_statistics.update_statistics(reward.sum(dim=-1, keepdim=True))
        new_center, new_std = self.reward_scale()
        if target is None:
            return
        shift = (center - new_center) / (new_std * (1.0 - gamma)) / reward.shape[-1]
        for last in (self.network.last, target.network.last):
            last.weight.mul_(std / new_std)
            last.bias.mul_(std / new_std)
            last.bias[..., 0] += shift  # an equal part for each agent's utility

    def standardise_rewards(self, reward: Tensor) -> Tensor:
        """Standardise the team's reward ``[rows]``, the sum of rewards ``[rows, agents]``."""
        center, std = self.reward_scale()
        return (reward.sum(dim=-1) - center) / std

    def reward_scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[1]`` of the team's reward; 0 and 1 before the first update."""
        return reward_mean_and_std(self.reward_statistics)
