"""Random baseline: every decision is drawn uniformly from its allowed values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, IntArray, Observation, Problem
from offloadopt.errors import Unsupported
from offloadopt.solvers.assignment.base import without_missing_links
from offloadopt.solvers.assignment.baselines import admit
from offloadopt.solvers.base import Rule
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.assignment import AssignmentProblem


class Random(Rule):
    """Uniform random decisions.

    Assignment problems: every task draws one of its options, tasks that exceed a server's capacity compute locally, and
    the continuous decisions are optimal for the assignment. Other problems: every entry of a decision is drawn between
    its limits or, where only some integers are allowed, among these.
    """

    name = "random"
    serves = Problem

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` unless every decision has finite limits."""
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
        """Draw uniformly; assignments then pass admission and optimal allocation."""
        if isinstance(problem, AssignmentProblem):
            # One stream per slot: the draws of the first instances do not depend on the number of instances.
            stream = rng if problem.horizon == 1 else rng.spawn(1)[0]
            drawn = stream.integers(0, problem.servers + 1, size=(observation.count, problem.tasks))
            linked = without_missing_links(problem, observation, drawn)
            return problem.allocate(observation, admit(linked, *problem.demand(observation)))
        fields = problem.decision_fields
        allowed = problem.allowed(observation) if isinstance(problem, AgentProblem) else {}
        values: dict[str, NDArray[Any]] = {}
        # One stream per array, for the same reason.
        for (name, spec), stream in zip(fields.items(), rng.spawn(len(fields)), strict=True):
            if name in allowed:
                values[name] = int(spec.low) + _draw_allowed(allowed[name], stream)
            else:
                values[name] = _draw_between_limits(spec, observation.count, stream)
        return Decisions(values)


def _draw_allowed(allowed: NDArray[np.bool_], stream: np.random.Generator) -> IntArray:
    """Draw the index ``[...]`` of an allowed option uniformly, given the mask ``allowed [..., options]``."""
    rank = stream.integers(0, np.maximum(allowed.sum(axis=-1), 1))
    return np.asarray(np.argmax(np.cumsum(allowed, axis=-1) > rank[..., None], axis=-1))


def _draw_between_limits(spec: ArrayField, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Draw values ``[count, ...]`` uniformly between the limits of a field."""
    size = (count, *spec.shape)
    if spec.integer:
        return rng.integers(int(spec.low), int(spec.high), size=size, endpoint=True)
    return rng.uniform(spec.low, spec.high, size=size)
