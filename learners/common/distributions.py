"""What a network's outputs mean for a decision: squashed Gaussians for numbers, categorical choices for whole numbers.

`Heads` reads the problem's decision fields, so that a learner never names one. Every agent's *actions* are one row of
numbers: a Gaussian's values before they are squashed, and the indices of chosen options.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import ArrayField
from offloadopt.errors import Unsupported

NO_CHANCE = -1e9
"""Output of an option that cannot be chosen: finite, so that its vanishing probability makes no NaN."""


class Head(ABC):
    """The distribution of some decision fields.

    Parameters
    ----------
    fields : mapping of str to ArrayField

    Attributes
    ----------
    actions : int
        Entries of the fields for one agent.
    outputs : int
        Numbers that a network gives for them.
    spreads : int
        Numbers, learned beside the network, that say how widely it is explored.
    """

    outputs: int
    spreads: int

    def __init__(self, fields: Mapping[str, ArrayField]) -> None:
        self.fields = fields
        self.entries = [int(np.prod(field.shape[1:], dtype=int)) for field in fields.values()]
        self.actions = sum(self.entries)

    @abstractmethod
    def first_spread(self, deviation: float) -> Tensor:
        """The spread ``[spreads]`` before training, for a deviation of numbers before they are squashed."""

    @abstractmethod
    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Random actions ``[..., actions]``."""

    @abstractmethod
    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Logarithm ``[...]`` of the probability (density) of what the actions decide."""

    @abstractmethod
    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Entropy ``[...]``, or an unbiased estimate of it from one sample."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """The actions of one who does not explore."""

    @abstractmethod
    def read(self, actions: NDArray[Any]) -> NDArray[Any]:
        """What actions ``[count, agents, actions]`` decide, entry by entry."""

    @abstractmethod
    def distance(self, outputs: Tensor, decided: Tensor) -> Tensor:
        """How far ``[...]`` the mode is from demonstrated decisions ``[..., actions]``."""

    def decode(self, actions: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The fields' arrays ``[count, *shape]`` for actions ``[count, agents, actions]``."""
        split = np.split(self.read(actions), np.cumsum(self.entries)[:-1], axis=-1)
        return {
            name: values.reshape(len(values), *field.shape)
            for (name, field), values in zip(self.fields.items(), split, strict=True)
        }

    def row(self, decided: Mapping[str, Tensor], leading: torch.Size) -> Tensor:
        """Decisions ``[*leading]`` or ``[*leading, entries]`` of all fields in one row ``[*leading, actions]``."""
        return torch.cat([decided[name].reshape(*leading, -1) for name in self.fields], dim=-1)


