"""Drift-plus-penalty for batteries that are not recharged: a joule costs what its battery lacks.

The virtual queue of a battery is the share of its capacity that has been used. Minimising ``v * cost + queue * energy``
slot by slot bounds the drift of the queues' squares plus the penalty (Neely, "Stochastic network optimization with
application to communication and queueing systems", 2010, ch. 4): the lower a battery, the dearer its joules, so that
work moves to those who still have some. It knows neither how long the horizon is nor what others choose; each agent
decides by its own row. ``v`` weighs costs against energy; it is tuned on a sample of its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Problem,
    Progress,
    Scenario,
    Solutions,
)
from offloadopt.solvers.base import Rule
from offloadopt.solvers.task_queues.baselines import cheapest
from offloadopt.solvers.tuning import tune_parameter, tuning_sample
from offloadopt.structures.task_queues import TaskQueueProblem

TUNING_SEED = 431_205_887
"""Of the sample on which ``v`` is tuned; nobody's own instances should be these."""
COARSE = np.logspace(-3.0, 2.0, 11)
"""First round of ``v``, over the energy of a task per unit of its cost."""
FINE_STEPS = 7
"""Second round: so many values between the neighbours of the first round's best."""


class TaskQueuesLyapunov(Rule):
    """The least expected cost, where joules from a battery cost the more the more of it has been used."""

    name = "lyapunov"
    serves = TaskQueueProblem

    v: float | None = Field(
        default=None, gt=0, description="J per unit of cost: a joule from an empty battery costs 1 / v; none: tuned"
    )

    def decide(self, problem: TaskQueueProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """The slot's least drift plus penalty."""
        return _decision(problem, observation, np.asarray(self._chosen_v(problem)))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll out and score; ``v`` stands in the solutions' details. Tuning counts as training, not as time."""
        self.require(problem)
        v = self._chosen_v(problem)
        solutions = super().run(problem, instances, seed=seed, progress=progress)
        return replace(solutions, details={"v": np.full(instances.count, v)})

    def _chosen_v(self, problem: Problem[Any]) -> float:
        return tuned_v(problem) if self.v is None else self.v


def tuned_v(problem: Problem[Any]) -> float:
    """The ``v`` of least mean cost on a fixed sample of the problem, found once for a scenario.

    Two rounds over a logarithmic scale, all values on the same instances.
    """
    return _tuned_v(type(problem), problem.scenario)


def _decision(problem: TaskQueueProblem[Any], observation: Observation, v: FloatArray) -> Decisions:
    """The slot's decisions for one ``v``, or one for each instance ``[count, 1, 1, 1]``."""
    seen = problem.expected_costs(observation)
    queue = seen.used_share[..., None]
    return problem.choose(*cheapest(seen.cost + (queue[:, :, :1] * seen.own_j + queue * seen.target_j) / v))


@lru_cache(maxsize=64)
def _tuned_v(kind: type[TaskQueueProblem[Any]], scenario: Scenario) -> float:
    problem = kind(scenario)
    instances = tuning_sample(problem, TUNING_SEED)
    first = problem.expected_costs(problem.observe(instances, problem.reset(instances)))
    at_home = first.target_j[:, :, 0].sum() / first.cost[:, :, 0].sum()
    coarse = COARSE * (at_home if at_home > 0 else 1.0)

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        return _decision(problem, observation, v[:, None, None, None])

    return tune_parameter(problem, instances, coarse, FINE_STEPS, decide)
