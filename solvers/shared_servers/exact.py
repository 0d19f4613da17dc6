"""Exact solver for slots whose servers share bandwidth and CPU among their users (`SharedServersProblem`).

The cost of a task on a server depends on the number of its users, so that each pair of a server and a number of users
is a separate option. Local search gives an incumbent (`local_search`), dual prices give a lower bound (`dual_bound`);
options that no better assignment can use are excluded, and a MILP with cuts closes the gap (`core_milp`). At a time
limit the incumbent is returned with the bound proved so far.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import Instances, IntArray, Observation, Problem, Progress, Solutions, Solver
from offloadopt.solvers.base import solve_slots, timed_rows
from offloadopt.solvers.shared_servers.core_milp import close_gap, priced_mode_costs
from offloadopt.solvers.shared_servers.dual_bound import (
    SlotTasks,
    bound_at,
    maximise_bound,
    rounding_margin,
    servers_of_bound,
    undecided_options,
)
from offloadopt.solvers.shared_servers.local_search import local_search
from offloadopt.structures.shared_servers import SharedServersProblem

MIN_GAP = 1e-11
"""Least relative gap asked for: a gap below the rounding of a sum cannot be proved."""


class SharedServersExact(Solver):
    """Proved optimum of every slot by local search, dual prices, fixing of options and a MILP."""

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
        for row in timed_rows(seconds, progress):
            assignment[row], bound[row] = self.prove(shared, instances.take([row]), clock())
        decisions = shared.allocate(instances, assignment)
        return Solutions.scored(
            problem, instances, decisions, seconds=seconds, bound=bound, asked_gap=self.relative_gap
        )

    def prove(self, problem: SharedServersProblem[Any], instance: Instances, begin: float) -> tuple[IntArray, float]:
        """Solve one slot.

        Parameters
        ----------
        problem : SharedServersProblem
        instance : Instances
            One instance of one slot.
        begin : float
            Reading of `offloadopt.clock.clock` from which the time limit counts.

        Returns
        -------
        array [tasks]
            The best assignment found.
        float
            Lower bound of every assignment's cost.
        """
        deadline = np.inf if self.time_limit_s is None else begin + self.time_limit_s
        modes, costs = problem.splitting(instance).take(0), problem.costs(Observation(instance))
        slot = SlotTasks(modes.packed(), modes.time_weight, modes.cpu_max_hz)
        nearest = (problem.nearest(instance)[0] - 1) % slot.sites
        best, upper, saving = local_search(slot, nearest, deadline)
        start = np.full((slot.sites, problem.tasks), 1.0 / slot.cpu_max_hz)
        # The decrease of cost without a task is a good initial dual price of the task.
        bound = bound_at(slot, np.minimum(saving, 1.0), start)
        bound = maximise_bound(slot, bound, upper, 0.1 * self._allowance(upper), deadline)
        margin = rounding_margin(slot, bound)
        if upper - bound.value > self._allowance(upper):
            found, cost, _ = local_search(slot, servers_of_bound(bound), deadline)
            if cost < upper:
                best, upper = found, cost
        proved = bound.value
        if upper - bound.value > self._allowance(upper) and clock() < deadline:
            priced_cost = priced_mode_costs(modes, bound.cpu_price)
            upper = float(costs.cost(best[None])[0])
            best, upper, proved = close_gap(
                modes,
                undecided_options(bound, priced_cost, upper + margin),
                bound,
                costs,
                best,
                upper,
                self._allowance(upper),
                deadline,
            )
        return best, min(proved - margin, upper)

    def _allowance(self, upper: float) -> float:
        """Absolute gap asked for."""
        return max(self.relative_gap, MIN_GAP) * upper
