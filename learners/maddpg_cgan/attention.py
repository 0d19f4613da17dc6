"""Stacked attention and Transformer encoders, on signals ``[copies, rows, tokens, width]`` (see `networks`).

Everything is written as products and sums that can be differentiated twice, as a gradient penalty requires.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import HIDDEN_GAIN, StackedLinear

SLOPE = 0.2
"""Slope of the leaky ReLU for negative inputs."""


def leaky_relu(signal: Tensor) -> Tensor:
    """Leaky ReLU with slope `SLOPE`."""
    return nn.functional.leaky_relu(signal, SLOPE)


class LayerNorm(nn.Module):
    """Layer normalisation (Ba et al. 2016, arXiv:1607.06450) with gain and bias for each copy."""

    def __init__(self, copies: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(copies, 1, 1, width))
        self.bias = nn.Parameter(torch.zeros(copies, 1, 1, width))

    def forward(self, signal: Tensor) -> Tensor:
        """Map signals to signals of the same shape."""
        return torch.addcmul(self.bias, nn.functional.layer_norm(signal, signal.shape[-1:]), self.gain)


class Attention(nn.Module):
    """Multi-head cross-attention or self-attention (Vaswani et al. 2017, arXiv:1706.03762)."""

    def __init__(self, copies: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = StackedLinear(copies, width, width)
        self.key = StackedLinear(copies, width, width)
        self.value = StackedLinear(copies, width, width)
        self.last = StackedLinear(copies, width, width)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw orthogonal weights."""
        for layer in (self.query, self.key, self.value, self.last):
            layer.initialise(1.0, generator)

    def forward(self, signal: Tensor, source: Tensor) -> Tensor:
        """Attend from tokens ``[copies, rows, tokens, width]`` to ``source [copies, rows, others, width]``."""
        query, key, value = (
            layer(values).unflatten(-1, (self.heads, -1)).transpose(2, 3)
            for layer, values in ((self.query, signal), (self.key, source), (self.value, source))
        )
        similarity = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        found = torch.softmax(similarity, dim=-1) @ value
        return self.last(found.transpose(2, 3).flatten(3))


class TransformerEncoder(nn.Module):
    """Transformer encoder with learned positional embeddings and pre-layer normalisation."""

    def __init__(self, copies: int, tokens: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(copies, 1, tokens, width))
        self.layers = nn.ModuleList(_Layer(copies, width, heads) for _ in range(layers))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw orthogonal weights and small positional embeddings."""
        with torch.no_grad():
            self.position.normal_(0.0, 0.1, generator=generator)
        for layer in cast(list[_Layer], self.layers):
            layer.initialise(generator)

    def forward(self, signal: Tensor) -> Tensor:
        """Map signals to signals of the same shape."""
        signal = signal + self.position
        for layer in self.layers:
            signal = layer(signal)
        return signal


class _Layer(nn.Module):
    def __init__(self, copies: int, width: int, heads: int) -> None:
        super().__init__()
        self.before_attention, self.before_wide = LayerNorm(copies, width), LayerNorm(copies, width)
        self.attention = Attention(copies, width, heads)
        self.wide, self.narrow = StackedLinear(copies, width, 2 * width), StackedLinear(copies, 2 * width, width)

    def initialise(self, generator: torch.Generator) -> None:
        self.attention.initialise(generator)
        self.wide.initialise(HIDDEN_GAIN, generator)
        self.narrow.initialise(1.0, generator)

    def forward(self, signal: Tensor) -> Tensor:
        normal = self.before_attention(signal)
        signal = signal + self.attention(normal, normal)
        return signal + self.narrow(leaky_relu(self.wide(self.before_wide(signal))))


class ConditionEmbedding(nn.Module):
    """Embedding of a condition ``[copies, rows, features]`` to tokens ``[copies, rows, tokens, width]``.

    There are several tokens, because attention to a single one would not depend on the query.
    """

    def __init__(self, copies: int, features: int, tokens: int, width: int) -> None:
        super().__init__()
        self.first = StackedLinear(copies, features, 2 * width)
        self.last = StackedLinear(copies, 2 * width, tokens * width)
        self._tokens = tokens

    def initialise(self, generator: torch.Generator) -> None:
        """Draw orthogonal weights."""
        self.first.initialise(HIDDEN_GAIN, generator)
        self.last.initialise(HIDDEN_GAIN, generator)

    def forward(self, condition: Tensor) -> Tensor:
        """Map conditions to tokens."""
        tokens = self.last(leaky_relu(self.first(condition[:, None])))[:, 0]
        return leaky_relu(tokens).unflatten(-1, (self._tokens, -1))
