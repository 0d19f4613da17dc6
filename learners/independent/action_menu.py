"""Agents' decisions as numbers in [0, 1], and the list of all combinations of their levels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray
from offloadopt.errors import Unsupported
from offloadopt.structures.agents import AgentProblem

MAX_COMBINATIONS = 4096
"""Largest number of combinations in a menu; each has an output of a network."""


class ActionScaling:
    """Linear scaling between an agent's decisions and ``size`` numbers in [0, 1], which stand for the limits."""

    def __init__(self, problem: AgentProblem[Any]) -> None:
        self.fields = problem.decision_fields
        for name, field in self.fields.items():
            if not np.isfinite([field.low, field.high]).all():
                raise Unsupported(f"decision {name!r} of {problem.name!r} has no finite limits")
        self._sizes = {name: int(np.prod(field.shape[1:])) for name, field in self.fields.items()}
        self.size = sum(self._sizes.values())

    def decode(self, actions: NDArray[Any]) -> Decisions:
        """Convert numbers ``[count, agents, size]`` in [0, 1] to decisions; integers are rounded."""
        decided: dict[str, FloatArray] = {}
        first = 0
        for name, field in self.fields.items():
            part = actions[..., first : first + self._sizes[name]].astype(np.float64)
            values = field.low + (field.high - field.low) * part.reshape(len(actions), *field.shape)
            values = np.clip(values, field.low, field.high)
            decided[name] = np.rint(values).astype(np.int64) if field.integer else values
            first += self._sizes[name]
        return Decisions(decided)

    def menu(self, levels: int) -> FloatArray:
        """List all combinations ``[choices, size]`` of equidistant levels of numbers and all values of integers.

        Raises
        ------
        Unsupported
            If there are more than `MAX_COMBINATIONS`.
        """
        grids: list[FloatArray] = []
        for name, field in self.fields.items():
            grids += [np.linspace(0.0, 1.0, _num_levels(field, levels))] * self._sizes[name]
        choices = int(np.prod([len(grid) for grid in grids]))
        if choices > MAX_COMBINATIONS:
            raise Unsupported(f"{choices} combinations of an agent's decisions; allowed: at most {MAX_COMBINATIONS}")
        return np.array(list(itertools.product(*grids)))


def _num_levels(field: ArrayField, levels: int) -> int:
    return int(field.high - field.low) + 1 if field.integer else levels
