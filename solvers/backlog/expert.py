"""Demonstration expert for buffers (Jiang et al., arXiv:2005.12364, section V-B): which solver decides.

Powers are continuous, so that nothing is enumerated. Where buffers are independent, `exact` plans each by itself, in
milliseconds without a battery: every size is medium. Where one user's power disturbs the others, all are coupled;
`exact` plans them in turn and leaves a gap of some per cent, and Lévy search decides with the problem's own costs.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from offloadopt.errors import Unsupported
from offloadopt.quantities import Factor
from offloadopt.solvers.backlog.exact import BacklogExact
from offloadopt.solvers.expert import EXACT, LEVY, SizedExpert
from offloadopt.structures.backlog import BacklogProblem


class BacklogExpert(SizedExpert):
    """Exact search in hindsight where buffers are independent, Lévy search where they are not."""

    serves = BacklogProblem
    hindsight = True

    relative_gap: Factor = Field(1e-4, ge=0, description="a decision is optimal when its bound is this close")

    def by_size(self, problem: BacklogProblem[Any]) -> str:
        """Choose by whether the buffers are independent."""
        return EXACT if _independent(problem) else LEVY

    def prover(self, problem: BacklogProblem[Any]) -> BacklogExact | None:
        """Bounds in hindsight, of independent buffers."""
        return BacklogExact(relative_gap=self.relative_gap, **self.limit) if _independent(problem) else None


def _independent(problem: BacklogProblem[Any]) -> bool:
    """Whether no agent's power affects the service of another."""
    try:
        problem.backlog(problem.sample(1, seed=0))
    except Unsupported:
        return False
    return True
