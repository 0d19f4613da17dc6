"""Optimum of `partial_mobile` on the paper's grid of decisions: the least cost of discretised decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, Instances
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.quantities import Factor, Width
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.models.partial_mobile_grid import GridModel
from offloadopt.solvers.models.pyomo_solvers import solver_named
from offloadopt.solvers.shared_servers.exact import SharedServersExact


class GridMilp(InstanceSolver):
    """Best decisions of a `partial_mobile` slot on ``levels`` levels, by a general MILP solver.

    ``details["grid_bound"]`` is a proved lower bound of all decisions on the grid: for decisions without overload that
    of the model; for the others the continuous optimum plus one overload penalty, because the shares that an overloaded
    server assigns pro rata are feasible in the continuous problem without a penalty. Only where the latter bound is the
    lower one can overload reduce the cost; then the model is solved again with servers that are overloaded by equal
    requests, and ``grid_bound`` may stay below the cost.

    ``grid_bound`` is no bound of the problem, whose decisions are continuous; solutions are therefore `FEASIBLE`. If
    the time limit leaves no solution, all tasks compute locally, which is on the grid.
    """

    name = "grid-milp"
    serves = PartialMobile

    relative_gap: Factor = Field(1e-6, ge=0, description="stop once cost and grid bound are this close, per slot")
    levels: Width = Field(5, ge=2, description="levels of each coordinate, K of Algorithm 2")
    pyomo_solver: str = Field("highs", description="any installed Pyomo solver of mixed-integer linear models")

    def searches(self, problem: Any, instances: Instances, seed: int) -> _Searches:
        """Build and solve one model per slot."""
        return _Searches(self, problem, instances)


class _Searches:
    """The searches of one call; users of slots that were not searched compute locally, which is on the grid."""

    def __init__(self, solver: GridMilp, problem: PartialMobile, instances: Instances) -> None:
        self.solver, self.problem, self.instances = solver, problem, instances
        self.solve, self.reference = solver_named(solver.pyomo_solver), SharedServersExact(relative_gap=1e-6)
        shape = instances.count, problem.tasks
        self.server, self.ratio, self.cpu_hz = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)
        self.bound = np.full(instances.count, -np.inf)

    def search(self, row: int, deadline: Deadline) -> None:
        """Solve the model without overload, and with overload where that can reduce the cost."""
        if deadline.passed:
            return
        problem, instance = self.problem, self.instances.take([row])
        _, optimum = self.reference.prove(problem, instance, deadline)
        overload_bound = problem.scenario.overload_penalty + optimum
        for overload in (False, True):
            if deadline.passed:
                break
            with deadline.enforced():
                model = GridModel(problem, instance, levels=self.solver.levels, overload=overload)
            if deadline.passed:
                break
            # Half of the gap is reserved for the margin of the bound.
            result = self.solve(model.pyomo, self.solver.relative_gap / 2, deadline)
            # As `models.solver.safe_bound`: valid even if every row and reduced cost is wrong by the tolerance.
            proved = result.bound - 2.0 * result.tolerance * model.magnitude
            self.bound[row] = min(max(self.bound[row], proved), overload_bound)
            if result.found:
                found = model.decisions()
                self.server[row], self.ratio[row], self.cpu_hz[row] = (
                    found[name][0] for name in ("server", "ratio", "cpu_hz")
                )
            if proved <= overload_bound:
                break

    def found(self) -> Found:
        """Combine the decisions; the bounds hold on the grid only."""
        decisions = Decisions({"server": self.server, "ratio": self.ratio, "cpu_hz": self.cpu_hz})
        return Found(decisions, details={"grid_bound": self.bound})