class SquashedGaussian(Head):
    """``low + (high - low) (1 + tanh u) / 2`` for Gaussian ``u`` around the outputs. An action is ``u``.

    Decisions that must fit each other cannot be explored apart: where their sum matters and their difference hardly
    does, independent deviations would have to shrink with the sum's. Hence ``W (u - outputs) = deviations * e`` with
    standard normal ``e`` and a unit lower triangular ``W``; the spread holds logarithmic deviations, then ``W``'s
    entries below the diagonal, of which there are none (``W = 1``) if entries are explored apart all the same. The mode
    is the Gaussian's, for each entry the median of what is decided.
    """

    def __init__(self, fields: Mapping[str, ArrayField], together: bool = True) -> None:
        super().__init__(fields)
        self.outputs = self.actions
        self._below = torch.tril_indices(self.actions, self.actions, -1)[:, : None if together else 0]
        self.spreads = self.actions + self._below.shape[1]
        self._low = np.repeat([field.low for field in fields.values()], self.entries)
        self._high = np.repeat([field.high for field in fields.values()], self.entries)
        self._range = torch.from_numpy((self._high - self._low).astype(np.float32))

    def first_spread(self, deviation: float) -> Tensor:
        """Independent entries."""
        spread = torch.zeros(self.spreads)
        spread[: self.actions] = math.log(deviation)
        return spread

    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """``u``."""
        log_deviation, mixing = self._parts(spread)
        apart = log_deviation.exp() * torch.empty_like(outputs).normal_(generator=generator)
        return outputs + _times(torch.linalg.inv(mixing), apart)

    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Log-density of the decision in the fields' own units. ``W`` has determinant 1."""
        log_deviation, mixing = self._parts(spread)
        standard = _times(mixing, actions - outputs) * (-log_deviation).exp()
        gaussian = -0.5 * standard.square() - log_deviation - 0.5 * math.log(2 * math.pi)
        return (gaussian - self._log_slope(actions)).sum(dim=-1)

    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """The Gaussian's own entropy plus the squashing's logarithmic slope at one sample."""
        log_deviation, _ = self._parts(spread)
        gaussian = 0.5 + 0.5 * math.log(2 * math.pi) + log_deviation
        return (gaussian + self._log_slope(self.sample(outputs, spread, generator))).sum(dim=-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """The Gaussian's mean."""
        return outputs

    def read(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Squash."""
        share = 0.5 * (1.0 + np.tanh(actions.astype(np.float64)))
        return np.clip(self._low + (self._high - self._low) * share, self._low, self._high)

    def distance(self, outputs: Tensor, decided: Tensor) -> Tensor:
        """Squared differences, in units of the fields' ranges."""
        share = (decided - torch.from_numpy(self._low).float()) / self._range
        return (torch.sigmoid(2.0 * outputs) - share).square().sum(dim=-1)

    def _parts(self, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithmic deviations ``[..., entries]`` and ``W [..., entries, entries]``."""
        mixing = torch.eye(self.actions).repeat(*spread.shape[:-1], 1, 1)
        mixing[..., self._below[0], self._below[1]] = spread[..., self.actions :]
        return spread[..., : self.actions], mixing

    def _log_slope(self, u: Tensor) -> Tensor:
        """``log d decision / du``, where ``1 - tanh^2 u = 4 e^(-2u) / (1 + e^(-2u))^2`` without cancellation."""
        return (2.0 * self._range).log() - 2.0 * (u + nn.functional.softplus(-2.0 * u))


class Categorical(Head):
    """One of the options ``low, low + 1, ..., high`` for each entry of one field. An action is an option's index."""

    def __init__(self, name: str, field: ArrayField) -> None:
        super().__init__({name: field})
        self.low = int(field.low)
        self.options = int(field.high - field.low) + 1
        self.outputs, self.spreads = self.actions * self.options, 0

    def first_spread(self, deviation: float) -> Tensor:
        """Nothing: probabilities explore by themselves."""
        return torch.zeros(0)

    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """The first of exponential clocks that run at the options' rates."""
        clocks = torch.empty_like(outputs).exponential_(generator=generator)
        return self.mode(outputs - clocks.log())

    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Sum of the chosen options' logarithmic probabilities."""
        chosen = self._log_softmax(outputs).gather(-1, actions.long()[..., None])
        return chosen[..., 0].sum(dim=-1)

    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """In closed form."""
        logarithm = self._log_softmax(outputs)
        return -(logarithm.exp() * logarithm).sum(dim=(-2, -1))

    def mode(self, outputs: Tensor) -> Tensor:
        """The likeliest options."""
        return self._by_option(outputs).argmax(dim=-1).to(outputs.dtype)

    def read(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Whole numbers."""
        return actions.astype(np.int64) + self.low

    def distance(self, outputs: Tensor, decided: Tensor) -> Tensor:
        """Cross-entropy."""
        return -self.log_probability(outputs, outputs[..., :0], decided - self.low)

    def _by_option(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(-1, (self.actions, self.options))

    def _log_softmax(self, outputs: Tensor) -> Tensor:
        return nn.functional.log_softmax(self._by_option(outputs), dim=-1)


class Heads:
    """All decision fields of an agent, independent of each other given the outputs.

    Parameters
    ----------
    fields : mapping of str to ArrayField
        Each with shape ``(agents,)`` or ``(agents, entries)`` and finite limits.
    agents : int
    together : bool
        Whether an agent's numbers may be explored in dependence on each other (see `SquashedGaussian`).

    Attributes
    ----------
    outputs, spreads : int
        Their sums over the heads.
    """

    def __init__(self, fields: Mapping[str, ArrayField], agents: int, together: bool = True) -> None:
        for name, field in fields.items():
            choice = field.low <= field.high if field.integer else field.low < field.high
            if field.shape[:1] != (agents,) or not (choice and math.isfinite(field.high - field.low)):
                raise Unsupported(
                    f"decision {name!r} has shape {list(field.shape)} and limits {field.low:g} to {field.high:g}; "
                    f"allowed: a row for each of {agents} agents, finite limits that leave a choice"
                )
        numbers = {name: field for name, field in fields.items() if not field.integer}
        self._heads: list[Head] = [SquashedGaussian(numbers, together)] if numbers else []
        self._heads += [Categorical(name, field) for name, field in fields.items() if field.integer]
        self.outputs = sum(self._sizes("outputs"))
        self.spreads = sum(self._sizes("spreads"))

    def first_spread(self, deviation: float) -> Tensor:
        """The spread ``[spreads]`` before training, for a deviation of numbers before they are squashed."""
        return torch.cat([head.first_spread(deviation) for head in self._heads])

    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Random actions ``[..., agents, actions]`` for outputs ``[..., agents, outputs]``.

        The spread is ``[copies, spreads]``: one for all agents, or one for each.
        """
        return _join([head.sample(o, d, generator) for head, o, d in self._parts(outputs, spread)])

    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Logarithm ``[...]`` of the probability (density) of all that is decided."""
        split = actions.split(self._sizes("actions"), dim=-1)
        parts = self._parts(outputs, spread)
        return _add([head.log_probability(o, d, a) for (head, o, d), a in zip(parts, split, strict=True)])

    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Entropy ``[...]``, for numbers an unbiased estimate."""
        return _add([head.entropy(o, d, generator) for head, o, d in self._parts(outputs, spread)])

    def mode(self, outputs: Tensor) -> Tensor:
        """The actions ``[..., actions]`` of one who does not explore."""
        split = outputs.split(self._sizes("outputs"), dim=-1)
        return _join([head.mode(o) for head, o in zip(self._heads, split, strict=True)])

    def read(self, actions: Tensor) -> dict[str, NDArray[Any]]:
        """The fields' arrays ``[count, *shape]`` for actions ``[count, agents, actions]``."""
        split = actions.split(self._sizes("actions"), dim=-1)
        arrays: dict[str, NDArray[Any]] = {}
        for head, part in zip(self._heads, split, strict=True):
            arrays |= head.decode(part.numpy())
        return arrays

    def allowed(self, options: Mapping[str, NDArray[np.bool_]]) -> Tensor | None:
        """Which outputs ``[count, agents, outputs]`` stand for options that can be chosen; ``None`` for all.

        Parameters
        ----------
        options : mapping of str to array [count, agents, options], or [count, agents, entries, options]
            By the name of a field of whole numbers; a field that is missing is free.
        """
        if not options:
            return None
        count, agents = next(iter(options.values())).shape[:2]
        parts = []
        for head in self._heads:
            given = [options[name].reshape(count, agents, -1) for name in head.fields if name in options]
            parts.append(given[0] if given else np.ones((count, agents, head.outputs), dtype=np.bool_))
        return torch.from_numpy(np.concatenate(parts, axis=-1))

    def distance(self, outputs: Tensor, decided: Mapping[str, Tensor]) -> Tensor:
        """How far ``[...]`` modes are from decisions, ``[...]`` or ``[..., entries]`` by name."""
        split = outputs.split(self._sizes("outputs"), dim=-1)
        pairs = zip(self._heads, split, strict=True)
        return _add([head.distance(o, head.row(decided, outputs.shape[:-1])) for head, o in pairs])

    def _parts(self, outputs: Tensor, spread: Tensor) -> list[tuple[Head, Tensor, Tensor]]:
        by_output = outputs.split(self._sizes("outputs"), dim=-1)
        by_spread = spread.split(self._sizes("spreads"), dim=-1)
        return list(zip(self._heads, by_output, by_spread, strict=True))

    def _sizes(self, what: str) -> list[int]:
        return [getattr(head, what) for head in self._heads]


def restrict(outputs: Tensor, allowed: Tensor | None) -> Tensor:
    """Outputs whose forbidden options have no chance."""
    return outputs if allowed is None else outputs.masked_fill(~allowed, NO_CHANCE)


def _times(matrix: Tensor, values: Tensor) -> Tensor:
    """Products of matrices ``[copies, n, n]``, one for all agents or one for each, with values ``[..., agents, n]``."""
    return values @ matrix[0].T if len(matrix) == 1 else (matrix * values[..., None, :]).sum(dim=-1)


def _join(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _add(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)
