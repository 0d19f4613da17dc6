"""Decision arrays of a single agent, and their flat vector."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, Problem
from offloadopt.errors import Unsupported
from offloadopt.structures.agents import AgentProblem


class AgentDecisions:
    """Layout of one agent's decision arrays in a flat vector.

    Parameters
    ----------
    problem : AgentProblem

    Attributes
    ----------
    fields : mapping of str to ArrayField
        The problem's decision fields without their leading agent axis.
    size : int
        Numbers that an agent decides in a slot.
    """

    def __init__(self, problem: AgentProblem[Any]) -> None:
        self.fields = {name: replace(spec, shape=spec.shape[1:]) for name, spec in problem.decision_fields.items()}
        self._sizes = [int(np.prod(spec.shape)) for spec in self.fields.values()]
        self.size = sum(self._sizes)

    @property
    def all_integer(self) -> bool:
        """Whether every array holds integers."""
        return all(spec.integer for spec in self.fields.values())

    @property
    def all_continuous(self) -> bool:
        """Whether every array holds real numbers."""
        return not any(spec.integer for spec in self.fields.values())

    @cached_property
    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest values, ``[size]`` each."""
        specs = self.fields.values()
        low, high = (np.repeat([getattr(spec, end) for spec in specs], self._sizes) for end in ("low", "high"))
        return low, high

    def join(self, decisions: Decisions) -> FloatArray:
        """Join decisions of all agents to vectors ``[count, agents, size]``; inverts `split`."""
        parts = [decisions[name] for name in self.fields]
        return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1).astype(np.float64)

    def split(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Split vectors ``[..., size]`` into arrays ``[..., *shape]`` by name."""
        parts = np.split(flat, np.cumsum(self._sizes)[:-1], axis=-1)
        return {
            name: part.reshape((*flat.shape[:-1], *spec.shape))
            for (name, spec), part in zip(self.fields.items(), parts, strict=True)
        }


def as_agent_problem(problem: Problem[Any]) -> AgentProblem[Any]:
    """Return the problem if it is an `AgentProblem`; refuse it otherwise."""
    if not isinstance(problem, AgentProblem):
        raise Unsupported(f"problem {problem.name!r} has no agents that decide for themselves; it needs AgentProblem")
    return problem
