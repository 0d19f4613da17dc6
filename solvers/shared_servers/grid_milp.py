"""Optimum of `partial_mobile` on the paper's grid of decisions: the least cost of discretised decisions."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import Decisions, Instances, Problem, Progress, Solutions, Solver
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.solvers.base import solve_slots, timed_rows
from offloadopt.solvers.models.partial_mobile import GridModel
from offloadopt.solvers.models.solver import solver_named
from offloadopt.solvers.shared_servers.exact import SharedServersExact


class GridMilp(Solver):
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

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and grid bound are this close, per slot")
    levels: int = Field(5, ge=2, description="levels of each coordinate, K of Algorithm 2")
    pyomo_solver: str = Field("highs", description="any installed Pyomo solver of mixed-integer linear models")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Build and solve one model per slot; the time limit applies to each slot."""
        self.require(problem)
        mobile = cast(PartialMobile, problem)
        solve, reference = solver_named(self.pyomo_solver), SharedServersExact(relative_gap=1e-6)
        if problem.horizon > 1:
            return solve_slots(self, mobile, instances, seed, progress)
        count, users = instances.count, mobile.tasks
        server, ratio, cpu_hz = (
            np.zeros((count, users), dtype=np.int64),
            np.zeros((count, users)),
            np.zeros((count, users)),
        )
        bound, seconds = np.full(count, -np.inf), np.zeros(count)
        for row in timed_rows(seconds, progress):
            begin = clock()
            instance, found = instances.take([row]), None
            overload_bound = mobile.scenario.overload_penalty + reference.prove(mobile, instance, begin)[1]
            for overload in (False, True):
                model = GridModel(mobile, instance, levels=self.levels, overload=overload)
                spent = clock() - begin
                left_s = None if self.time_limit_s is None else max(0.01, self.time_limit_s - spent)
                # Half of the gap is reserved for the margin of the bound.
                result = solve(model.pyomo, self.relative_gap / 2, left_s)
                # As `models.solver.safe_bound`: valid even if every row and reduced cost is wrong by the tolerance.
                proved = result.bound - 2.0 * result.tolerance * model.magnitude
                bound[row] = min(max(bound[row], proved), overload_bound)
                found = model.decisions() if result.found else found
                if proved <= overload_bound:
                    break
            if found is not None:
                server[row], ratio[row], cpu_hz[row] = found["server"][0], found["ratio"][0], found["cpu_hz"][0]
        decisions = Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu_hz})
        return Solutions.scored(problem, instances, decisions, seconds=seconds, details={"grid_bound": bound})
