"""Value function of all agents, on a scale that follows the returns (PopArt)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.normalization import MIN_RELATIVE_STD, RunningNormalizer, rescale_outputs

FORGET = 0.9
"""Weight of all earlier roll-outs in the mean and the deviation of returns."""


class Critic(nn.Module):
    """Values of all agents, from each agent's own view, or from all views at once.

    The network outputs in deviations from the mean of recent returns. When these change, its last layer is changed
    with them so that no value does (PopArt, `rescale_outputs`): a reward needs no scale.

    Parameters
    ----------
    agents : int
    central : bool
        Whether its input is all agents' views, as in MAPPO; then one network has an output for each agent.
    copies : int
        Networks of a critic that is not central: 1, or one for each agent.
    features : int
        Of its input.
    hidden : sequence of int
    activation : {"tanh", "relu"}
    recurrent : bool
    standardise : bool
        Whether its input is standardised by a `RunningNormalizer`.
    """

    mean: Tensor
    square: Tensor
    weight: Tensor

    def __init__(
        self,
        agents: int,
        central: bool,
        copies: int,
        features: int,
        hidden: Sequence[int],
        activation: str,
        recurrent: bool,
        standardise: bool,
    ) -> None:
        super().__init__()
        self.central = central
        copies, outputs = (1, agents) if central else (copies, 1)
        self.normalizer = RunningNormalizer(features, standardise)
        self.network = StackedMLP(copies, (features, *hidden, outputs), activation, recurrent)
        for name in ("mean", "square"):
            self.register_buffer(name, torch.zeros(copies, 1, outputs, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(1, dtype=torch.float64))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw weights; at first every value is the mean."""
        self.network.initialise(0.0, generator)

    def forward(self, inputs: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Values in deviations ``[slots, count, agents]`` and memory.

        Parameters
        ----------
        inputs : Tensor [slots, count, agents, features], or if central [slots, count, features]
        memory : Tensor [1, count, agents, width], optional
            Of a central critic that of one agent.
        """
        inputs = self.normalizer(inputs)
        rows = inputs[:, :, None] if self.central else inputs  # one central network has an output for each agent
        values, memory = self.network.of_agents(rows, memory)
        return values.flatten(2), memory

    def values(self, inputs: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """As `forward`, in the rewards' unit."""
        values, memory = self(inputs, memory)
        center, deviation = self._scale()
        return values * _for_agents(deviation) + _for_agents(center), memory

    def standardise_returns(self, returns: Tensor) -> Tensor:
        """Returns ``[slots, count, agents]`` in deviations."""
        center, deviation = self._scale()
        return (returns - _for_agents(center)) / _for_agents(deviation)

    @torch.no_grad()
    def update_return_statistics(self, returns: Tensor) -> None:
        """Update mean and deviation by returns ``[slots, count, agents]``; values change the first time only."""
        first = bool(self.weight == 0)
        center, deviation = self._scale()
        inputs = returns.double().flatten(0, 1)
        kept = self.mean.numel()  # one scale for each of the agents, or one for all
        inputs = inputs if kept > 1 else inputs.flatten()[:, None]
        for statistic, numbers in ((self.mean, inputs), (self.square, inputs.square())):
            statistic.lerp_(numbers.mean(dim=0).view_as(statistic), 1.0 - FORGET)
        self.weight.lerp_(torch.ones_like(self.weight), 1.0 - FORGET)
        if first:
            return
        new_center, new_deviation = self._scale()
        rescale_outputs(self.network.last, deviation / new_deviation, (center - new_center) / new_deviation)

    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``[copies, 1, outputs]``; 0 and 1 before any return."""
        if self.weight == 0:
            return self.mean, torch.ones_like(self.mean)
        mean, square = self.mean / self.weight, self.square / self.weight
        deviation = (square - mean.square()).clamp(min=0.0).sqrt()
        return mean, torch.where(deviation > MIN_RELATIVE_STD * square.sqrt(), deviation, torch.ones_like(deviation))


def _for_agents(statistic: Tensor) -> Tensor:
    """Statistics ``[copies, 1, outputs]`` as ``[agents]`` or ``[1]``, in single precision."""
    return statistic.flatten().float()
