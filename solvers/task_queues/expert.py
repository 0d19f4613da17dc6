"""Demonstration expert for task queues (Jiang et al., arXiv:2005.12364, section V-B): ranges of size."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from offloadopt.quantities import Factor, Size
from offloadopt.solvers.enumeration import MAX_DECISIONS, few
from offloadopt.solvers.expert import EXACT, EXHAUSTIVE, LEVY, SizedExpert
from offloadopt.solvers.task_queues.exact import TaskQueuesExact
from offloadopt.structures.task_queues import TaskQueueProblem


class TaskQueuesExpert(SizedExpert):
    """Exhaustive, exact or Lévy search in hindsight, chosen by the numbers of decisions and of agents times slots.

    At the size of the paper (800 agents times slots) `exact` certifies an annealed decision within its time limit.
    """

    serves = TaskQueueProblem
    hindsight = True

    relative_gap: Factor = Field(
        1e-4, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    small: int = Field(20_000, ge=0, le=MAX_DECISIONS, description="largest number of decisions that is enumerated")
    medium: Size = Field(1_000, ge=0, description="largest agents x slots that `exact` solves")
    bound_gap: Factor = Field(1e-3, ge=0, description="relative gap of the bound for a solver that proves none")

    def by_size(self, problem: TaskQueueProblem[Any]) -> str:
        """Choose by the number of decisions if every agent has tasks in every slot, then by agents times slots."""
        places = problem.num_agents * problem.horizon
        if few(problem.devices * problem.modes, places, self.small):
            return EXHAUSTIVE
        return EXACT if places <= self.medium else LEVY

    def prover(self, problem: TaskQueueProblem[Any]) -> TaskQueuesExact:
        """Bounds in hindsight, within the time limit of `exact`."""
        return TaskQueuesExact(relative_gap=self.bound_gap, **self.limit)
