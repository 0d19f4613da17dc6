"""Random decisions: every task and every number uniformly among what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, IntArray, Observation, Problem
from offloadopt.errors import Unsupported
from offloadopt.solvers.assignment.base import without_dead_links
from offloadopt.solvers.assignment.baselines import admit
from offloadopt.solvers.base import Rule
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.assignment import AssignmentProblem


class Random(Rule):
    """Every task draws one of its options, what does not fit computes locally; without tasks, every number is drawn.

    Numbers that are not tied to an assignment are uniform between their limits, or among the options that are allowed.
    """

    name = "random"
    serves = Problem

    def require(self, problem: Problem[Any]) -> None:
        """Refuse numbers without limits between which to draw."""
        super().require(problem)
        if isinstance(problem, AssignmentProblem):
            return
        for name, spec in problem.decision_fields.items():
            if not np.isfinite([spec.low, spec.high]).all():
                raise Unsupported(
                    f"solver {self.name!r} draws between limits; decision {name!r} of problem {problem.name!r} has "
                    f"{spec.low:g} to {spec.high:g}"
                )

    def decide(self, problem: Problem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """A uniform draw, then admission and optimal sharing where there are servers to share."""
        if isinstance(problem, AssignmentProblem):
            # A stream for each of several slots, so that more instances extend fewer.
            stream = rng if problem.horizon == 1 else rng.spawn(1)[0]
            drawn = stream.integers(0, problem.servers + 1, size=(observation.count, problem.tasks))
            linked = without_dead_links(problem, observation, drawn)
            return problem.allocate(observation, admit(linked, *problem.demand(observation)))
        fields = problem.decision_fields
        allowed = problem.allowed(observation) if isinstance(problem, AgentProblem) else {}
        values: dict[str, NDArray[Any]] = {}
        # Likewise for each array.
        for (name, spec), stream in zip(fields.items(), rng.spawn(len(fields)), strict=True):
            if name in allowed:
                values[name] = int(spec.low) + _uniform_among(allowed[name], stream)
            else:
                values[name] = _uniform(spec, observation.count, stream)
        return Decisions(values)


def _uniform_among(allowed: NDArray[np.bool_], stream: np.random.Generator) -> IntArray:
    """Uniform draws ``[...]`` among options ``[..., options]``: the number of one that is allowed."""
    number = stream.integers(0, np.maximum(allowed.sum(axis=-1), 1))
    return np.asarray(np.argmax(np.cumsum(allowed, axis=-1) > number[..., None], axis=-1))


def _uniform(spec: ArrayField, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Uniform draws ``[count, ...]`` between a field's limits."""
    size = (count, *spec.shape)
    if spec.integer:
        return rng.integers(int(spec.low), int(spec.high), size=size, endpoint=True)
    return rng.uniform(spec.low, spec.high, size=size)
