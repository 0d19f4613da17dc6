"""Demonstration expert of DIRS: the solver is chosen by the size of the problem, and its gap is certified.

Jiang et al. (DIRS, arXiv:2005.12364), section V-B, label demonstrations in three ranges of size: exhaustive search for
few assignments, a mixed-integer solver for medium sizes, Lévy flight search with a small beta for large ones. `exact`
replaces the mixed-integer solver here: it proves the same optima as ``method="milp"`` in less time.

Lévy search gives no bound. For a `PricedAssignmentProblem` its solutions get lower bounds from dual prices; for any
other problem the bound, and with it the gap, is missing.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import Field

from offloadopt import registry
from offloadopt.core import Instances, Problem, Progress, Solutions, Solver
from offloadopt.quantities import Factor, Size
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.assignment.exhaustive import Exhaustive
from offloadopt.solvers.assignment.levy import Levy
from offloadopt.solvers.enumeration import MAX_DECISIONS
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignmentProblem

AUTO = "auto"


class Expert(Solver):
    """Exhaustive, exact or Lévy search, chosen by the size of the problem."""

    name = "expert"
    serves = AssignmentProblem
    proves = True

    relative_gap: Factor = Field(
        1e-6, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    method: str = Field(AUTO, description=f"{AUTO}: by size; otherwise the name of a solver")
    small: int = Field(20_000, ge=0, le=MAX_DECISIONS, description="largest number of assignments that is enumerated")
    medium: Size = Field(2_000, ge=0, description="largest tasks x servers that is solved exactly")
    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent of the search for large problems")
    bound_gap: Factor = Field(1e-3, ge=0, description="relative gap of the bound for a solver that proves none")

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for problems that the chosen solver does not serve."""
        super().require(problem)
        self.choose(cast(AssignmentProblem[Any], problem)).require(problem)

    def choose(self, problem: AssignmentProblem[Any]) -> Solver:
        """Choose the solver by the size of the problem, or take the one of ``method``."""
        limits: dict[str, Any] = {"relative_gap": self.relative_gap, "time_limit_s": self.time_limit_s}
        if self.method != AUTO:
            return registry.solver(self.method, problem, **limits)
        if (problem.servers + 1) ** problem.tasks <= self.small:
            return Exhaustive(**limits)
        if isinstance(problem, PricedAssignmentProblem) and problem.tasks * problem.servers <= self.medium:
            return Exact(**limits)
        return Levy(beta=self.beta, **limits)

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve by the chosen solver; ``seconds`` exclude the computation of a bound that it does not prove."""
        self.require(problem)
        solver = self.choose(cast(AssignmentProblem[Any], problem))
        found = solver.run(problem, instances, seed=seed, progress=progress)
        if solver.proves or not isinstance(problem, PricedAssignmentProblem):
            return found
        prover = Exact(relative_gap=self.bound_gap, time_limit_s=self.time_limit_s)
        return Solutions.scored(
            problem,
            instances,
            found.decisions,
            seconds=found.seconds,
            bound=prover.run(problem, instances, seed=seed).bound,
            asked_gap=self.relative_gap,
            details=found.details,
        )
