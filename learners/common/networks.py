"""Small networks in copies: one that all agents share, or one for each, multiplied slice by slice in one call.

Signals are ``[copies, slots, rows, features]``. A network that all agents share is one copy, for which every agent of
every instance is a row; where each agent has its own, an instance is a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}
HIDDEN_GAIN = 2.0**0.5
"""Gain of the hidden layers' orthogonal initial weights."""


def by_copy(values: Tensor, copies: int) -> Tensor:
    """Values ``[slots, count, agents, features]`` as ``[copies, slots, rows, features]``."""
    return values.flatten(1, 2)[None] if copies == 1 else values.permute(2, 0, 1, 3)


def by_agent(values: Tensor, agents: int) -> Tensor:
    """The inverse of `by_copy`."""
    return values[0].unflatten(1, (-1, agents)) if len(values) == 1 else values.permute(1, 2, 0, 3)


class Linear(nn.Module):
    """A linear layer in copies: weights ``[copies, inputs, outputs]``, bias ``[copies, 1, outputs]``."""

    def __init__(self, copies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(copies, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(copies, 1, outputs))

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        """Orthogonal weights; the bias stays zero."""
        for weight in self.weight:
            nn.init.orthogonal_(weight, gain, generator)

    def forward(self, signal: Tensor) -> Tensor:
        """``[copies, slots, rows, outputs]`` for ``[copies, slots, rows, inputs]``."""
        flat = torch.baddbmm(self.bias, signal.flatten(1, 2), self.weight)
        return flat.unflatten(1, signal.shape[1:3])


class Recurrent(nn.Module):
    """Gated recurrent units (Cho et al. 2014) in copies, run over the slots."""

    def __init__(self, copies: int, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.seen = Linear(copies, inputs, 3 * width)
        self.kept = Linear(copies, width, 3 * width)

    def initialise(self, generator: torch.Generator) -> None:
        """Orthogonal weights."""
        self.seen.initialise(1.0, generator)
        self.kept.initialise(1.0, generator)

    def forward(self, signal: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Signals ``[copies, slots, rows, width]`` and the memory ``[copies, 1, rows, width]`` after the last slot."""
        seen = self.seen(signal)
        if memory is None:
            memory = seen.new_zeros(seen.shape[0], 1, seen.shape[2], self.width)
        signals = []
        for slot in range(seen.shape[1]):
            seen_reset, seen_update, seen_fresh = seen[:, slot : slot + 1].chunk(3, dim=-1)
            kept_reset, kept_update, kept_fresh = self.kept(memory).chunk(3, dim=-1)
            update = torch.sigmoid(seen_update + kept_update)
            fresh = torch.tanh(seen_fresh + torch.sigmoid(seen_reset + kept_reset) * kept_fresh)
            memory = fresh + update * (memory - fresh)
            signals.append(memory)
        return torch.cat(signals, dim=1), memory


class Network(nn.Module):
    """Hidden layers, a recurrent one after them if wanted, and a linear layer.

    Parameters
    ----------
    copies : int
    sizes : sequence of int
        Features, widths of the hidden layers, outputs. A recurrent layer is as wide as the last hidden one.
    activation : {"tanh", "relu"}
    recurrent : bool
    """

    def __init__(self, copies: int, sizes: Sequence[int], activation: str, recurrent: bool) -> None:
        super().__init__()
        *widths, outputs = sizes
        self.copies = copies
        self.hidden = nn.ModuleList(Linear(copies, *pair) for pair in itertools.pairwise(widths))
        self.recurrent = Recurrent(copies, widths[-1], widths[-1]) if recurrent else None
        self.last = Linear(copies, widths[-1], outputs)
        self._activation = ACTIVATIONS[activation]

    def initialise(self, last_gain: float, generator: torch.Generator) -> None:
        """Draw orthogonal weights."""
        with torch.no_grad():
            for layer in cast(list[Linear], self.hidden):
                layer.initialise(HIDDEN_GAIN, generator)
            if self.recurrent is not None:
                self.recurrent.initialise(generator)
            self.last.initialise(last_gain, generator)

    def forward(self, signal: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Outputs ``[copies, slots, rows, outputs]`` and the memory after the last slot, ``None`` if not recurrent."""
        for layer in self.hidden:
            signal = self._activation(layer(signal))
        if self.recurrent is not None:
            signal, memory = self.recurrent(signal, memory)
        return self.last(signal), memory
