"""Stacked multi-layer perceptrons of the agents: one for each, or one that all share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import FloatArray
from offloadopt.learners.common.networks import agents_to_copies, copies_to_agents

LAST_INIT = 3e-3
"""Largest initial weight of the output layer, so that first outputs are near 0 (Lillicrap et al. 2016)."""
NORMAL_QUARTILES = 1.349
"""Interquartile range of the standard normal distribution."""
MOMENTUM = 0.01
"""Weight of a batch in the running statistics of batch normalisation."""


class AgentNetworks(nn.Module):
    """ReLU networks from views to outputs; a second input may be concatenated to the first hidden layer.

    Parameters
    ----------
    copies : int
        One for each agent, or 1 for a network that all agents share.
    inputs, outputs : int
    hidden : sequence of int
        Widths of the hidden layers.
    second_input : int
        Size of the second input, 0 for none.
    compress : bool
        Map standardised features ``x`` to ``sign(x) log(1 + |x|)``: linear near the median, and outliers, as of a
        buffer that an early mistake filled, do not dominate.
    batch_norm : bool
        Normalise hidden layers over the batch before their ReLU, up to where the second input enters.
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
        second_input: int = 0,
        compress: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.compress = compress
        self.copies = copies
        sources = [inputs, *hidden]
        sources[1] += second_input
        sizes = list(zip(sources, (*hidden, outputs), strict=True))
        self.weights = nn.ParameterList(torch.zeros(copies, *size) for size in sizes)
        self.biases = nn.ParameterList(torch.zeros(copies, size[1]) for size in sizes)
        normalised = (hidden[:1] if second_input else hidden) if batch_norm else ()
        self.norms = nn.ModuleList(BatchNorm(copies, width) for width in normalised)
        self.register_buffer("center", torch.zeros(copies, inputs))
        self.register_buffer("scale", torch.ones(copies, inputs))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw uniform parameters within 1/sqrt(inputs), in the output layer within 3e-3 (Lillicrap et al. 2016)."""
        with torch.no_grad():
            for weight, bias in zip(self.weights, self.biases, strict=True):
                limit = LAST_INIT if weight is self.weights[-1] else weight.shape[1] ** -0.5
                weight.uniform_(-limit, limit, generator=generator)
                bias.uniform_(-limit, limit, generator=generator)

    def standardise(self, views: FloatArray) -> None:
        """Set every feature's center and scale to the median and interquartile range of views.

        Unlike mean and standard deviation, these are robust against outliers at the beginning of training. The
        interquartile range is divided by that of a standard normal number; where it is 0, the standard deviation is the
        scale.

        Parameters
        ----------
        views : array [count, agents, features]
        """
        own = views.reshape(-1, self.copies, views.shape[-1])
        low, middle, high = np.quantile(own, (0.25, 0.5, 0.75), axis=0)
        scale = (high - low) / NORMAL_QUARTILES
        for fallback in (own.std(axis=0), np.ones_like(scale)):
            # A scale that single precision cannot distinguish from 0 is replaced.
            scale = np.where(scale > 1e-6 * (1.0 + np.abs(middle)), scale, fallback)
        self.center.copy_(torch.from_numpy(middle))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, view: Tensor, second: Tensor | None = None) -> Tensor:
        """Compute outputs ``[rows, agents, outputs]`` for views and second inputs ``[rows, agents, ...]``."""
        signal = (_by_copy(view, self.copies) - self.center[:, None]) / self.scale[:, None]
        if self.compress:
            signal = signal.sign() * signal.abs().log1p()
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer == 1 and second is not None:
                signal = torch.cat([signal, _by_copy(second, self.copies)], dim=-1)
            signal = torch.baddbmm(bias[:, None], signal, weight)
            if layer < len(self.norms):
                signal = self.norms[layer](signal)
            if layer < last:
                signal = torch.relu(signal)
        return copies_to_agents(signal[:, None], view.shape[1])[0]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Parameters and statistics by name."""
        return {name: value.numpy().copy() for name, value in self.state_dict().items()}


def _by_copy(values: Tensor, copies: int) -> Tensor:
    """Reshape ``[rows, agents, n]`` to ``[copies, rows, n]``."""
    return agents_to_copies(values[None], copies)[:, 0]


class BatchNorm(nn.Module):
    """Batch normalisation of signals ``[copies, rows, width]``, each copy over its own rows."""

    mean: Tensor
    variance: Tensor

    def __init__(self, copies: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(copies, width))
        self.shift = nn.Parameter(torch.zeros(copies, width))
        self.register_buffer("mean", torch.zeros(copies, width))
        self.register_buffer("variance", torch.ones(copies, width))

    def forward(self, signal: Tensor) -> Tensor:
        """Normalise by the batch's statistics in training, by the running ones otherwise."""
        mean, variance = self.mean, self.variance
        if self.training:
            mean, variance = signal.mean(dim=1), signal.var(dim=1, correction=0)
            self.mean.lerp_(mean.detach(), MOMENTUM)
            self.variance.lerp_(variance.detach(), MOMENTUM)
        normal = (signal - mean[:, None]) * (variance + 1e-5).rsqrt()[:, None]
        return normal * self.gain[:, None] + self.shift[:, None]
