"""Demonstration expert for assignments (Jiang et al., arXiv:2005.12364, section V-B): ranges of size.

Where costs are no `PricedAssignment`, there is no `exact` of this structure, and Lévy search follows after enumeration.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from offloadopt.quantities import Factor, Size
from offloadopt.solvers.assignment.exact import Exact
from offloadopt.solvers.enumeration import MAX_DECISIONS, few
from offloadopt.solvers.expert import EXACT, EXHAUSTIVE, LEVY, SizedExpert
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignmentProblem


class Expert(SizedExpert):
    """Exhaustive, exact or Lévy search, chosen by the numbers of assignments and of tasks times servers."""

    serves = AssignmentProblem

    small: int = Field(20_000, ge=0, le=MAX_DECISIONS, description="largest number of assignments that is enumerated")
    medium: Size = Field(2_000, ge=0, description="largest tasks x servers that is solved exactly")
    bound_gap: Factor = Field(1e-3, ge=0, description="relative gap of the bound for a solver that proves none")

    def by_size(self, problem: AssignmentProblem[Any]) -> str:
        """Choose by the number of assignments, then by tasks times servers."""
        if few(problem.servers + 1, problem.tasks, self.small):
            return EXHAUSTIVE
        exact = isinstance(problem, PricedAssignmentProblem) and problem.tasks * problem.servers <= self.medium
        return EXACT if exact else LEVY

    def prover(self, problem: AssignmentProblem[Any]) -> Exact | None:
        """Bounds from dual prices, for a `PricedAssignmentProblem`."""
        if not isinstance(problem, PricedAssignmentProblem):
            return None
        return Exact(relative_gap=self.bound_gap, **self.limit)
