"""`grid-milp`: the optimum on the paper's grid of decisions, slot by slot: what discretisation costs at least."""

from __future__ import annotations

import time
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.core import Decisions, Instances, Problem, Progress, Solutions, Solver
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.solvers.models.partial_mobile import GridModel
from offloadopt.solvers.pyomo_models import engine_named
from offloadopt.solvers.slotwise import solve_slots


class GridMilp(Solver):
    """Best decisions of a `partial_mobile` slot on ``levels`` levels without overload, by a general MILP solver.

    ``details["grid_bound"]`` is the proved lower bound of all decisions on the grid that overload nobody. It is no
    bound of the problem, whose decisions are continuous, so that solutions are `FEASIBLE`. Where the limit leaves no
    solution everybody computes locally, which is on the grid; the distance to ``grid_bound`` then tells.
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
        solve = engine_named(self.pyomo_solver)
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
            begin = time.perf_counter()
            model = GridModel(mobile, instances.take([row]), levels=self.levels)
            left_s = None if self.time_limit_s is None else max(0.01, self.time_limit_s - (time.perf_counter() - begin))
            answer = solve(model.pyomo, self.relative_gap / 2, left_s)  # half of the gap is the bound's margin
            # As `pyomo_models.safe_bound`: valid if the solver erred by its tolerances everywhere.
            bound[row] = answer.bound - 2.0 * answer.tolerance * model.magnitude
            if answer.found:
                found = model.decisions()
                server[row], ratio[row], cpu_hz[row] = found["server"][0], found["ratio"][0], found["cpu_hz"][0]
            seconds[row] = time.perf_counter() - begin
            if progress is not None:
                progress(1)
        decisions = Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu_hz})
        return Solutions.scored(problem, instances, decisions, seconds=seconds, details={"grid_bound": bound})
