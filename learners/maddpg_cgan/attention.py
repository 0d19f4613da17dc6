"""Attention and Transformer encoders in copies, on signals ``[copies, rows, tokens, width]`` (see `trunks`).

Everything is written out in products and sums that can be differentiated twice, as a gradient penalty asks.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from offloadopt.learners.common.networks import HIDDEN_GAIN, StackedLinear

SLOPE = 0.2
"""Of leaky rectifiers below zero."""


def rectified(signal: Tensor) -> Tensor:
    """A leaky rectifier."""
    return nn.functional.leaky_relu(signal, SLOPE)


class Norm(nn.Module):
    """Layer normalisation (Ba et al. 2016, arXiv:1607.06450) with a gain and a bias for each copy."""

    def __init__(self, copies: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(copies, 1, 1, width))
        self.bias = nn.Parameter(torch.zeros(copies, 1, 1, width))

    def forward(self, signal: Tensor) -> Tensor:
        """Signals of the same shape."""
        return torch.addcmul(self.bias, nn.functional.layer_norm(signal, signal.shape[-1:]), self.gain)


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762) of some tokens to others, or to themselves."""

    def __init__(self, copies: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = StackedLinear(copies, width, width)
        self.key = StackedLinear(copies, width, width)
        self.value = StackedLinear(copies, width, width)
        self.last = StackedLinear(copies, width, width)

    def initialise(self, generator: torch.Generator) -> None:
        """Orthogonal weights."""
        for layer in (self.query, self.key, self.value, self.last):
            layer.initialise(1.0, generator)

    def forward(self, signal: Tensor, to: Tensor) -> Tensor:
        """What tokens ``[copies, rows, tokens, width]`` find in ``to [copies, rows, others, width]``."""
        query, key, value = (
            layer(source).unflatten(-1, (self.heads, -1)).transpose(2, 3)
            for layer, source in ((self.query, signal), (self.key, to), (self.value, to))
        )
        closeness = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        found = torch.softmax(closeness, dim=-1) @ value
        return self.last(found.transpose(2, 3).flatten(3))


class Encoder(nn.Module):
    """A Transformer encoder over places whose positions are learned; each layer normalises before it adds."""

    def __init__(self, copies: int, tokens: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(copies, 1, tokens, width))
        self.layers = nn.ModuleList(_Layer(copies, width, heads) for _ in range(layers))

    def initialise(self, generator: torch.Generator) -> None:
        """Orthogonal weights and small positions."""
        with torch.no_grad():
            self.position.normal_(0.0, 0.1, generator=generator)
        for layer in cast(list[_Layer], self.layers):
            layer.initialise(generator)

    def forward(self, signal: Tensor) -> Tensor:
        """Signals of the same shape."""
        signal = signal + self.position
        for layer in self.layers:
            signal = layer(signal)
        return signal


class _Layer(nn.Module):
    def __init__(self, copies: int, width: int, heads: int) -> None:
        super().__init__()
        self.before_attention, self.before_wide = Norm(copies, width), Norm(copies, width)
        self.attention = Attention(copies, width, heads)
        self.wide, self.narrow = StackedLinear(copies, width, 2 * width), StackedLinear(copies, 2 * width, width)

    def initialise(self, generator: torch.Generator) -> None:
        self.attention.initialise(generator)
        self.wide.initialise(HIDDEN_GAIN, generator)
        self.narrow.initialise(1.0, generator)

    def forward(self, signal: Tensor) -> Tensor:
        normal = self.before_attention(signal)
        signal = signal + self.attention(normal, normal)
        return signal + self.narrow(rectified(self.wide(self.before_wide(signal))))


class Embedding(nn.Module):
    """A condition ``[copies, rows, features]`` as tokens ``[copies, rows, tokens, width]``, to be attended to.

    There are several, because attention to a single one would not depend on who asks.
    """

    def __init__(self, copies: int, features: int, tokens: int, width: int) -> None:
        super().__init__()
        self.first = StackedLinear(copies, features, 2 * width)
        self.last = StackedLinear(copies, 2 * width, tokens * width)
        self._tokens = tokens

    def initialise(self, generator: torch.Generator) -> None:
        """Orthogonal weights."""
        self.first.initialise(HIDDEN_GAIN, generator)
        self.last.initialise(HIDDEN_GAIN, generator)

    def forward(self, condition: Tensor) -> Tensor:
        """Tokens of conditions."""
        tokens = self.last(rectified(self.first(condition[:, None])))[:, 0]
        return rectified(tokens).unflatten(-1, (self._tokens, -1))
