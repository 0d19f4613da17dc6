"""Exact solver for slots whose servers share bandwidth and CPU among their users (`SharedServersProblem`).

The cost of a task on a server depends on the number of its users, so that each pair of a server and a number of users
is a separate option. Local search gives an incumbent (`local_search`), dual prices give a lower bound (`dual_bound`);
options that no better assignment can use are excluded, and a MILP with cuts closes the gap (`core_milp`). At a time
limit the incumbent is returned with the bound proved so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Instances, IntArray, Observation
from offloadopt.memory import require_memory
from offloadopt.progress import report
from offloadopt.quantities import Factor
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.shared_servers.core_milp import SharedServersMilp, priced_mode_costs
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

TABLES = 150
"""Tables of numbers by task, server and its number of users that the search holds, most of them for the dual bound."""
MIN_GAP = 1e-11
"""Least relative gap asked for: a gap below the rounding of a sum cannot be proved."""


class SharedServersExact(InstanceSolver):
    """Proved optimum of every slot by local search, dual prices, fixing of options and a MILP."""

    name = "exact"
    serves = SharedServersProblem
    proves = True

    relative_gap: Factor = Field(1e-6, ge=0, description="stop once cost and bound are this close, per slot")

    def separates(self, problem: Any) -> bool:
        """Whether each instance is solved on its own: always."""
        return True

    def searches(self, problem: SharedServersProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Solve slots of ``problem``."""
        return _Searches(self, problem, instances)

    def prove(
        self, problem: SharedServersProblem[Any], instance: Instances, deadline: Deadline
    ) -> tuple[IntArray, float]:
        """Solve one slot.

        Parameters
        ----------
        problem : SharedServersProblem
        instance : Instances
            One instance of one slot.
        deadline : Deadline

        Returns
        -------
        array [tasks]
            The best assignment found.
        float
            Lower bound of every assignment's cost.
        """
        numbers = problem.servers // 2 * problem.tasks**2
        require_memory(8.0 * TABLES * numbers, f"solver {self.name!r} with {problem.tasks:,} tasks in a slot")
        modes, costs = problem.splitting(instance).take(0), problem.costs(Observation(instance))
        slot = SlotTasks(modes.packed(), modes.time_weight, modes.cpu_max_hz)
        nearest = (problem.nearest(instance)[0] - 1) % slot.sites
        best, upper, saving = local_search(slot, nearest, deadline)
        start = np.full((slot.sites, problem.tasks), 1.0 / slot.cpu_max_hz)
        # The decrease of cost without a task is a good initial dual price of the task.
        report(cost=upper)
        bound = bound_at(slot, np.minimum(saving, 1.0), start, deadline)
        bound = maximise_bound(slot, bound, upper, 0.1 * self._allowance(upper), deadline)
        margin = rounding_margin(slot, bound)
        report(cost=upper, bound=bound.value - margin)
        if upper - bound.value > self._allowance(upper) and not deadline.passed:
            found, cost, _ = local_search(slot, servers_of_bound(bound), deadline)
            if cost < upper:
                best, upper = found, cost
        proved = bound.value
        if upper - bound.value > self._allowance(upper) and not deadline.passed:
            priced_cost = priced_mode_costs(modes, bound.cpu_price)
            upper = float(costs.cost(best[None])[0])
            undecided = undecided_options(bound, priced_cost, upper + margin)
            with deadline.enforced():
                milp = SharedServersMilp(modes, undecided, bound, costs, best, upper, self._allowance(upper))
            if not deadline.passed:
                proved = milp.prove(deadline)
                best = milp.assignment
        return best, proved - margin

    def _allowance(self, upper: float) -> float:
        """Absolute gap asked for."""
        return max(self.relative_gap, MIN_GAP) * upper


class _Searches:
    """The searches of one call; tasks of slots that were not searched are all local."""

    def __init__(self, solver: SharedServersExact, problem: SharedServersProblem[Any], instances: Instances) -> None:
        self.solver, self.problem, self.instances = solver, problem, instances
        self.assignment = np.zeros((instances.count, problem.tasks), dtype=np.int64)
        self.bound = np.full(instances.count, -np.inf)

    def search(self, row: int, deadline: Deadline) -> None:
        """Prove one slot."""
        self.assignment[row], self.bound[row] = self.solver.prove(self.problem, self.instances.take([row]), deadline)

    def found(self) -> Found:
        """Allocate the resources of all slots."""
        return Found(self.problem.allocate(self.instances, self.assignment), self.bound)
