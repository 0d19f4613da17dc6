"""Rules that give each task to the device where it is expected to cost least, each agent by its own row alone.

Nobody knows what the others choose: an agent supposes that it sends alone, and that queues and batteries are what they
are before the slot. Tang et al. (arXiv:2312.15380) compare with OED, "offload all tasks to EDs", and OMD, "execute all
tasks in MDs"; which of these devices, and how fast, they leave open. Here it is the cheapest one, so that both are as
good as such a policy can be without looking ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from offloadopt.core import Decisions, FloatArray, IntArray, Observation
from offloadopt.solvers.base import Rule
from offloadopt.structures.task_queues import TaskQueueProblem


class TaskQueuesGreedy(Rule):
    """The least expected cost given queue, deadline, battery, chance of success and of staying connected."""

    name = "greedy"
    serves = TaskQueueProblem

    def decide(self, problem: TaskQueueProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """The cheapest target and mode."""
        cost = problem.expected_costs(observation).cost
        return problem.choose(*cheapest(np.where(self.among(problem), cost, np.inf)))

    def among(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """[targets, modes] the options from which the rule chooses."""
        return np.ones((problem.devices, problem.modes), dtype=np.bool_)


class AllEdge(TaskQueuesGreedy):
    """Everything to the devices that have no tasks of their own."""

    name = "all-edge"

    mode: int | None = Field(default=None, ge=0, description="of the processor, 0 the fastest; none: the cheapest")

    def among(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """The last targets."""
        edge = np.arange(problem.devices) >= problem.num_agents
        return edge[:, None] & _only(problem, self.mode)


class AllMobile(AllEdge):
    """Everything to the agents' own devices, to one's own or a neighbour's."""

    name = "all-mobile"

    def among(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """The first targets."""
        mobile = np.arange(problem.devices) < problem.num_agents
        return mobile[:, None] & _only(problem, self.mode)


class FixedFrequency(TaskQueuesGreedy):
    """The cheapest target where everybody always computes in the fastest mode."""

    name = "fixed-frequency"

    def among(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """The fastest mode of all targets."""
        return np.broadcast_to(_only(problem, 0), (problem.devices, problem.modes))


def cheapest(cost: FloatArray) -> tuple[IntArray, IntArray]:
    """Target and mode ``[count, agents]`` of least cost ``[count, agents, targets, modes]``.

    Of equally cheap targets the agents take different ones: each begins to look at its own number.
    """
    by_target = cost.min(axis=-1)
    least = by_target.min(axis=-1, keepdims=True)
    ties = by_target == least
    rank = np.cumsum(ties, axis=-1) - 1
    wanted = np.arange(cost.shape[1]) % ties.sum(axis=-1)
    target = np.argmax(ties & (rank == wanted[..., None]), axis=-1)
    mode = np.argmin(np.take_along_axis(cost, target[..., None, None], axis=2)[:, :, 0], axis=-1)
    return target, mode


def _only(problem: TaskQueueProblem[Any], mode: int | None) -> NDArray[np.bool_]:
    """[modes] the one mode, or all; a slower one than there is means the slowest."""
    modes = np.arange(problem.modes)
    return modes == min(mode, problem.modes - 1) if mode is not None else modes >= 0
