"""Base class of solvers that assign tasks to servers; the problem allocates all continuous resources."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, cast

import numpy as np

from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    IntArray,
    Observation,
    Problem,
    Progress,
    Solutions,
    Solver,
)
from offloadopt.errors import Unsupported
from offloadopt.interrupts import interrupted
from offloadopt.solvers.base import keep_what_was_found, solve_blocks, solve_slots
from offloadopt.structures.assignment import AssignmentProblem, SlotwiseProblem


class AssignmentSolver(Solver):
    """Base class of assignment solvers: solves blocks of instances, slot by slot where slots are independent.

    Memory is bounded for any number of instances. After Ctrl-C blocks that were not begun are left out.
    """

    serves = AssignmentProblem

    @abstractmethod
    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Compute the assignments of one block.

        Returns
        -------
        array [count, tasks]
            Options: 0 is local, ``j`` is server ``j``.
        array [count] or None
            Proved lower bound of each instance's cost, if the solver proves one.
        """

    def block_size(self, problem: AssignmentProblem[Any]) -> int:
        """Number of instances that are processed at the same time."""
        return max(1, 2**20 // (problem.tasks * (problem.servers + 1)))

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for problems without assignments and for slots that depend on each other."""
        super().require(problem)
        if problem.horizon > 1 and not isinstance(problem, SlotwiseProblem):
            raise Unsupported(f"solver {self.name!r} decides one slot; {problem.name!r} has horizon {problem.horizon}")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Assign tasks, allocate resources by `AssignmentProblem.allocate`, and evaluate."""
        self.require(problem)
        if isinstance(problem, SlotwiseProblem) and problem.horizon > 1:
            return solve_slots(self, problem, instances, seed, progress)
        assigned = cast(AssignmentProblem[Any], problem)

        def solve(block: Instances, rng: np.random.Generator) -> tuple[Decisions, FloatArray | None]:
            if block.count == 0 or interrupted():
                assignment, bound = np.zeros((block.count, assigned.tasks), dtype=np.int64), None
            else:
                assignment, bound = self.assign(assigned, block, rng)
            return assigned.allocate(block, assignment), bound

        size = self.block_size(assigned)
        return keep_what_was_found(partial(solve_blocks, self, problem, instances, size, solve, seed, progress))


def without_missing_links(
    problem: AssignmentProblem[Any], observation: Observation | Instances, assignment: IntArray
) -> IntArray:
    """Replace options over missing links by local computing, so that the cost is finite.

    A link of affinity 0 is missing. Where a gain is so small that the cost of the assignment overflows, all tasks of
    that instance compute locally; this is rare.

    Parameters
    ----------
    problem : AssignmentProblem
    observation : Observation or Instances
    assignment : array [count, tasks]

    Returns
    -------
    array [count, tasks]
    """
    affinity = np.take_along_axis(link_quality(problem, observation), assignment[..., None], axis=-1)[..., 0]
    linked = np.where(affinity > 0, assignment, 0)
    finite = np.isfinite(problem.costs(observation).cost(linked))
    return np.where(finite[:, None], linked, 0)


def link_quality(problem: AssignmentProblem[Any], observation: Observation | Instances) -> FloatArray:
    """Affinity ``[count, tasks, servers + 1]`` of every option in [0, 1]; 0 for local computing and missing links."""
    return np.pad(problem.affinity(observation), ((0, 0), (0, 0), (1, 0)))
