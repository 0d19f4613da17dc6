"""Running statistics that standardise observations and rewards, and values that follow these (PopArt)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import StackedLinear, StackedMLP


class RunningNormalizer(nn.Module):
    """Standardise features by the running mean and standard deviation of all updates; the identity before the first.

    Parameters
    ----------
    features : int
    enabled : bool
        If not, it stays the identity and has no state.
    """

    count: Tensor
    mean: Tensor
    squared_deviations: Tensor

    def __init__(self, features: int, enabled: bool = True) -> None:
        super().__init__()
        self._enabled = enabled
        for name, size in (("count", 1), ("mean", features), ("squared_deviations", features)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64), persistent=enabled)

    def update_statistics(self, values: Tensor) -> None:
        """Add values ``[..., features]`` to the statistics (Chan et al. 1983)."""
        if not self._enabled:
            return
        rows = values.flatten(0, -2).double()
        total = self.count + len(rows)
        mean = rows.mean(dim=0)
        difference = mean - self.mean
        between = difference.square() * self.count * len(rows) / total
        self.squared_deviations += (rows - mean).square().sum(dim=0) + between
        self.mean += difference * len(rows) / total
        self.count.copy_(total)

    def forward(self, values: Tensor) -> Tensor:
        """Standardise values ``[..., features]``; a feature that never varied is only centred."""
        if self.count == 0:
            return values
        std = (self.squared_deviations / self.count).sqrt()
        std = torch.where(std > 0, std, torch.ones_like(std))
        return (values - self.mean.float()) / std.float()

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[features]``; both 0 before the first update."""
        return self.mean.float(), (self.squared_deviations / self.count.clamp(min=1.0)).sqrt().float()


MIN_RELATIVE_STD = 1e-4
"""A standard deviation below this fraction of the rewards' magnitude is rounding error and is replaced by 1."""


@torch.no_grad()
def rescale_outputs(last: StackedLinear, factor: Tensor, shift: Tensor) -> None:
    """Replace an output layer's outputs by ``factor * output + shift``, so that no value changes with its scale.

    That is PopArt (van Hasselt et al. 2016, arXiv:1602.07714): costs of any magnitude are learned at the same pace.

    Parameters
    ----------
    factor, shift : Tensors, broadcast to ``[copies, 1, outputs]``
        The old standard deviation divided by the new one, and the difference of old and new center divided by it.
    """
    last.weight.mul_(factor.float())
    last.bias.mul_(factor.float()).add_(shift.float())


class RewardScaledNetwork(nn.Module):
    """Base of networks whose values are standardised by the running mean and standard deviation of all rewards.

    When these statistics change, the output layer is changed so that no value does (`rescale_outputs`). A constant
    subtracted from every reward changes no preference between actions, since values are always bootstrapped from the
    next observation.

    Parameters
    ----------
    scales : int
        1 scale for all agents, or one for each.
    team : bool
        Whether the value is that of the team's reward, the sum of the agents' rewards, and the sum of their outputs; of
        several outputs the first one holds the mean.
    """

    network: StackedMLP

    def __init__(self, scales: int, *, team: bool = False) -> None:
        super().__init__()
        self.reward_statistics = RunningNormalizer(scales)
        self._team = team

    @torch.no_grad()
    def update_reward_statistics(self, reward: Tensor, gamma: float, target: RewardScaledNetwork | None) -> None:
        """Add rewards ``[..., agents]`` to the statistics and correct the output layers, so that no value changes.

        Parameters
        ----------
        gamma : float
            Discount: the mean of values is that of rewards divided by ``1 - gamma``.
        target : RewardScaledNetwork, optional
            Target network, which is corrected alike. If ``None``, as before the first update, no layer is corrected.
        """
        old, own = self.reward_scale(), self._own(reward)
        self.reward_statistics.update_statistics(own if len(old[0]) > 1 else own[..., None])
        new = self.reward_scale()
        if target is None:
            return
        agents = reward.shape[-1] if self._team else 1  # each has an equal part of the team's mean
        factor, shift = old[1] / new[1], (old[0] - new[0]) / (new[1] * (1.0 - gamma)) / agents
        for last in (self.network.last, target.network.last):
            first = torch.eye(last.bias.shape[-1])[0]
            rescale_outputs(last, factor.view(-1, 1, 1), shift.view(-1, 1, 1) * first)

    def standardise_rewards(self, reward: Tensor) -> Tensor:
        """Standardise rewards ``[rows, agents]``: each agent's, or the team's ``[rows]``."""
        center, std = self.reward_scale()
        return (self._own(reward) - center) / std

    def to_reward_units(self, value: Tensor, gamma: float) -> Tensor:
        """Convert standardised values to discounted sums of rewards."""
        center, std = self.reward_scale()
        return value * std + center / (1.0 - gamma)

    def reward_scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation ``[scales]`` of rewards; 0 and 1 before the first update."""
        statistics = self.reward_statistics
        mean, std = statistics.mean, (statistics.squared_deviations / statistics.count.clamp(min=1.0)).sqrt()
        rounding = std <= MIN_RELATIVE_STD * (std + mean.abs())
        return mean.float(), torch.where(rounding, torch.ones_like(std), std).float()

    def _own(self, reward: Tensor) -> Tensor:
        return reward.sum(dim=-1) if self._team else reward
