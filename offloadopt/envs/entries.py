"""An agent's own part of the decision arrays, as one flat vector and back."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, Problem
from offloadopt.errors import Unsupported
from offloadopt.structures.agents import AgentProblem


class Entries:
    """The decision arrays of one agent: those of the problem without their leading axis.

    Attributes
    ----------
    fields : mapping of str to ArrayField
    width : int
        Numbers that an agent decides in a slot.
    """

    def __init__(self, problem: AgentProblem[Any]) -> None:
        self.fields = {name: replace(spec, shape=spec.shape[1:]) for name, spec in problem.decision_fields.items()}
        self._sizes = [int(np.prod(spec.shape)) for spec in self.fields.values()]
        self.width = sum(self._sizes)

    @property
    def integer(self) -> set[bool]:
        """Whether the arrays hold whole numbers: both where some do and some do not."""
        return {spec.integer for spec in self.fields.values()}

    @cached_property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """[width] lowest and [width] highest values."""
        specs = self.fields.values()
        low, high = (np.repeat([getattr(spec, end) for spec in specs], self._sizes) for end in ("low", "high"))
        return low, high

    def split(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Arrays ``[..., *shape]`` by name of vectors ``[..., width]``."""
        parts = np.split(flat, np.cumsum(self._sizes)[:-1], axis=-1)
        return {
            name: part.reshape((*flat.shape[:-1], *spec.shape))
            for (name, spec), part in zip(self.fields.items(), parts, strict=True)
        }


def agents_of(problem: Problem[Any]) -> AgentProblem[Any]:
    """The problem, refused unless it has agents that decide for themselves."""
    if not isinstance(problem, AgentProblem):
        raise Unsupported(f"problem {problem.name!r} has no agents that decide for themselves; it needs AgentProblem")
    return problem
