"""Proved optima of slots in which servers are shared by number and by CPU (`SharedServersProblem`).

A task's cost on a server depends on how many share it, so that a server with each number of users is an option of its
own. Local search gives an incumbent (`sharing_search`), pay and prices a lower bound (`sharing_bound`); what cannot be
in a better assignment is fixed away, and a MILP with price cuts closes the rest (`sharing_milp`). A limit returns the
incumbent with the bound proved so far.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import Instances, IntArray, Observation, Problem, Progress, Solutions, Solver
from offloadopt.solvers.base import solve_slots
from offloadopt.solvers.shared_servers.core_milp import close_gap, mode_charges
from offloadopt.solvers.shared_servers.dual_bound import Slot, bound_at, climb, possible, rounding, served_by
from offloadopt.solvers.shared_servers.local_search import search
from offloadopt.structures.shared_servers import SharedServersProblem

EXACT = 1e-11
"""Smallest relative gap that is aimed at: less than the rounding of a sum cannot be proved."""


class SharedServersExact(Solver):
    """Proved optimum of every slot by local search, pay and prices, fixing and a small MILP."""

    name = "exact"
    serves = SharedServersProblem
    proves = True

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and bound are this close, per slot")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve every slot on its own; the time limit is per slot."""
        self.require(problem)
        shared = cast(SharedServersProblem[Any], problem)
        if problem.horizon > 1:
            return solve_slots(self, shared, instances, seed, progress)
        count = instances.count
        assignment = np.zeros((count, shared.tasks), dtype=np.int64)
        bound, seconds = np.empty(count), np.empty(count)
        for row in range(count):
            begin = clock()
            assignment[row], bound[row] = self.prove(shared, instances.take([row]), begin)
            seconds[row] = clock() - begin
            if progress is not None:
                progress(1)
        decisions = shared.allocate(instances, assignment)
        return Solutions.scored(
            problem, instances, decisions, seconds=seconds, bound=bound, asked_gap=self.relative_gap
        )

    def prove(self, problem: SharedServersProblem[Any], instance: Instances, begin: float) -> tuple[IntArray, float]:
        """The assignment ``[tasks]`` of one slot and a lower bound of every assignment's cost."""
        deadline = np.inf if self.time_limit_s is None else begin + self.time_limit_s
        modes, costs = problem.sharing(instance).take(0), problem.costs(Observation(instance))
        slot = Slot(modes.packed(), modes.time_weight, modes.cpu_max_hz)
        nearest = (problem.nearest(instance)[0] - 1) % slot.sites
        best, upper, saving = search(slot, nearest, deadline)
        start = np.full((slot.sites, problem.tasks), 1.0 / slot.cpu_max_hz)
        # What a task's absence would save is what it may cost to serve it: a good first pay.
        bound = bound_at(slot, np.minimum(saving, 1.0), start)
        bound = climb(slot, bound, upper, 0.1 * self._allowance(upper), deadline)
        slack = rounding(slot, bound)
        if upper - bound.value > self._allowance(upper):
            found, cost, _ = search(slot, served_by(bound), deadline)
            if cost < upper:
                best, upper = found, cost
        proved = bound.value
        if upper - bound.value > self._allowance(upper) and clock() < deadline:
            charged = mode_charges(modes, bound.price)
            upper = float(costs.cost(best[None])[0])
            best, upper, proved = close_gap(
                modes,
                possible(bound, charged, upper + slack),
                bound,
                costs,
                best,
                upper,
                self._allowance(upper),
                deadline,
            )
        return best, min(proved - slack, upper)

    def _allowance(self, upper: float) -> float:
        """Absolute gap that is asked for."""
        return max(self.relative_gap, EXACT) * upper
