"""Running statistics that standardise observations and rewards."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningNormalizer(nn.Module):
    """Standardise features by the running mean and standard deviation of all updates; the identity before the first."""

    count: Tensor
    mean: Tensor
    squared_deviations: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("squared_deviations", torch.zeros(features, dtype=torch.float64))

    def update_statistics(self, values: Tensor) -> None:
        """Add values ``[..., features]`` to the statistics (Chan et al. 1983)."""
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


def reward_mean_and_std(rewards: RunningNormalizer) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[features]`` by which rewards are standardised; 0 and 1 before the first update."""
    mean, std = rewards.mean, (rewards.squared_deviations / rewards.count.clamp(min=1.0)).sqrt()
    rounding = std <= MIN_RELATIVE_STD * (std + mean.abs())
    return mean.float(), torch.where(rounding, torch.ones_like(std), std).float()
