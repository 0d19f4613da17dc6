"""Lyapunov drift-plus-penalty for batteries that are not recharged: a virtual queue prices each battery's energy.

The virtual queue of a battery is the fraction of its capacity that has been used. The
rule minimises ``v * cost + queue * energy`` (`offloadopt.solvers.lyapunov`): the lower a battery, the higher the price
of its energy, so that work moves to devices with more energy left. The rule knows neither the length of the horizon nor
the other agents' choices; each agent decides from its own observation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.core import Decisions, FloatArray, Instances, Observation
from offloadopt.quantities import Tradeoff
from offloadopt.solvers.lyapunov import DriftPlusPenalty
from offloadopt.solvers.task_queues.baselines import cheapest
from offloadopt.structures.task_queues import TaskQueueProblem


class TaskQueuesLyapunov(DriftPlusPenalty):
    """Minimise drift plus penalty: expected cost plus energy priced by the used fraction of each battery."""

    serves = TaskQueueProblem
    tuning_seed = 431_205_887
    coarse_factors = np.logspace(-3.0, 2.0, 11)
    fine_steps = 7

    v: Tradeoff | None = Field(
        default=None, gt=0, description="J per unit of cost: a joule from an empty battery costs 1 / v; none: tuned"
    )

    def minimise(self, problem: TaskQueueProblem[Any], observation: Observation, v: FloatArray) -> Decisions:
        """Targets and modes of least drift plus penalty in the slot."""
        return problem.choose(*cheapest(drift_plus_penalty(problem, observation, v)))

    def reference_v(self, problem: TaskQueueProblem[Any], sample: Instances) -> float:
        """Energy of a locally executed task per unit of its cost."""
        first = problem.expected_costs(problem.observe(sample, problem.reset(sample)))
        energy_j, cost = float(first.target_j[:, :, 0].sum()), float(first.cost[:, :, 0].sum())
        return energy_j / cost if energy_j > 0 and cost > 0 else 1.0


def drift_plus_penalty(problem: TaskQueueProblem[Any], observation: Observation, v: FloatArray) -> FloatArray:
    """Drift over ``v [count]`` plus expected cost of each option, ``[count, agents, targets, modes]``."""
    expected = problem.expected_costs(observation)
    queue = expected.used_share[..., None]
    drift = queue[:, :, :1] * expected.own_j + queue * expected.target_j
    return np.asarray(expected.cost + drift / v[:, None, None, None])
