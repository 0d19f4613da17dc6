"""What solvers share that choose who computes which task and leave everything continuous to the problem."""

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
    """Solves a one-shot problem block by block, so that memory stays bounded whatever the number of instances.

    Every block has a random stream of its own and a size that does not depend on the number of instances. What an
    instance gets therefore depends on the seed and its position alone: more instances extend fewer.
    """

    serves = AssignmentProblem

    @abstractmethod
    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """The assignment ``[count, tasks]`` of one block and, where one is proved, a lower bound ``[count]``."""

    def block_size(self, problem: AssignmentProblem[Any]) -> int:
        """Number of instances whose working arrays are held at the same time."""
        return max(1, 2**20 // (problem.tasks * (problem.servers + 1)))

    def deadline(self, count: int) -> float:
        """The `offloadopt.clock.clock` reading at which the time of ``count`` instances that start now is over."""
        return np.inf if self.time_limit_s is None else clock() + count * self.time_limit_s

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without assignments, and slots that depend on each other."""
        super().require(problem)
        if problem.horizon > 1 and not isinstance(problem, SlotwiseProblem):
            raise Unsupported(f"solver {self.name!r} decides one slot; {problem.name!r} has horizon {problem.horizon}")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Assign, allocate by `AssignmentProblem.allocate`, and score."""
        self.require(problem)
        if isinstance(problem, SlotwiseProblem) and problem.horizon > 1:
            return solve_slots(self, problem, instances, seed, progress)
        problem = cast(AssignmentProblem[Any], problem)
        if instances.count == 0:
            nothing = np.zeros((0, problem.tasks), dtype=np.int64)
            return Solutions.scored(problem, instances, problem.allocate(instances, nothing), seconds=0.0)
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


def without_dead_links(
    problem: AssignmentProblem[Any], observation: Observation | Instances, assignment: IntArray
) -> IntArray:
    """Tasks whose chosen link does not exist compute locally; the cost is then finite.

    A link of affinity 0 does not exist. Gains so small that the cost overflows are no use either; they are rare enough
    for the whole instance to compute locally.

    Parameters
    ----------
    assignment : array [count, tasks]
    """
    affinity = np.take_along_axis(link_quality(problem, observation), assignment[..., None], axis=-1)[..., 0]
    linked = np.where(affinity > 0, assignment, 0)
    finite = np.isfinite(problem.costs(observation).cost(linked))
    return np.where(finite[:, None], linked, 0)


def link_quality(problem: AssignmentProblem[Any], observation: Observation | Instances) -> FloatArray:
    """[count, tasks, servers + 1] affinity of every option in [0, 1]; 0 for local and for links that do not exist."""
    return np.pad(problem.affinity(observation), ((0, 0), (0, 0), (1, 0)))
