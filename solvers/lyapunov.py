"""Base class of Lyapunov rules: drift plus penalty in every slot, and the tuning of its weight.

Virtual queues measure what a rule must keep within limits in the long run: backlogs, or the energy missing in
batteries. Minimising ``v * cost`` plus the queues' first-order change slot by slot bounds the drift of their squares
plus the penalty, without knowledge of the future (Neely, "Stochastic network optimization with application to
communication and queueing systems", 2010, ch. 4). The mean cost comes within O(1/v) of the least that keeps the queues
stable, while the queues grow as O(v).

A horizon is finite, so that the best ``v`` is found on a separate sample: two rounds on a logarithmic scale.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline, clock
from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Problem,
    Progress,
    Scenario,
    Solutions,
    rollout,
)
from offloadopt.quantities import Tradeoff
from offloadopt.solvers.base import Rule


class DriftPlusPenalty(Rule):
    """Base class of Lyapunov rules; a structure states the minimisation of one slot.

    Attributes
    ----------
    tuning_seed, tuning_decisions : int
        Seed and number of decisions (instances x slots x agents) of the sample on which ``v`` is tuned; do not evaluate
        on it.
    coarse_factors : array [values]
        First round of ``v``, relative to `reference_v`, ascending.
    fine_steps : int
        Second round: number of values between the neighbours of the first round's best value.
    """

    name = "lyapunov"
    tuning_seed: ClassVar[int]
    tuning_decisions: ClassVar[int] = 8_000
    coarse_factors: ClassVar[FloatArray]
    fine_steps: ClassVar[int]

    v: Tradeoff | None = Field(default=None, gt=0, description="weight of cost against the virtual queues; none: tuned")

    @abstractmethod
    def minimise(self, problem: Any, observation: Observation, v: FloatArray) -> Decisions:
        """Decisions of least drift plus penalty in the slot, with ``v [count]`` for each instance."""

    @abstractmethod
    def reference_v(self, problem: Any, sample: Instances) -> float:
        """Value of ``v`` at which cost and drift have about the same weight, by the units of the problem."""

    def minimise_coarsely(self, problem: Any, observation: Observation, v: FloatArray, deadline: Deadline) -> Decisions:
        """Decisions with which values of ``v`` are compared; `minimise` unless that takes too long.

        A slow one raises `TimeoutError` when the deadline passes.
        """
        return self.minimise(problem, observation, v)

    def tuning_sample(self, problem: Problem[Any]) -> Instances:
        """Sample at least 4 instances for tuning."""
        count = max(4, self.tuning_decisions // (problem.horizon * problem.num_agents))
        return problem.sample(count, self.tuning_seed)

    def tuned(self, problem: Problem[Any]) -> tuple[float, float]:
        """Return ``v``, of least mean cost on the sample where it is not given, and the time in s of its tuning.

        The time limit ends the tuning as it ends a search.
        """
        return _tuned(self, type(problem), problem.scenario) if self.v is None else (self.v, 0.0)

    def decide(self, problem: Problem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Minimise drift plus penalty in the slot."""
        return self.minimise(problem, observation, np.full(observation.count, self.tuned(problem)[0]))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll out and score.

        ``details["v"]`` holds ``v``. ``details["tuning_seconds"]`` holds the time of tuning it, which ``seconds`` leave
        out: the same for every instance, 0 where ``v`` is given.
        """
        self.require(problem)
        details = {
            name: np.full(instances.count, value)
            for name, value in zip(("v", "tuning_seconds"), self.tuned(problem), strict=True)
        }
        return replace(super().run(problem, instances, seed=seed, progress=progress), details=details)


@lru_cache(maxsize=64)
def _tuned(rule: DriftPlusPenalty, problem_type: type[Problem[Any]], scenario: Scenario) -> tuple[float, float]:
    begin, deadline = clock(), Deadline(rule.time_limit_s)
    problem = problem_type(scenario)
    sample = rule.tuning_sample(problem)
    coarse = rule.reference_v(problem, sample) * rule.coarse_factors

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        return rule.minimise_coarsely(problem, observation, v, deadline)

    v = tune_parameter(problem, sample, coarse, rule.fine_steps, decide, deadline)
    return v, clock() - begin


def tune_parameter(
    problem: Problem[Any],
    instances: Instances,
    coarse: FloatArray,
    fine_steps: int,
    decide: Callable[[Observation, FloatArray], Decisions],
    deadline: Deadline | None = None,
) -> float:
    """Parameter value of least mean cost on ``instances``.

    Parameters
    ----------
    problem : Problem
    instances : Instances
    coarse : array [values]
        Ascending values of the first round. The second round searches between the neighbours of the best one.
    fine_steps : int
        Number of values in the second round, geometrically spaced.
    decide : callable
        Maps an observation ``[rows, ...]`` and one parameter value per row ``[rows]`` to decisions.
    deadline : Deadline, optional
        When it passes, a round that is not finished is given up: the first one leaves the middle of ``coarse``.
    """
    deadline = Deadline() if deadline is None else deadline

    def best_of(values: FloatArray) -> int:
        if deadline.passed:
            raise TimeoutError
        row_values = np.repeat(values, instances.count)
        repeated = instances.take(np.tile(np.arange(instances.count), len(values)))

        def decide_in_time(observation: Observation) -> Decisions:
            if deadline.passed:
                raise TimeoutError
            return decide(observation, row_values)

        decisions = rollout(problem, repeated, decide_in_time)
        return int(problem.evaluate(repeated, decisions).cost.reshape(len(values), -1).mean(axis=1).argmin())

    found = coarse[len(coarse) // 2]
    with suppress(TimeoutError):
        best = best_of(coarse)
        found = coarse[best]
        fine = np.geomspace(coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)], fine_steps)
        found = fine[best_of(fine)]
    return float(found)
