"""Exhaustive enumeration of assignments, the reference optimum of small instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import ROUNDING, FloatArray, Instances, IntArray, Observation, Problem
from offloadopt.solvers.assignment.base import AssignmentSolver
from offloadopt.solvers.enumeration import digits, require_few
from offloadopt.structures.assignment import AssignmentCosts, AssignmentProblem, PricedAssignment

CHUNK = 2**18
"""Number of costs that are computed at the same time (2 MiB)."""


class Exhaustive(AssignmentSolver):
    """Optimum by enumeration of all assignments, at most 2,000,000 per instance.

    At the time limit the best assignment enumerated so far is returned, without a bound.
    """

    name = "exhaustive"
    proves = True

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for problems with too many assignments."""
        super().require(problem)
        problem = cast(AssignmentProblem[Any], problem)
        require_few(self.name, problem.servers + 1, problem.tasks, made="assignments")

    def block_size(self, problem: AssignmentProblem[Any]) -> int:
        """Number of instances whose costs fill one chunk."""
        total: int = (problem.servers + 1) ** problem.tasks
        return max(1, CHUNK // total)

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Enumerate all assignments; the bound is the least cost less a margin for rounding."""
        options, tasks, count = problem.servers + 1, problem.tasks, observation.count
        lowest = np.full(count, np.inf)
        best_index = np.zeros(count, dtype=np.int64)
        deadline, enumerated = Deadline(self.time_limit_s, count), 0
        for cost in enumerate_costs(problem.costs(observation), count, options, tasks):
            best = np.argmin(cost, axis=-1)
            cheapest = np.take_along_axis(cost, best[:, None], axis=-1)[:, 0]
            best_index = np.where(cheapest < lowest, enumerated + best, best_index)
            lowest = np.minimum(lowest, cheapest)
            enumerated += cost.shape[-1]
            if deadline.passed:
                break
        # Both the evaluated cost and the computed one differ from the exact value by at most half of ROUNDING.
        bound = lowest - 0.5 * ROUNDING * np.abs(lowest) if enumerated == options**tasks else None
        return digits(best_index, options, tasks), bound


def enumerate_costs(costs: AssignmentCosts, count: int, options: int, tasks: int) -> Iterator[FloatArray]:
    """Yield the costs of all assignments in the order of `digits`, in chunks ``[count, chunk]``."""
    if isinstance(costs, PricedAssignment):
        yield from _priced_costs(costs, options, tasks)
        return
    total = options**tasks
    size = max(1, CHUNK // (tasks * count))
    for start in range(0, total, size):
        chunk = digits(np.arange(start, min(start + size, total)), options, tasks)
        yield costs.cost(np.broadcast_to(chunk, (count, *chunk.shape)))


def _priced_costs(costs: PricedAssignment, options: int, tasks: int) -> Iterator[FloatArray]:
    """Yield the costs as those of all pairs of a head (the first half of the tasks) and a tail (the other half).

    As ``(x + y)^2 = x^2 + y^2 + 2 x y``, the cost of a pair is head's cost + tail's cost +
    2 sum_j head load_j tail load_j / F_j: one multiplication per server instead of a sum over tasks.
    """
    half = tasks // 2
    head_cost, head_load = _tables(costs, slice(None, half), options)
    tail_cost, tail_load = _tables(costs, slice(half, None), options)
    rate, tails = 2.0 * head_load / costs.capacity[:, None], tail_load.swapaxes(1, 2)
    size = max(1, CHUNK // tail_cost.size)
    for start in range(0, head_cost.shape[1], size):
        rows = slice(start, start + size)
        pairs = head_cost[:, rows, None] + tail_cost[:, None] + rate[:, rows] @ tails
        yield pairs.reshape(costs.count, pairs.shape[1] * pairs.shape[2])


def _tables(costs: PricedAssignment, tasks: slice, options: int) -> tuple[FloatArray, FloatArray]:
    """Costs ``[count, assignments]`` and server loads ``[count, assignments, servers]`` of a subset of the tasks."""
    part = PricedAssignment(costs.option_cost[:, tasks], costs.load[:, tasks], costs.capacity)
    size = part.load.shape[1]
    assignments = digits(np.arange(options**size), options, size)
    assignments = np.broadcast_to(assignments, (costs.count, *assignments.shape))
    return part.cost(assignments), part.loads(assignments)
