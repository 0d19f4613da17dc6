"""Demonstration expert for shared servers (Jiang et al., arXiv:2005.12364, section V-B): ranges of size."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from offloadopt.quantities import Factor, Size
from offloadopt.solvers.enumeration import MAX_DECISIONS, few
from offloadopt.solvers.expert import EXACT, EXHAUSTIVE, LEVY, SizedExpert
from offloadopt.solvers.shared_servers.exact import SharedServersExact
from offloadopt.structures.shared_servers import SharedServersProblem


class SharedServersExpert(SizedExpert):
    """Exhaustive, exact or Lévy search, chosen by the numbers of a slot's assignments and of tasks times options."""

    serves = SharedServersProblem

    small: int = Field(20_000, ge=0, le=MAX_DECISIONS, description="largest number of assignments that is enumerated")
    medium: Size = Field(1_000, ge=0, description="largest tasks x servers x modes that is solved exactly")
    bound_gap: Factor = Field(1e-3, ge=0, description="relative gap of the bound for a solver that proves none")

    def by_size(self, problem: SharedServersProblem[Any]) -> str:
        """Choose by the number of a slot's assignments, then by tasks times servers and modes."""
        if few(problem.servers + 1, problem.tasks, self.small):
            return EXHAUSTIVE
        return EXACT if problem.tasks * problem.servers <= self.medium else LEVY

    def prover(self, problem: SharedServersProblem[Any]) -> SharedServersExact:
        """Bounds of the slots from dual prices."""
        return SharedServersExact(relative_gap=self.bound_gap, **self.limit)
