"""Exhaustive enumeration of targets and modes, the reference optimum of small windows.

Every target and mode of every task is evaluated by the problem, with all of nature's draws known. No property of the
problem is used, so that `exact` can be checked against it.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, Instances, IntArray, Problem
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.enumeration import digits, enumerate_decisions, require_few
from offloadopt.structures.task_queues import TaskQueueProblem


class TaskQueuesExhaustive(InstanceSolver):
    """Optimum by enumeration of all targets and modes in hindsight, at most 2,000,000 if every agent has tasks.

    The enumeration covers the tasks that arrive. At the time limit the best decision so far is returned, without bound.
    """

    name = "exhaustive"
    serves = TaskQueueProblem
    proves = True
    hindsight = True

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for windows that may have too many decisions."""
        super().require(problem)
        window = cast(TaskQueueProblem[Any], problem)
        require_few(self.name, window.devices * window.modes, window.horizon * window.num_agents, each="each of up to")

    def searches(self, problem: TaskQueueProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Prepare the enumerations; ``details`` will hold the number of decisions ``enumerated``."""
        return _Searches(problem, instances)


class _Searches:
    """The enumerations of one call; tasks of instances without one go to target 0 in the slowest mode."""

    def __init__(self, problem: TaskQueueProblem[Any], instances: Instances) -> None:
        self.problem, self.instances = problem, instances
        shape = (instances.count, problem.horizon, problem.num_agents)
        self.target, self.mode = np.zeros(shape, dtype=np.int64), np.full(shape, problem.modes - 1)
        self.bound, self.enumerated = np.full(instances.count, -np.inf), np.zeros(instances.count, dtype=np.int64)

    def search(self, row: int, deadline: Deadline) -> None:
        """Enumerate the decisions of one instance."""
        problem, instance = self.problem, self.instances.take([row])
        slot, agent = np.nonzero(problem.hindsight_data(instance).arrives[0])
        options = problem.devices * problem.modes

        def choices(numbers: IntArray) -> tuple[IntArray, IntArray]:
            """Targets and modes ``[some, horizon, agents]`` of decisions by number."""
            target, mode = (np.repeat(values[row][None], len(numbers), axis=0) for values in (self.target, self.mode))
            option = digits(numbers, options, len(slot))
            target[:, slot, agent], mode[:, slot, agent] = option // problem.modes, option % problem.modes
            return target, mode

        def decide(numbers: IntArray) -> Decisions:
            return problem.choose(*choices(numbers))

        found = enumerate_decisions(problem, instance, options ** len(slot), decide, deadline)
        if len(found.cost):
            target, mode = choices(np.array([found.best]))
            self.target[row], self.mode[row] = target[0], mode[0]
        self.bound[row], self.enumerated[row] = found.bound, len(found.cost)

    def found(self) -> Found:
        """Combine the decisions."""
        return Found(self.problem.choose(self.target, self.mode), self.bound, {"enumerated": self.enumerated})
