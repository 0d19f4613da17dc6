"""Enumeration of all assignments: the proof that every other solver is measured against on small cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from offloadopt.clock import clock
from offloadopt.core import ROUNDING, FloatArray, Instances, IntArray, Observation, Problem
from offloadopt.errors import Unsupported
from offloadopt.solvers.assignment.base import AssignmentSolver
from offloadopt.structures.assignment import AssignmentCosts, AssignmentProblem, PricedAssignment

MOST_ASSIGNMENTS = 2_000_000
CHUNK = 2**18
"""Number of costs that are computed at the same time (2 MB)."""


class Exhaustive(AssignmentSolver):
    """Tries every assignment, at most 2,000,000 of them; what it returns is optimal.

    An enumeration that the time limit ends proves nothing and returns the best assignment seen so far.
    """

    name = "exhaustive"
    proves = True

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems with too many assignments."""
        super().require(problem)
        problem = cast(AssignmentProblem[Any], problem)
        options, tasks = problem.servers + 1, problem.tasks
        if options**tasks > MOST_ASSIGNMENTS:
            raise Unsupported(
                f"solver {self.name!r}: {options} options for each of {tasks} tasks are {_readable(options, tasks)} "
                f"assignments; allowed: at most {MOST_ASSIGNMENTS}"
            )

    def block_size(self, problem: AssignmentProblem[Any]) -> int:
        """As many instances as fill one chunk."""
        total: int = (problem.servers + 1) ** problem.tasks
        return max(1, CHUNK // total)

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """The cheapest of all assignments; its cost, less what rounding may hide, is the bound."""
        options, tasks, count = problem.servers + 1, problem.tasks, observation.count
        lowest = np.full(count, np.inf)
        where = np.zeros(count, dtype=np.int64)
        deadline, seen = self.deadline(count), 0
        for cost in enumerate_costs(problem.costs(observation), count, options, tasks):
            best = np.argmin(cost, axis=-1)
            cheapest = np.take_along_axis(cost, best[:, None], axis=-1)[:, 0]
            where = np.where(cheapest < lowest, seen + best, where)
            lowest = np.minimum(lowest, cheapest)
            seen += cost.shape[-1]
            if clock() > deadline:
                break
        # The true cost and the computed one each differ from the smallest by less than rounding allows.
        bound = lowest - 0.5 * ROUNDING * np.abs(lowest) if seen == options**tasks else None
        return numbered(where, options, tasks), bound


def numbered(number: IntArray, options: int, tasks: int) -> IntArray:
    """[..., tasks] the assignments with these numbers: their digits in base ``options``, the last task's last."""
    place = options ** np.arange(tasks - 1, -1, -1, dtype=np.int64)
    return number[..., None] // place % options


def enumerate_costs(costs: AssignmentCosts, count: int, options: int, tasks: int) -> Iterator[FloatArray]:
    """The costs of all assignments in the order of their numbers, in chunks ``[count, some]``."""
    if isinstance(costs, PricedAssignment):
        yield from _priced(costs, options, tasks)
        return
    total = options**tasks
    size = max(1, CHUNK // (tasks * count))
    for start in range(0, total, size):
        some = numbered(np.arange(start, min(start + size, total)), options, tasks)
        yield costs.cost(np.broadcast_to(some, (count, *some.shape)))


def _priced(costs: PricedAssignment, options: int, tasks: int) -> Iterator[FloatArray]:
    """Cost of every pair of a head (the first half of the tasks) and a tail (the others).

    As ``(x + y)^2 = x^2 + y^2 + 2 x y``, it is head's cost + tail's cost + 2 sum_j head load_j tail load_j / F_j: one
    multiplication per server instead of a sum over tasks.
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
    """Cost ``[count, some]`` and server loads ``[count, some, servers]`` of all assignments of some tasks alone."""
    part = PricedAssignment(costs.option_cost[:, tasks], costs.load[:, tasks], costs.capacity)
    some = part.load.shape[1]
    every = numbered(np.arange(options**some), options, some)
    every = np.broadcast_to(every, (costs.count, *every.shape))
    return part.cost(every), part.loads(every)


def _readable(options: int, tasks: int) -> str:
    """The number of assignments, written out while that is short."""
    return str(options**tasks) if tasks * np.log10(options) < 18 else f"{options}^{tasks}"
