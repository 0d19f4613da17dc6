"""Multi-layer perceptrons of many agents: one for each, multiplied slice by slice, or one that they share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import FloatArray

LAST_INIT = 3e-3
"""The last layer starts within +-3e-3, so that first outputs are near 0 (Lillicrap et al. 2016)."""
NORMAL_QUARTILES = 1.349
"""Distance between the quartiles of a standard normal number."""
MOMENTUM = 0.01
"""Weight of a batch in the running statistics of batch normalisation."""


class AgentNetworks(nn.Module):
    """Networks with ReLU from views to numbers; a second input may join the first hidden layer's output.

    Parameters
    ----------
    copies : int
        One for each agent, or 1 for a network that all agents share.
    inputs, outputs : int
    hidden : sequence of int
        Widths of the hidden layers.
    joining : int
        Size of the second input, 0 for none.
    compress : bool
        See features on a logarithmic scale away from their center: fine where they mostly are, and yet a buffer that an
        early mistake filled does not drown all others.
    batch_norm : bool
        Normalise hidden layers over the batch before their ReLU, up to where the second input joins.
    """

    center: Tensor
    scale: Tensor

    def __init__(
        self,
        copies: int,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        *,
        joining: int = 0,
        compress: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.compress = compress
        self.copies = copies
        sources = [inputs, *hidden]
        sources[1] += joining
        sizes = list(zip(sources, (*hidden, outputs), strict=True))
        self.weights = nn.ParameterList(torch.zeros(copies, *size) for size in sizes)
        self.biases = nn.ParameterList(torch.zeros(copies, size[1]) for size in sizes)
        normalised = (hidden[:1] if joining else hidden) if batch_norm else ()
        self.norms = nn.ModuleList(BatchNorm(copies, width) for width in normalised)
        self.register_buffer("center", torch.zeros(copies, inputs))
        self.register_buffer("scale", torch.ones(copies, inputs))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw parameters as Lillicrap et al. 2016: within 1/sqrt(inputs), those of the last layer within 3e-3."""
        with torch.no_grad():
            for weight, bias in zip(self.weights, self.biases, strict=True):
                limit = LAST_INIT if weight is self.weights[-1] else weight.shape[1] ** -0.5
                weight.uniform_(-limit, limit, generator=generator)
                bias.uniform_(-limit, limit, generator=generator)

    def standardise(self, views: FloatArray) -> None:
        """Take every feature's center and scale from views ``[count, agents, features]``: median and quartiles.

        Unlike mean and deviation they are of what is usual, whatever episodes start with. The quartiles' distance is
        divided by that of a normal number's; where half of all values are one, the deviation scales.
        """
        own = views.reshape(-1, self.copies, views.shape[-1])
        low, middle, high = np.quantile(own, (0.25, 0.5, 0.75), axis=0)
        scale = (high - low) / NORMAL_QUARTILES
        for spread in (own.std(axis=0), np.ones_like(scale)):
            # What single precision cannot tell from a constant is one.
            scale = np.where(scale > 1e-6 * (1.0 + np.abs(middle)), scale, spread)
        self.center.copy_(torch.from_numpy(middle))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, view: Tensor, joined: Tensor | None = None) -> Tensor:
        """Outputs ``[rows, agents, outputs]`` of views ``[rows, agents, inputs]`` and what joins them."""
        rows, agents, _ = view.shape
        signal = (self._by_copy(view) - self.center[:, None]) / self.scale[:, None]
        if self.compress:
            signal = signal.sign() * signal.abs().log1p()
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer == 1 and joined is not None:
                signal = torch.cat([signal, self._by_copy(joined)], dim=-1)
            signal = torch.baddbmm(bias[:, None], signal, weight)
            if layer < len(self.norms):
                signal = self.norms[layer](signal)
            if layer < last:
                signal = torch.relu(signal)
        if self.copies == 1:
            return signal.reshape(rows, agents, -1)
        return signal.transpose(0, 1)

    def _by_copy(self, values: Tensor) -> Tensor:
        """[copies, rows, numbers] of ``[rows, agents, numbers]``; a shared network takes all agents as its rows."""
        if self.copies == 1:
            return values.reshape(1, -1, values.shape[-1])
        return values.transpose(0, 1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All parameters and statistics by name."""
        return {name: value.numpy().copy() for name, value in self.state_dict().items()}


class BatchNorm(nn.Module):
    """Batch normalisation of ``[copies, rows, width]``: each copy over its own rows."""

    mean: Tensor
    variance: Tensor

    def __init__(self, copies: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(copies, width))
        self.shift = nn.Parameter(torch.zeros(copies, width))
        self.register_buffer("mean", torch.zeros(copies, width))
        self.register_buffer("variance", torch.ones(copies, width))

    def forward(self, signal: Tensor) -> Tensor:
        """By the batch's statistics in training, by the running ones otherwise."""
        mean, variance = self.mean, self.variance
        if self.training:
            mean, variance = signal.mean(dim=1), signal.var(dim=1, correction=0)
            self.mean.lerp_(mean.detach(), MOMENTUM)
            self.variance.lerp_(variance.detach(), MOMENTUM)
        normal = (signal - mean[:, None]) * (variance + 1e-5).rsqrt()[:, None]
        return normal * self.gain[:, None] + self.shift[:, None]


def polyak_update_with_buffers(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Move all numbers of ``target`` a share ``rate`` of the way to those of ``source``: soft target updates."""
    with torch.no_grad():
        numbers = itertools.chain(target.parameters(), target.buffers())
        for held, new in zip(numbers, itertools.chain(source.parameters(), source.buffers()), strict=True):
            held.lerp_(new, rate)
