"""Demonstration expert for edge inference (Jiang et al., arXiv:2005.12364, section V-B): ranges of size."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from offloadopt.quantities import Factor, Size
from offloadopt.solvers.enumeration import MAX_DECISIONS, few
from offloadopt.solvers.expert import EXACT, EXHAUSTIVE, LEVY, SizedExpert
from offloadopt.solvers.inference.exact import InferenceExact
from offloadopt.structures.inference import InferenceProblem


class InferenceExpert(SizedExpert):
    """Exhaustive or exact search in hindsight, or Lévy search slot by slot, by the numbers of placements and links."""

    serves = InferenceProblem
    hindsight = True

    small: int = Field(20_000, ge=0, le=MAX_DECISIONS, description="largest number of placements that is enumerated")
    medium: Size = Field(10_000, ge=0, description="largest users x places x slots x servers that is solved exactly")
    bound_gap: Factor = Field(1e-3, ge=0, description="relative gap of the bound for a solver that proves none")

    def by_size(self, problem: InferenceProblem[Any]) -> str:
        """Choose by the number of placements if every place holds a task, then by places times servers."""
        places = problem.num_agents * problem.places * problem.horizon
        if few(problem.servers + 2, places, self.small):
            return EXHAUSTIVE
        return EXACT if places * problem.servers <= self.medium else LEVY

    def prover(self, problem: InferenceProblem[Any]) -> InferenceExact:
        """Bounds in hindsight from prices of servers and batteries."""
        return InferenceExact(relative_gap=self.bound_gap, **self.limit)
