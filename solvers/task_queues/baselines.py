"""Greedy rules for task queues: the option of least expected cost, from each agent's own observation.

The other agents' choices are unknown: an agent assumes that it sends alone, and that queues and batteries are as before
the slot. Tang et al. (arXiv:2312.15380) compare with OED, "offload all tasks to EDs", and OMD, "execute all tasks in
MDs", and leave open which of these devices is chosen, and at which speed. Here it is the option of least expected cost,
so that both baselines are as good as such a policy can be without looking ahead.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from offloadopt.core import Decisions, FloatArray, IntArray, Observation, Problem
from offloadopt.errors import InvalidInput
from offloadopt.solvers.base import Rule
from offloadopt.structures.task_queues import TaskQueueProblem


class TaskQueuesGreedy(Rule):
    """Choose the target and mode of least expected cost, given queue, deadline, battery, success and connection."""

    name = "greedy"
    serves = TaskQueueProblem

    def decide(self, problem: TaskQueueProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Target and mode of least expected cost."""
        cost = problem.expected_costs(observation).cost
        return problem.choose(*cheapest(np.where(self.allowed_options(problem), cost, np.inf)))

    def allowed_options(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """[targets, modes] mask of the options from which the rule chooses."""
        return np.ones((problem.devices, problem.modes), dtype=np.bool_)


class AllEdge(TaskQueuesGreedy):
    """Send every task to an edge device, the one of least expected cost (OED)."""

    name = "all-edge"

    mode: int | None = Field(
        default=None, ge=0, description="mode of the processor, 0 the fastest; none: that of least expected cost"
    )

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also a mode that the processors do not have."""
        super().require(problem)
        modes = cast(TaskQueueProblem[Any], problem).modes
        if self.mode is not None and self.mode >= modes:
            raise InvalidInput(f"mode = {self.mode}; allowed: 0 to {modes - 1}")

    def allowed_options(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """The last targets: devices without tasks of their own."""
        edge = np.arange(problem.devices) >= problem.num_agents
        return edge[:, None] & _mode_mask(problem, self.mode)


class AllMobile(AllEdge):
    """Send every task to a mobile device, the agent's own or a neighbour's (OMD)."""

    name = "all-mobile"

    def allowed_options(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """The first targets: devices of agents."""
        mobile = np.arange(problem.devices) < problem.num_agents
        return mobile[:, None] & _mode_mask(problem, self.mode)


class FixedFrequency(TaskQueuesGreedy):
    """Choose the target of least expected cost with every processor in its fastest mode."""

    name = "fixed-frequency"

    def allowed_options(self, problem: TaskQueueProblem[Any]) -> NDArray[np.bool_]:
        """The fastest mode of every target."""
        return np.broadcast_to(_mode_mask(problem, 0), (problem.devices, problem.modes))


def cheapest(cost: FloatArray) -> tuple[IntArray, IntArray]:
    """Find target and mode ``[count, agents]`` of least cost ``[count, agents, targets, modes]``.

    Ties between targets are broken by the agent's number, so that agents spread over equally cheap targets.
    """
    by_target = cost.min(axis=-1)
    least = by_target.min(axis=-1, keepdims=True)
    ties = by_target == least
    rank = np.cumsum(ties, axis=-1) - 1
    chosen_rank = np.arange(cost.shape[1]) % ties.sum(axis=-1)
    target = np.argmax(ties & (rank == chosen_rank[..., None]), axis=-1)
    mode = np.argmin(np.take_along_axis(cost, target[..., None, None], axis=2)[:, :, 0], axis=-1)
    return target, mode


def _mode_mask(problem: TaskQueueProblem[Any], mode: int | None) -> NDArray[np.bool_]:
    """[modes] mask of one mode, or of all for ``None``."""
    modes = np.arange(problem.modes)
    return modes == mode if mode is not None else modes >= 0
