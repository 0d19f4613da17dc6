"""The expert that fits a problem's size, always with a certified gap.

Jiang et al. (DIRS, arXiv:2005.12364), section V-B, label demonstrations in three ranges: exhaustive search while there
are few assignments, a mixed-integer solver for medium sizes, Lévy flight search with a small beta for large ones.
`exact` takes the medium range here: it proves the same optima as the MILP solver (``method="milp"``), faster.

Lévy search proves nothing, so its decisions are measured against lower bounds from prices. They bound a
`PricedAssignmentProblem` alone; for any other the bound, and with it the gap, is missing.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import Field

from offloadopt import registry
from offloadopt.core import Instances, Problem, Progress, Solutions, Solver
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.assignment.exhaustive import MAX_ASSIGNMENTS, Exhaustive
from offloadopt.solvers.assignment.levy import Levy
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignmentProblem

AUTO = "auto"


class Expert(Solver):
    """Exhaustive, exact or Lévy search, by the size of the problem."""

    name = "expert"
    serves = AssignmentProblem
    proves = True

    relative_gap: float = Field(
        1e-6, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    method: str = Field(AUTO, description=f"{AUTO}: by size; or a solver's name")
    small: int = Field(20_000, ge=0, le=MAX_ASSIGNMENTS, description="enumerate up to so many assignments")
    medium: int = Field(2_000, ge=0, description="solve exactly up to so many tasks x servers")
    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent of the search for large problems")
    bound_gap: float = Field(1e-3, ge=0, description="how near a bound is sought for an expert that proves none")

    def require(self, problem: Problem[Any]) -> None:
        """Refuse what the chosen solver does not serve."""
        super().require(problem)
        self.choose(cast(AssignmentProblem[Any], problem)).require(problem)

    def choose(self, problem: AssignmentProblem[Any]) -> Solver:
        """The solver for the problem's size, or the one asked for."""
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
        """Solve by the chosen expert; ``seconds`` are its own, without those spent on bounds that it does not prove."""
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
