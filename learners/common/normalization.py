"""Running statistics that standardise observations and rewards."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Standard(nn.Module):
    """Features less their mean and divided by their deviation, over all that `watch` has seen; at first unchanged."""

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(features, dtype=torch.float64))

    def watch(self, view: Tensor) -> None:
        """Take views ``[..., features]`` into the statistics (Chan et al. 1983)."""
        seen = view.flatten(0, -2).double()
        total = self.count + len(seen)
        ahead = seen.mean(dim=0) - self.mean
        self.squares += (seen - seen.mean(dim=0)).square().sum(dim=0) + ahead.square() * self.count * len(seen) / total
        self.mean += ahead * len(seen) / total
        self.count.copy_(total)

    def forward(self, view: Tensor) -> Tensor:
        """Standardised views; a feature that never varied is only shifted."""
        if self.count == 0:
            return view
        deviation = (self.squares / self.count).sqrt()
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        return (view - self.mean.float()) / deviation.float()


LEAST_SHARE = 1e-4
"""A deviation below this share of the returns' size is rounding, and does not become a unit."""


def scale_of(paid: Standard) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``[features]`` of what was watched; 0 and 1 before anything was."""
    mean, deviation = paid.mean, (paid.squares / paid.count.clamp(min=1.0)).sqrt()
    rounding = deviation <= LEAST_SHARE * (deviation + mean.abs())
    return mean.float(), torch.where(rounding, torch.ones_like(deviation), deviation).float()
