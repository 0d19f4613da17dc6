"""Local search on exactly re-allocated cost, from two starts."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.solvers.assignment import AssignmentSolver
from offloadopt.solvers.exchange import improve
from offloadopt.structure import AssignmentProblem, PricedAssignment, PricedAssignmentProblem


class MoveAndSwap(AssignmentSolver):
    """The better of two local optima of `exchange.improve`, from all-local and from each task's cheapest idle server.

    Deterministic, and without a proof. Time grows with the square of the number of tasks, for swaps and chains.
    """

    name = "move-and-swap"
    serves = PricedAssignmentProblem

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Improve both starts of every instance and keep the cheaper result."""
        costs = cast(PricedAssignment, problem.costs(observation))  # `require` has asked for a priced problem
        count, tasks = costs.load.shape
        alone = costs.option_cost.copy()
        alone[..., 1:] += costs.load[..., None] ** 2 / costs.capacity[:, None]
        found = np.stack([np.zeros((count, tasks), dtype=np.int64), np.argmin(alone, axis=-1)], axis=1)
        nothing, everyone = np.zeros(problem.servers), np.arange(tasks)
        for row in range(count):
            for start in found[row]:
                improve(costs.option_cost[row], costs.load[row], costs.capacity[row], nothing, start, everyone, True)
        best = np.argmin(costs.cost(found), axis=-1)
        return np.take_along_axis(found, best[:, None, None], axis=1)[:, 0], None
