"""Base class of solvers that assign tasks to servers; the problem allocates all continuous resources."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

import numpy as np

from offloadopt.clock import clock
from offloadopt.core import FloatArray, Instances, IntArray, Observation, Problem, Progress, Solutions, Solver
from offloadopt.errors import Unsupported
from offloadopt.solvers.base import solve_slots
from offloadopt.structures.assignment import AssignmentProblem, SlotwiseProblem


class AssignmentSolver(Solver):
    """Base class of assignment solvers: solves blocks of instances, slot by slot where slots are independent.

    Memory is bounded for any number of instances. Every block has its own random stream and a size that does not depend
    on the number of instances: the solution of an instance depends on the seed and on its index alone.
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

    def deadline(self, count: int) -> float:
        """Reading of `offloadopt.clock.clock` at which the time limit of ``count`` instances ends that start now."""
        return np.inf if self.time_limit_s is None else clock() + count * self.time_limit_s

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
        problem = cast(AssignmentProblem[Any], problem)
        if instances.count == 0:
            empty = np.zeros((0, problem.tasks), dtype=np.int64)
            return Solutions.scored(problem, instances, problem.allocate(instances, empty), seconds=0.0)
        size = self.block_size(problem)
        starts = range(0, instances.count, size)
        solutions = []
        for start, stream in zip(starts, np.random.SeedSequence(seed).spawn(len(starts)), strict=True):
            block = instances.take(slice(start, start + size))
            begin = clock()
            assignment, bound = self.assign(problem, block, np.random.default_rng(stream))
            decisions = problem.allocate(block, assignment)
            seconds = (clock() - begin) / block.count
            solutions.append(
                Solutions.scored(problem, block, decisions, seconds=seconds, bound=bound, asked_gap=self.relative_gap)
            )
            if progress is not None:
                progress(block.count)
        return Solutions.concatenate(solutions)


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
