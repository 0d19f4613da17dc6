"""Actions as a critic sees them and as gradients pass through them: numbers in [-1, 1], options as one-hots.

A *row* has as many entries as a network's outputs for it (see `heads`): first all numbers, then for each entry of each
field of whole numbers its options. Choices pass gradients by the straight-through Gumbel-softmax estimator (Jang et al.
2017, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712): a row holds the chosen option, its gradient is that of
``softmax((outputs + Gumbel noise) / temperature)``, whose largest entry it is. Forbidden options, whose outputs
`heads.restrict` has lowered, are never chosen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from offloadopt.core import ArrayField


class Relaxed:
    """Rows of some decision fields.

    Parameters
    ----------
    fields : mapping of str to ArrayField
        Those of `Heads`, by which a row's order is the same as that of the outputs.

    Attributes
    ----------
    size : int
        Entries of a row.
    """

    def __init__(self, fields: Mapping[str, ArrayField]) -> None:
        entries = {name: int(np.prod(field.shape[1:], dtype=int)) for name, field in fields.items()}
        self._numbers = sum(entries[name] for name, field in fields.items() if not field.integer)
        self._choices = [
            (entries[name], int(field.high - field.low) + 1) for name, field in fields.items() if field.integer
        ]
        self.size = self._numbers + sum(entries * options for entries, options in self._choices)

    def soft(self, outputs: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Squashed numbers, and random chances of options ``softmax((outputs + Gumbel noise) / temperature)``."""
        numbers, choices = self._split(outputs)
        # The first of exponential clocks rings with the softmax's probabilities; minus their logarithm is Gumbel noise.
        noise = [-torch.empty_like(choice).exponential_(generator=generator).log() for choice in choices]
        chances = [
            ((choice + gumbel) / temperature).softmax(dim=-1) for choice, gumbel in zip(choices, noise, strict=True)
        ]
        return _join(numbers.tanh(), chances)

    def hard(self, rows: Tensor) -> Tensor:
        """The likeliest options for certain."""
        numbers, choices = self._split(rows)
        chosen = [torch.zeros_like(choice).scatter_(-1, choice.argmax(dim=-1, keepdim=True), 1.0) for choice in choices]
        return _join(numbers, chosen)

    def straight_through(self, outputs: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Squashed numbers and random choices, with the gradient of `soft`."""
        soft = self.soft(outputs, temperature, generator)
        return soft + (self.hard(soft) - soft).detach()

    def explore(self, outputs: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        """Random choices, and squashed numbers with Gaussian noise of a deviation in halves of a number's range."""
        numbers, choices = self._split(self.hard(self.soft(outputs, 1.0, generator)))
        numbers = numbers + noise * torch.empty_like(numbers).normal_(generator=generator)
        return _join(numbers.clamp(-1.0, 1.0), choices)

    def guess(self, indifferent: Tensor, generator: torch.Generator) -> Tensor:
        """Any number and any option that is not forbidden, for outputs that prefer nothing."""
        numbers, choices = self._split(self.hard(self.soft(indifferent, 1.0, generator)))
        return _join(torch.empty_like(numbers).uniform_(-1.0, 1.0, generator=generator), choices)

    def actions(self, rows: Tensor) -> Tensor:
        """Actions ``[..., actions]`` as `Heads.read` takes them; a number at its limit comes from infinity."""
        numbers, choices = self._split(rows)
        return torch.cat([numbers.atanh(), *(choice.argmax(dim=-1).to(rows.dtype) for choice in choices)], dim=-1)

    def _split(self, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Numbers ``[..., numbers]``, and ``[..., entries, options]`` of each field of whole numbers."""
        sizes = [entries * options for entries, options in self._choices]
        numbers, *choices = rows.split([self._numbers, *sizes], dim=-1)
        return numbers, [choice.unflatten(-1, shape) for choice, shape in zip(choices, self._choices, strict=True)]


def _join(numbers: Tensor, choices: list[Tensor]) -> Tensor:
    return torch.cat([numbers, *(choice.flatten(-2) for choice in choices)], dim=-1)
