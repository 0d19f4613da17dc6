"""Action distributions given a network's outputs: squashed Gaussians for numbers, categorical for integers.

`Heads` is built from the problem's decision fields, so that no learner depends on their names. An agent's *actions* are
one vector: a Gaussian's values before they are squashed, then the indices of chosen options.
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

MASKED_OUTPUT = -1e9
"""Output (logit) of an option that is not allowed: finite, so that its zero probability causes no NaN."""


class Head(ABC):
    """The distribution of some decision fields of an agent.

    Parameters
    ----------
    fields : mapping of str to ArrayField

    Attributes
    ----------
    actions : int
        Entries of the fields for one agent.
    outputs : int
        Outputs of a network for them.
    spreads : int
        Parameters of the spread, which are learned beside the network and do not depend on the observation.
    """

    outputs: int
    spreads: int

    def __init__(self, fields: Mapping[str, ArrayField]) -> None:
        self.fields = fields
        self.entries = [int(np.prod(field.shape[1:], dtype=int)) for field in fields.values()]
        self.actions = sum(self.entries)

    @abstractmethod
    def initial_spread(self, std: float) -> Tensor:
        """Initial spread ``[spreads]`` for a standard deviation of numbers before they are squashed."""

    @abstractmethod
    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Sample actions ``[..., actions]``."""

    @abstractmethod
    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Logarithm ``[...]`` of the probability (density) of the decisions that the actions stand for."""

    @abstractmethod
    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Entropy ``[...]``, or an unbiased estimate of it from one sample."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """Actions ``[..., actions]`` without exploration."""

    @abstractmethod
    def decode_entries(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Convert actions ``[count, agents, actions]`` to decisions, entry by entry."""

    @abstractmethod
    def imitation_loss(self, outputs: Tensor, decided: Tensor) -> Tensor:
        """Loss ``[...]`` of the mode against demonstrated decisions ``[..., actions]``."""

    def decode(self, actions: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Convert actions ``[count, agents, actions]`` to the fields' arrays ``[count, *shape]``."""
        split = np.split(self.decode_entries(actions), np.cumsum(self.entries)[:-1], axis=-1)
        return {
            name: values.reshape(len(values), *field.shape)
            for (name, field), values in zip(self.fields.items(), split, strict=True)
        }

    def join_entries(self, decided: Mapping[str, Tensor], leading: torch.Size) -> Tensor:
        """Concatenate the fields' decisions ``[*leading]`` or ``[*leading, entries]`` to ``[*leading, actions]``."""
        return torch.cat([decided[name].reshape(*leading, -1) for name in self.fields], dim=-1)


class SquashedGaussian(Head):
    """``low + (high - low) (1 + tanh u) / 2`` for Gaussian ``u`` around the outputs. An action is ``u``.

    The noise may be correlated between entries. Where the cost depends on the entries' sum and hardly on their
    difference, independent standard deviations would all have to shrink to that which the sum tolerates. Hence
    ``W (u - outputs) = std * e`` with standard normal ``e`` and a unit lower triangular ``W``; the spread holds the
    logarithms of ``std``, then ``W``'s entries below the diagonal, which are left out (``W = 1``) if ``correlated`` is
    false. The mode is that of the Gaussian, which for each entry is the median of the decision.
    """

    def __init__(self, fields: Mapping[str, ArrayField], correlated: bool = True) -> None:
        super().__init__(fields)
        self.outputs = self.actions
        self._lower = torch.tril_indices(self.actions, self.actions, -1)[:, : None if correlated else 0]
        self.spreads = self.actions + self._lower.shape[1]
        self._low = np.repeat([field.low for field in fields.values()], self.entries)
        self._high = np.repeat([field.high for field in fields.values()], self.entries)
        self._range = torch.from_numpy((self._high - self._low).astype(np.float32))

    def initial_spread(self, std: float) -> Tensor:
        """Equal standard deviations, no correlation."""
        spread = torch.zeros(self.spreads)
        spread[: self.actions] = math.log(std)
        return spread

    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Sample ``u``."""
        log_std, mixing = self._parts(spread)
        apart = log_std.exp() * torch.empty_like(outputs).normal_(generator=generator)
        return outputs + _times(torch.linalg.inv(mixing), apart)

    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Log-density of the decision in the fields' own units (``W`` has determinant 1)."""
        log_std, mixing = self._parts(spread)
        standard = _times(mixing, actions - outputs) * (-log_std).exp()
        gaussian = -0.5 * standard.square() - log_std - 0.5 * math.log(2 * math.pi)
        return (gaussian - self._log_derivative(actions)).sum(dim=-1)

    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Entropy of the Gaussian plus the log-derivative of the squashing at one sample."""
        log_std, _ = self._parts(spread)
        gaussian = 0.5 + 0.5 * math.log(2 * math.pi) + log_std
        return (gaussian + self._log_derivative(self.sample(outputs, spread, generator))).sum(dim=-1)

    def mode(self, outputs: Tensor) -> Tensor:
        """Mean of the Gaussian."""
        return outputs

    def decode_entries(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Squash to the fields' limits."""
        share = 0.5 * (1.0 + np.tanh(actions.astype(np.float64)))
        return np.clip(self._low + (self._high - self._low) * share, self._low, self._high)

    def imitation_loss(self, outputs: Tensor, decided: Tensor) -> Tensor:
        """Sum of squared differences, in units of the fields' ranges."""
        share = (decided - torch.from_numpy(self._low).float()) / self._range
        return (torch.sigmoid(2.0 * outputs) - share).square().sum(dim=-1)

    def _parts(self, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of the standard deviations ``[..., entries]`` and ``W [..., entries, entries]``."""
        mixing = torch.eye(self.actions).repeat(*spread.shape[:-1], 1, 1)
        mixing[..., self._lower[0], self._lower[1]] = spread[..., self.actions :]
        return spread[..., : self.actions], mixing

    def _log_derivative(self, u: Tensor) -> Tensor:
        """``log d decision / du``, where ``1 - tanh^2 u = 4 e^(-2u) / (1 + e^(-2u))^2`` without cancellation."""
        return (2.0 * self._range).log() - 2.0 * (u + nn.functional.softplus(-2.0 * u))


class Categorical(Head):
    """Choice of one option of ``low, low + 1, ..., high`` for each entry of a field; an action is an option's index."""

    def __init__(self, name: str, field: ArrayField) -> None:
        super().__init__({name: field})
        self.low = int(field.low)
        self.options = int(field.high - field.low) + 1
        self.outputs, self.spreads = self.actions * self.options, 0

    def initial_spread(self, std: float) -> Tensor:
        """No parameters: the probabilities alone determine the spread."""
        return torch.zeros(0)

    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Sample by the Gumbel-max trick: minus the logarithm of an exponential number is Gumbel noise."""
        exponential = torch.empty_like(outputs).exponential_(generator=generator)
        return self.mode(outputs - exponential.log())

    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Sum of the log-probabilities of the chosen options."""
        chosen = self._log_softmax(outputs).gather(-1, actions.long()[..., None])
        return chosen[..., 0].sum(dim=-1)

    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Entropy in closed form."""
        logarithm = self._log_softmax(outputs)
        return -(logarithm.exp() * logarithm).sum(dim=(-2, -1))

    def mode(self, outputs: Tensor) -> Tensor:
        """The most probable options."""
        return self._by_option(outputs).argmax(dim=-1).to(outputs.dtype)

    def decode_entries(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Convert options' indices to integers."""
        return actions.astype(np.int64) + self.low

    def imitation_loss(self, outputs: Tensor, decided: Tensor) -> Tensor:
        """Cross-entropy of the demonstrated options."""
        return -self.log_probability(outputs, outputs[..., :0], decided - self.low)

    def _by_option(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(-1, (self.actions, self.options))

    def _log_softmax(self, outputs: Tensor) -> Tensor:
        return nn.functional.log_softmax(self._by_option(outputs), dim=-1)


class Heads:
    """Joint distribution of all decision fields of an agent; fields are independent given the network's outputs.

    Parameters
    ----------
    fields : mapping of str to ArrayField
        Each with shape ``(agents,)`` or ``(agents, entries)`` and finite limits.
    agents : int
    correlated : bool
        Whether the noise of an agent's numbers may be correlated (see `SquashedGaussian`).

    Attributes
    ----------
    outputs, spreads : int
        Totals over all fields.
    """

    def __init__(self, fields: Mapping[str, ArrayField], agents: int, correlated: bool = True) -> None:
        for name, field in fields.items():
            choice = field.low <= field.high if field.integer else field.low < field.high
            if field.shape[:1] != (agents,) or not (choice and math.isfinite(field.high - field.low)):
                raise Unsupported(
                    f"decision {name!r} has shape {list(field.shape)} and limits {field.low:g} to {field.high:g}; "
                    f"allowed: a row for each of {agents} agents, finite limits that leave a choice"
                )
        numbers = {name: field for name, field in fields.items() if not field.integer}
        self._heads: list[Head] = [SquashedGaussian(numbers, correlated)] if numbers else []
        self._heads += [Categorical(name, field) for name, field in fields.items() if field.integer]
        self.outputs = sum(self._sizes("outputs"))
        self.spreads = sum(self._sizes("spreads"))

    def initial_spread(self, std: float) -> Tensor:
        """Initial spread ``[spreads]`` for a standard deviation of numbers before they are squashed."""
        return torch.cat([head.initial_spread(std) for head in self._heads])

    def sample(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Sample actions ``[..., agents, actions]`` for outputs ``[..., agents, outputs]``.

        The spread is ``[copies, spreads]``: one for all agents, or one for each.
        """
        return _join([head.sample(o, d, generator) for head, o, d in self._parts(outputs, spread)])

    def log_probability(self, outputs: Tensor, spread: Tensor, actions: Tensor) -> Tensor:
        """Logarithm ``[...]`` of the probability (density) of all fields' decisions."""
        split = actions.split(self._sizes("actions"), dim=-1)
        parts = self._parts(outputs, spread)
        return _add([head.log_probability(o, d, a) for (head, o, d), a in zip(parts, split, strict=True)])

    def entropy(self, outputs: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Entropy ``[...]``; the numbers' part is an unbiased estimate from one sample."""
        return _add([head.entropy(o, d, generator) for head, o, d in self._parts(outputs, spread)])

    def mode(self, outputs: Tensor) -> Tensor:
        """Actions ``[..., actions]`` without exploration."""
        split = outputs.split(self._sizes("outputs"), dim=-1)
        return _join([head.mode(o) for head, o in zip(self._heads, split, strict=True)])

    def decode(self, actions: Tensor) -> dict[str, NDArray[Any]]:
        """Convert actions ``[count, agents, actions]`` to the fields' arrays ``[count, *shape]``."""
        split = actions.split(self._sizes("actions"), dim=-1)
        arrays: dict[str, NDArray[Any]] = {}
        for head, part in zip(self._heads, split, strict=True):
            arrays |= head.decode(part.numpy())
        return arrays

    def allowed(self, options: Mapping[str, NDArray[np.bool_]]) -> Tensor | None:
        """Mask ``[count, agents, outputs]`` of the outputs whose options are allowed; ``None`` if all are.

        Parameters
        ----------
        options : mapping of str to array [count, agents, options], or [count, agents, entries, options]
            By the name of an integer field; all options of a missing field are allowed.
        """
        if not options:
            return None
        count, agents = next(iter(options.values())).shape[:2]
        parts = []
        for head in self._heads:
            given = [options[name].reshape(count, agents, -1) for name in head.fields if name in options]
            parts.append(given[0] if given else np.ones((count, agents, head.outputs), dtype=np.bool_))
        return torch.from_numpy(np.concatenate(parts, axis=-1))

    def imitation_loss(self, outputs: Tensor, decided: Mapping[str, Tensor]) -> Tensor:
        """Loss ``[...]`` of the modes against decisions by name, ``[...]`` or ``[..., entries]``."""
        split = outputs.split(self._sizes("outputs"), dim=-1)
        pairs = zip(self._heads, split, strict=True)
        return _add([head.imitation_loss(o, head.join_entries(decided, outputs.shape[:-1])) for head, o in pairs])

    def _parts(self, outputs: Tensor, spread: Tensor) -> list[tuple[Head, Tensor, Tensor]]:
        by_output = outputs.split(self._sizes("outputs"), dim=-1)
        by_spread = spread.split(self._sizes("spreads"), dim=-1)
        return list(zip(self._heads, by_output, by_spread, strict=True))

    def _sizes(self, attribute: str) -> list[int]:
        return [getattr(head, attribute) for head in self._heads]


def mask_outputs(outputs: Tensor, allowed: Tensor | None) -> Tensor:
    """Replace the outputs of options that are not allowed, so that their probability is 0."""
    return outputs if allowed is None else outputs.masked_fill(~allowed, MASKED_OUTPUT)


def _times(matrix: Tensor, values: Tensor) -> Tensor:
    """Multiply matrices ``[copies, n, n]``, one for all agents or one for each, by values ``[..., agents, n]``."""
    return values @ matrix[0].T if len(matrix) == 1 else (matrix * values[..., None, :]).sum(dim=-1)


def _join(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _add(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)
