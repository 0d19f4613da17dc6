"""Lyapunov drift-plus-penalty for batteries that are not recharged: a virtual queue prices each battery's energy.

The virtual queue of a battery is the fraction of its capacity that has been used. Minimising
``v * cost + queue * energy`` slot by slot bounds the drift of the queues' squares plus the penalty (Neely, "Stochastic
network optimization with application to communication and queueing systems", 2010, ch. 4): the lower a battery, the
higher the price of its energy, so that work moves to devices with more energy left. The rule knows neither the length
of the horizon nor the other agents' choices; each agent decides from its own observation. ``v`` weighs costs against
energy; it is tuned on a separate sample.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
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
from offloadopt.solvers.tuning import TunedParameter, tune_parameter, tuning_sample
from offloadopt.structures.task_queues import TaskQueueProblem

TUNING_SEED = 431_205_887
"""Seed of the sample on which ``v`` is tuned; do not evaluate on it."""
COARSE_FACTORS = np.logspace(-3.0, 2.0, 11)
"""First round of ``v``, relative to the energy of a locally executed task per unit of its cost."""
FINE_STEPS = 7
"""Second round: number of values between the neighbours of the first round's best value."""


class TaskQueuesLyapunov(Rule):
    """Minimise drift plus penalty: expected cost plus energy priced by the used fraction of each battery."""

    name = "lyapunov"
    serves = TaskQueueProblem

    v: float | None = Field(
        default=None, gt=0, description="J per unit of cost: a joule from an empty battery costs 1 / v; none: tuned"
    )

    def decide(self, problem: TaskQueueProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Targets and modes of least drift plus penalty in the slot."""
        return _decision(problem, observation, np.asarray(self._chosen_v(problem)))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll out and score.

        ``details["v"]`` holds ``v``. ``details["tuning_seconds"]`` holds the time of tuning it, which ``seconds`` leave
        out: the same for every instance, 0 where ``v`` is given.
        """
        self.require(problem)
        tuned = _tuned_v(type(problem), problem.scenario) if self.v is None else TunedParameter(self.v, 0.0)
        solutions = super().run(problem, instances, seed=seed, progress=progress)
        return replace(solutions, details=tuned.details("v", instances.count))

    def _chosen_v(self, problem: Problem[Any]) -> float:
        return tuned_v(problem) if self.v is None else self.v


def tuned_v(problem: Problem[Any]) -> float:
    """Find the ``v`` of least mean cost on a fixed sample of the problem; cached by scenario.

    Two rounds over a logarithmic scale, all values on the same instances.
    """
    return _tuned_v(type(problem), problem.scenario).value


def _decision(problem: TaskQueueProblem[Any], observation: Observation, v: FloatArray) -> Decisions:
    """Decisions of a slot for one ``v``, or one for each instance ``[count, 1, 1, 1]``."""
    expected = problem.expected_costs(observation)
    queue = expected.used_share[..., None]
    return problem.choose(*cheapest(expected.cost + (queue[:, :, :1] * expected.own_j + queue * expected.target_j) / v))


@lru_cache(maxsize=64)
def _tuned_v(problem_type: type[TaskQueueProblem[Any]], scenario: Scenario) -> TunedParameter:
    begin = clock()
    problem = problem_type(scenario)
    instances = tuning_sample(problem, TUNING_SEED)
    first = problem.expected_costs(problem.observe(instances, problem.reset(instances)))
    local_energy_per_cost = first.target_j[:, :, 0].sum() / first.cost[:, :, 0].sum()
    coarse = COARSE_FACTORS * (local_energy_per_cost if local_energy_per_cost > 0 else 1.0)

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        return _decision(problem, observation, v[:, None, None, None])

    v = tune_parameter(problem, instances, coarse, FINE_STEPS, decide)
    return TunedParameter(v, clock() - begin)
