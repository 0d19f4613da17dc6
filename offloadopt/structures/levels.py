"""Controls whose numbers take a few levels: as integers, as a menu of all combinations, and as shares in [0, 1]."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, IntArray, Observation
from offloadopt.errors import Unsupported
from offloadopt.structures.actions import Allowed, Controls

MAX_COMBINATIONS = 4096
"""Largest number of entries of a menu; each has an output of a network."""
Encoding = Literal["floor", "round", "none"]
ROUNDING = 1e-6
"""Shares this much below a level count as the level: single precision does not hold every level exactly."""


def level_of(share: NDArray[Any], levels: int | IntArray, encoding: Encoding) -> IntArray:
    """Compute the levels 0 to ``levels - 1`` of shares in [0, 1]; for ``none`` they have equal parts of it.

    ``floor`` is Algorithm 2 of JEIT 2024 no. 4 to the letter, ``a' = floor(a / D)`` with ``D = 1 / (K - 1)``: its last
    level is reached at 1 alone.
    """
    steps = share * (levels if encoding == "none" else levels - 1)
    level = np.rint(steps) if encoding == "round" else np.floor(steps + ROUNDING)
    return np.clip(level, 0, levels - 1).astype(np.int64)


class QuantisedControls(Controls):
    """Wrap controls so that each number takes one of equidistant levels from its lower to its upper limit.

    Parameters
    ----------
    controls : Controls
    levels : int
        At least 2. Integer fields stay as they are.

    Raises
    ------
    Unsupported
        If a field has no finite limits.
    """

    def __init__(self, controls: Controls, levels: int) -> None:
        require_limits(controls)
        self._controls = controls
        self._numbers = {name: field for name, field in controls.fields.items() if not field.integer}
        self._last = levels - 1
        chosen = {name: ArrayField(field.shape, 0, self._last, integer=True) for name, field in self._numbers.items()}
        self.fields = {**controls.fields, **chosen}

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Convert levels to decisions."""
        shares = {name: values[name] / self._last for name in self._numbers}
        # The outer levels are the limits themselves, without rounding.
        numbers = {
            name: field.low * (1.0 - shares[name]) + field.high * shares[name] for name, field in self._numbers.items()
        }
        return self._controls.decode(observation, {**values, **numbers})

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Convert decisions to the nearest levels."""
        values = self._controls.encode(observation, decisions)
        numbers = {
            name: np.rint((values[name] - field.low) / (field.high - field.low) * self._last).astype(np.int64)
            for name, field in self._numbers.items()
        }
        return {**values, **numbers}

    def allowed(self, observation: Observation) -> Allowed:
        """Allowed options of the wrapped controls; every level is allowed."""
        return self._controls.allowed(observation)

    @cached_property
    def menu(self) -> IntArray:
        """All combinations ``[choices, entries]`` of an agent's levels and options, in the order of the fields.

        Raises
        ------
        Unsupported
            If there are more than `MAX_COMBINATIONS`.
        """
        options = [
            range(int(field.low), int(field.high) + 1)
            for name, field in self.fields.items()
            for _ in range(self.entries[name])
        ]
        choices = int(np.prod([len(each) for each in options]))
        if choices > MAX_COMBINATIONS:
            raise Unsupported(f"{choices} combinations of an agent's decisions; allowed: at most {MAX_COMBINATIONS}")
        return np.array(list(itertools.product(*options)))

    def entry(self, values: Mapping[str, NDArray[Any]]) -> IntArray:
        """Entries ``[count, agents]`` of the menu that hold these levels and options; inverts `choose`."""
        lowest = self.menu[0]
        digits = np.moveaxis(self.flat(values).astype(np.int64) - lowest, -1, 0)
        entries: IntArray = np.asarray(np.ravel_multi_index(tuple(digits), tuple(self.menu[-1] - lowest + 1)))
        return entries

    def choose(self, observation: Observation, entries: IntArray) -> Decisions:
        """Compute the decisions of entries ``[count, agents]`` of the menu."""
        return self.decode(observation, self.by_field(self.menu[entries]))


class UnitControls(Controls):
    """Wrap controls so that each number, and on request each integer, is set by a share in [0, 1].

    Parameters
    ----------
    controls : Controls
    encoding : {"floor", "round", "none"}
        How shares become levels; with ``none`` numbers stay as they are, and integers have equal parts of [0, 1].
    levels : int
        Of a number; an integer has one for each of its options.
    integers : bool
        Whether integers are set by shares too; otherwise they stay as they are.
    """

    def __init__(self, controls: Controls, encoding: Encoding, levels: int = 2, *, integers: bool) -> None:
        require_limits(controls)
        self._controls, self._encoding, self._levels = controls, encoding, levels
        self._set = {name: field for name, field in controls.fields.items() if integers or not field.integer}
        self.fields = {**controls.fields, **{name: ArrayField(f.shape, 0.0, 1.0) for name, f in self._set.items()}}

    @property
    def levels(self) -> IntArray:
        """Number of levels of each entry that is set by a share, field after field."""
        counts = [int(field.high - field.low) + 1 if field.integer else self._levels for field in self._set.values()]
        return np.repeat(counts, [self.entries[name] for name in self._set])

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Convert shares to levels, and these to decisions."""
        found = {name: self._decode(field, values[name]) for name, field in self._set.items()}
        return self._controls.decode(observation, {**values, **found})

    def _decode(self, field: ArrayField, share: NDArray[Any]) -> NDArray[Any]:
        if field.integer:
            return int(field.low) + level_of(share, int(field.high - field.low) + 1, self._encoding)
        if self._encoding != "none":
            share = level_of(share, self._levels, self._encoding) / (self._levels - 1)
        # The limits themselves are reached without rounding.
        return field.low * (1.0 - share) + field.high * share

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Compute shares in the middle of those that are decoded to the level nearest to the decision.

        A number above its lower limit is never encoded as the lowest level, which often stands for nothing at all.
        """
        values = self._controls.encode(observation, decisions)
        return {**values, **{name: self._encode(field, values[name]) for name, field in self._set.items()}}

    def _encode(self, field: ArrayField, value: NDArray[Any]) -> NDArray[Any]:
        span = field.high - field.low
        share = (value - field.low) / (span or 1.0)
        if self._encoding == "none" and not field.integer:
            return share
        levels = int(field.high - field.low) + 1 if field.integer else self._levels
        level = np.rint(share * (levels - 1))
        if not field.integer:
            level = np.where(share > 0, np.maximum(level, 1), level)
        if self._encoding == "none":
            return (level + 0.5) / levels
        return np.minimum((level + 0.5 * (self._encoding == "floor")) / max(levels - 1, 1), 1.0)

    def allowed(self, observation: Observation) -> Allowed:
        """Allowed options of the wrapped controls.

        Raises
        ------
        Unsupported
            If an integer that is set by shares has options that are not always allowed.
        """
        masks = self._controls.allowed(observation)
        for name in masks.keys() & self._set.keys():
            raise Unsupported(f"{name!r} has options that are not always allowed, and shares cannot leave them out")
        return masks


def require_limits(controls: Controls) -> None:
    """Refuse controls with a field that has no finite limits."""
    for name, field in controls.fields.items():
        if not np.isfinite([field.low, field.high]).all():
            raise Unsupported(f"{name!r} has no finite limits, and levels need them")
