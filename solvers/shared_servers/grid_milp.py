"""`grid-milp`: the optimum on the paper's grid of decisions, slot by slot: what discretisation costs at least."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import Decisions, Instances, Problem, Progress, Solutions, Solver
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.solvers.base import solve_slots
from offloadopt.solvers.models.partial_mobile import GridModel
from offloadopt.solvers.models.solver import engine_named
from offloadopt.solvers.shared_servers.exact import SharedServersExact


class GridMilp(Solver):
    """Best decisions of a `partial_mobile` slot on ``levels`` levels, by a general MILP solver.

    ``details["grid_bound"]`` is the proved lower bound of all decisions on the grid: the model's, for those that
    overload nobody; for the others the continuous optimum plus one penalty, as cutting requests pro rata makes
    shares that are free without it. Only where that is less than the best without overload can an overloaded server
    pay; then the model is solved again with servers that are overloaded by equal requests, and ``grid_bound`` may
    stay below the cost.

    It is no bound of the problem, whose decisions are continuous, so that solutions are `FEASIBLE`. Where the limit
    leaves no solution everybody computes locally, which is on the grid; the distance to ``grid_bound`` then tells.
    """

    name = "grid-milp"
    serves = PartialMobile

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and grid bound are this close, per slot")
    levels: int = Field(5, ge=2, description="levels of each coordinate, K of Algorithm 2")
    pyomo_solver: str = Field("highs", description="any installed Pyomo solver of mixed-integer linear models")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Build and solve one model per slot; the time limit is per slot."""
        self.require(problem)
        mobile = cast(PartialMobile, problem)
        solve, reference = engine_named(self.pyomo_solver), SharedServersExact(relative_gap=1e-6)
        if problem.horizon > 1:
            return solve_slots(self, mobile, instances, seed, progress)
        count, users = instances.count, mobile.tasks
        server, ratio, cpu_hz = (
            np.zeros((count, users), dtype=np.int64),
            np.zeros((count, users)),
            np.zeros((count, users)),
        )
        bound, seconds = np.full(count, -np.inf), np.zeros(count)
        for row in range(count):
            begin = clock()
            instance, found = instances.take([row]), None
            overloaded = mobile.scenario.overload_penalty + reference.prove(mobile, instance, begin)[1]
            for crowds in (False, True):
                model = GridModel(mobile, instance, levels=self.levels, crowds=crowds)
                spent = clock() - begin
                left_s = None if self.time_limit_s is None else max(0.01, self.time_limit_s - spent)
                # Half of the gap is the bound's margin.
                answer = solve(model.pyomo, self.relative_gap / 2, left_s)
                # As `pyomo_models.safe_bound`: valid if the solver erred by its tolerances everywhere.
                proved = answer.bound - 2.0 * answer.tolerance * model.magnitude
                bound[row] = min(max(bound[row], proved), overloaded)
                found = model.decisions() if answer.found else found
                if proved <= overloaded:
                    break
            if found is not None:
                server[row], ratio[row], cpu_hz[row] = found["server"][0], found["ratio"][0], found["cpu_hz"][0]
            seconds[row] = clock() - begin
            if progress is not None:
                progress(1)
        decisions = Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu_hz})
        return Solutions.scored(problem, instances, decisions, seconds=seconds, details={"grid_bound": bound})
