"""Actions as inputs of critics, with gradients through discrete choices by the Gumbel-softmax estimator.

A relaxed action has as many entries as a network has outputs (see `distributions`): first all numbers, scaled to
[-1, 1], then for each entry of each integer field its options as one-hots. Choices pass gradients by the
straight-through Gumbel-softmax estimator (Jang et al. 2017, arXiv:1611.01144; Maddison et al. 2017, arXiv:1611.00712):
the action holds the chosen option, and its gradient is that of ``softmax((outputs + Gumbel noise) / temperature)``, of
which it is the largest entry. Options that are not allowed, whose outputs `mask_outputs` has lowered, are never chosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import ArrayField


class RelaxedActions:
    """Conversion between a network's outputs, relaxed actions ``[..., size]`` and the actions of `Heads`.

    Parameters
    ----------
    fields : mapping of str to ArrayField
        Those of `Heads`, so that entries have the same order as outputs.

    Attributes
    ----------
    size, numbers : int
        Entries of a relaxed action; the first of them are numbers.
    options : list of slice
        Where the options of each entry of each integer field stand.
    """

    def __init__(self, fields: Mapping[str, ArrayField]) -> None:
        self._fields = fields
        entries = {name: int(np.prod(field.shape[1:], dtype=int)) for name, field in fields.items()}
        self.numbers = sum(entries[name] for name, field in fields.items() if not field.integer)
        self._choices = [
            (entries[name], int(field.high - field.low) + 1) for name, field in fields.items() if field.integer
        ]
        each = [options for entries, options in self._choices for _ in range(entries)]
        ends = [*itertools.accumulate(each, initial=self.numbers)]
        self.options = [slice(*pair) for pair in itertools.pairwise(ends)]
        self.size = ends[-1]

    def sample_soft(self, outputs: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Squash numbers, and sample weights of options ``softmax((outputs + Gumbel noise) / temperature)``."""
        numbers, choices = self._split(outputs)
        # Minus the logarithm of an exponential number is Gumbel noise.
        noise = [-torch.empty_like(choice).exponential_(generator=generator).log() for choice in choices]
        weights = [
            ((choice + gumbel) / temperature).softmax(dim=-1) for choice, gumbel in zip(choices, noise, strict=True)
        ]
        return _join(numbers.tanh(), weights)

    def harden(self, actions: Tensor) -> Tensor:
        """Replace weights of options by the one-hot of the largest; numbers stay as they are."""
        numbers, choices = self._split(actions)
        chosen = [torch.zeros_like(choice).scatter_(-1, choice.argmax(dim=-1, keepdim=True), 1.0) for choice in choices]
        return _join(numbers, chosen)

    def mode(self, outputs: Tensor) -> Tensor:
        """Squash numbers, and choose the options of the largest outputs."""
        numbers, choices = self._split(outputs)
        return self.harden(_join(numbers.tanh(), choices))

    def straight_through(self, outputs: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """Squash numbers and sample choices, with the gradient of `sample_soft`."""
        soft = self.sample_soft(outputs, temperature, generator)
        return soft + (self.harden(soft) - soft).detach()

    def explore(self, outputs: Tensor, noise: float, generator: torch.Generator) -> Tensor:
        """Sample choices, and add Gaussian noise to squashed numbers.

        Parameters
        ----------
        noise : float
            Standard deviation, in halves of a number's range.
        """
        numbers, choices = self._split(self.harden(self.sample_soft(outputs, 1.0, generator)))
        numbers = numbers + noise * torch.empty_like(numbers).normal_(generator=generator)
        return _join(numbers.clamp(-1.0, 1.0), choices)

    def random_actions(self, equal_outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Sample numbers and allowed options uniformly; ``equal_outputs`` are zeros but for `mask_outputs`."""
        numbers, choices = self._split(self.harden(self.sample_soft(equal_outputs, 1.0, generator)))
        return _join(torch.empty_like(numbers).uniform_(-1.0, 1.0, generator=generator), choices)

    def to_head_actions(self, actions: Tensor) -> Tensor:
        """Convert to actions ``[..., actions]`` of `Heads`; a number at its limit becomes infinite."""
        numbers, choices = self._split(actions)
        return torch.cat([numbers.atanh(), *(choice.argmax(dim=-1).to(actions.dtype) for choice in choices)], dim=-1)

    def encode(self, values: Mapping[str, NDArray[Any]]) -> Tensor:
        """Convert the fields' arrays ``[count, agents, ...]`` to relaxed actions ``[count, agents, size]``."""
        numbers, choices = [], []
        for name, field in self._fields.items():
            entries = values[name].reshape(*values[name].shape[:2], -1)
            if field.integer:
                options = np.arange(field.low, field.high + 1)
                choices.append((entries[..., None] == options).reshape(*entries.shape[:2], -1))
            else:
                numbers.append(2.0 * (entries - field.low) / (field.high - field.low) - 1.0)
        return torch.from_numpy(np.concatenate([*numbers, *choices], axis=-1).astype(np.float32))

    def by_choice(self, actions: Tensor) -> list[Tensor]:
        """Options ``[..., entries, options]`` of each integer field."""
        return self._split(actions)[1]

    def _split(self, actions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Numbers ``[..., numbers]``, and ``[..., entries, options]`` of each integer field."""
        sizes = [entries * options for entries, options in self._choices]
        numbers, *choices = actions.split([self.numbers, *sizes], dim=-1)
        return numbers, [choice.unflatten(-1, shape) for choice, shape in zip(choices, self._choices, strict=True)]


def _join(numbers: Tensor, choices: list[Tensor]) -> Tensor:
    return torch.cat([numbers, *(choice.flatten(-2) for choice in choices)], dim=-1)
