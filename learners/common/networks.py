"""Stacked networks: ``copies`` networks of the same shape, evaluated in one batched product.

Signals are ``[copies, slots, rows, features]``. With parameter sharing there is one copy, and every agent of every
instance is a row; where each agent has its own network there is a copy for each agent, and every instance is a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "relu6": nn.functional.relu6,
}
HIDDEN_GAIN = 2.0**0.5
"""Gain of the hidden layers' orthogonal initial weights."""


def agents_to_copies(values: Tensor, copies: int) -> Tensor:
    """Reshape values ``[slots, count, agents, features]`` to ``[copies, slots, rows, features]``."""
    return values.flatten(1, 2)[None] if copies == 1 else values.permute(2, 0, 1, 3)


def copies_to_agents(values: Tensor, agents: int) -> Tensor:
    """Invert `agents_to_copies`."""
    return values[0].unflatten(1, (-1, agents)) if len(values) == 1 else values.permute(1, 2, 0, 3)


class StackedLinear(nn.Module):
    """Stacked linear layers: weights ``[copies, inputs, outputs]``, bias ``[copies, 1, outputs]``."""

    def __init__(self, copies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(copies, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(copies, 1, outputs))

    def initialise(self, gain: float, generator: torch.Generator) -> None:
        """Draw orthogonal weights; the bias stays zero."""
        for weight in self.weight:
            nn.init.orthogonal_(weight, gain, generator)

    def forward(self, signal: Tensor) -> Tensor:
        """Map signals ``[copies, slots, rows, inputs]`` to ``[copies, slots, rows, outputs]``."""
        flat = torch.baddbmm(self.bias, signal.flatten(1, 2), self.weight)
        return flat.unflatten(1, signal.shape[1:3])


class StackedGRU(nn.Module):
    """Stacked layers of gated recurrent units (Cho et al. 2014) that run over the slots."""

    def __init__(self, copies: int, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.input_gates = StackedLinear(copies, inputs, 3 * width)
        self.memory_gates = StackedLinear(copies, width, 3 * width)

    def initialise(self, generator: torch.Generator) -> None:
        """Draw orthogonal weights."""
        self.input_gates.initialise(1.0, generator)
        self.memory_gates.initialise(1.0, generator)

    def forward(self, signal: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute signals ``[copies, slots, rows, width]`` and the memory ``[copies, 1, rows, width]`` at the end."""
        from_input = self.input_gates(signal)
        if memory is None:
            memory = from_input.new_zeros(from_input.shape[0], 1, from_input.shape[2], self.width)
        signals = []
        for slot in range(from_input.shape[1]):
            input_reset, input_update, input_new = from_input[:, slot : slot + 1].chunk(3, dim=-1)
            memory_reset, memory_update, memory_new = self.memory_gates(memory).chunk(3, dim=-1)
            update = torch.sigmoid(input_update + memory_update)
            new = torch.tanh(input_new + torch.sigmoid(input_reset + memory_reset) * memory_new)
            memory = new + update * (memory - new)
            signals.append(memory)
        return torch.cat(signals, dim=1), memory


class StackedMLP(nn.Module):
    """Stacked networks of hidden layers, an optional recurrent layer and a linear output layer.

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
        self.hidden = nn.ModuleList(StackedLinear(copies, *pair) for pair in itertools.pairwise(widths))
        self.recurrent = StackedGRU(copies, widths[-1], widths[-1]) if recurrent else None
        self.last = StackedLinear(copies, widths[-1], outputs)
        self._activation = ACTIVATIONS[activation]

    @property
    def layers(self) -> list[StackedLinear]:
        """Hidden layers and output layer."""
        return [*cast(list[StackedLinear], self.hidden), self.last]

    def initialise(self, last_gain: float, generator: torch.Generator) -> None:
        """Draw orthogonal weights, those of the output layer with gain ``last_gain``."""
        with torch.no_grad():
            for layer in cast(list[StackedLinear], self.hidden):
                layer.initialise(HIDDEN_GAIN, generator)
            if self.recurrent is not None:
                self.recurrent.initialise(generator)
            self.last.initialise(last_gain, generator)

    def forward(self, signal: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Compute outputs ``[copies, slots, rows, outputs]`` and the memory at the end, ``None`` if not recurrent."""
        for layer in self.hidden:
            signal = self._activation(layer(signal))
        if self.recurrent is not None:
            signal, memory = self.recurrent(signal, memory)
        return self.last(signal), memory

    def of_agents(self, signal: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Compute outputs and memory as `forward`; all arrays are ``[slots, count, agents, ...]``."""
        agents = signal.shape[2]
        outputs, memory = self(
            agents_to_copies(signal, self.copies), None if memory is None else agents_to_copies(memory, self.copies)
        )
        return copies_to_agents(outputs, agents), None if memory is None else copies_to_agents(memory, agents)
