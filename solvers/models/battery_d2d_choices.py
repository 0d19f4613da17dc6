"""Choices of all tasks of a window of `battery_d2d`: their decisions, their costs, and what each cost depends on."""

from __future__ import annotations

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.solvers.task_queues.task_options import SendOption, SendOutcome, Task

Choice = tuple[int, int]
"""Indices of a task's send option and, where it is delivered, of its mode."""


class WindowChoices:
    """Choices of the tasks of one instance.

    Parameters
    ----------
    problem : BatteryD2D
    instance : Instances
        One instance.
    tasks : list of Task
        Its tasks, with their options.
    """

    def __init__(self, problem: BatteryD2D, instance: Instances, tasks: list[Task]) -> None:
        self.problem, self.instance, self.tasks = problem, instance, tasks

    def neighbours(self, held: list[Choice]) -> list[list[Choice]]:
        """Consistent choices that differ in one task at most, those given first."""
        candidates = [held]
        for n, task in enumerate(self.tasks):
            for o, option in enumerate(task.options):
                for k in range(self.problem.modes if option.outcome is SendOutcome.DELIVERED else 1):
                    candidates.append([*held[:n], (o, k), *held[n + 1 :]])
        return [each for each in candidates if self.consistent(each)]

    def consistent(self, choices: list[Choice]) -> bool:
        """Whether the options' numbers of transmitters are those of the choices."""
        chosen = [(task, task.options[o]) for task, (o, _) in zip(self.tasks, choices, strict=True)]
        places = [(task.slot, option.device) for task, option in chosen if option.senders > 0]
        return all(option.senders in (0, places.count((task.slot, option.device))) for task, option in chosen)

    def decisions(self, several: list[list[Choice]]) -> Decisions:
        """Convert choices to decisions, one for each."""
        problem, shape = self.problem, (len(several), self.problem.horizon, self.problem.num_agents)
        device, mode = np.broadcast_to(np.arange(shape[2]), shape).copy(), np.zeros(shape, dtype=np.int64)
        for row, choices in enumerate(several):
            for task, (o, k) in zip(self.tasks, choices, strict=True):
                device[row, task.slot, task.agent], mode[row, task.slot, task.agent] = task.options[o].device, k
        copies = self.instance.take(np.zeros(len(several), dtype=np.int64))
        return problem.choose(problem.target(copies, device), mode)

    def costs(self, several: list[list[Choice]]) -> FloatArray:
        """Costs ``[some, tasks]`` as the problem computes them."""
        copies = self.instance.take(np.zeros(len(several), dtype=np.int64))
        decisions, state, costs = self.decisions(several), self.problem.reset(copies), []
        for slot in range(self.problem.horizon):
            now = decisions if self.problem.horizon == 1 else decisions.at_slot(slot)
            state, outcome = self.problem.step(copies, state, now)
            costs.append(outcome.agent_cost)
        return np.stack(costs, axis=1)[:, [t.slot for t in self.tasks], [t.agent for t in self.tasks]]

    def affecting(self, n: int, choices: list[Choice]) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
        """Columns whose change to 0, and others whose change to 1, may change a task's cost."""
        task, chosen = self.tasks[n], self.tasks[n].options[choices[n][0]]
        touched = {task.agent} | ({chosen.device} if chosen.outcome is SendOutcome.DELIVERED else set())

        def affects(other: Task, option: SendOption) -> bool:
            executes = option.outcome is SendOutcome.DELIVERED and option.device in touched
            return executes or (option.uses_energy and other.agent in touched)

        same: list[tuple[int, ...]] = []
        others: list[tuple[int, int]] = []
        for k, other in enumerate(self.tasks):
            if other.slot > task.slot:
                continue
            o, mode = choices[k]
            if k == n or affects(other, other.options[o]):
                same.append((k, o))
                if other.options[o].outcome is SendOutcome.DELIVERED:
                    same.append((k, other.options[o].device, mode))
            else:
                others += [(k, i) for i, option in enumerate(other.options) if affects(other, option)]
        return same, others
