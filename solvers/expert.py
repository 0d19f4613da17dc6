"""Demonstration experts of DIRS: the solver is chosen by the size of the problem, and its gap is certified.

Jiang et al. (DIRS, arXiv:2005.12364), section V-B, label demonstrations in three ranges of size: exhaustive search for
few decisions, a mixed-integer solver for medium sizes, Lévy flight search with a small beta for large ones. `exact`
takes the place of the mixed-integer solver. Each structure states its ranges in its own ``expert.py``.

Lévy search gives no bound: where the structure has one that is quick at any size, its solutions get that.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from pydantic import Field

from offloadopt import registry
from offloadopt.core import FloatArray, Instances, Problem, Progress, Solutions, Solver
from offloadopt.quantities import Factor

AUTO, EXHAUSTIVE, EXACT, LEVY = "auto", "exhaustive", "exact", "levy"


class SizedExpert(Solver):
    """Base class of experts: exhaustive, exact or Lévy search, chosen by the size of the problem."""

    name = "expert"
    proves = True

    relative_gap: Factor = Field(
        1e-6, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    method: str = Field(AUTO, description=f"{AUTO}: by size; otherwise the name of a solver")
    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent of the search for large problems")

    @abstractmethod
    def by_size(self, problem: Any) -> str:
        """Choose among `EXHAUSTIVE`, `EXACT` and `LEVY`: the one place that states the structure's ranges."""

    def prover(self, problem: Any) -> Solver | None:
        """Solver whose bounds certify solutions of one that proves nothing; by default there is none."""
        return None

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for problems that the chosen solver does not serve."""
        super().require(problem)
        self.choose(problem).require(problem)

    def choose(self, problem: Problem[Any]) -> Solver:
        """Choose the solver by the size of the problem, or take the one of ``method``."""
        name = self.by_size(problem) if self.method == AUTO else self.method
        options = {"beta": self.beta} if self.method == AUTO and name == LEVY else {}
        return registry.solver(name, problem, relative_gap=self.relative_gap, **options, **self.limit)

    @property
    def limit(self) -> dict[str, float]:
        """The time limit as an option of solvers; without one they keep their own."""
        return {} if self.time_limit_s is None else {"time_limit_s": self.time_limit_s}

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve by the chosen solver; ``seconds`` exclude the computation of a bound that it does not prove.

        That computation has half of a time limit.
        """
        self.require(problem)
        solver = self.choose(problem)
        prover = None if solver.proves else self.prover(problem)
        if prover is None:
            return solver.run(problem, instances, seed=seed, progress=progress)
        if self.time_limit_s is not None:
            solver, prover = (each.replace(time_limit_s=self.time_limit_s / 2) for each in (solver, prover))
        found = solver.run(problem, instances, seed=seed, progress=progress)
        bound: FloatArray = prover.run(problem, instances, seed=seed).bound
        return Solutions.scored(
            problem,
            instances,
            found.decisions,
            seconds=found.seconds,
            bound=bound,
            asked_gap=self.relative_gap,
            details=found.details,
        )
