"""Grid search for the one parameter of a rule: two rounds on a logarithmic scale, on a sample kept for tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances, Observation, Problem, rollout
from offloadopt.structures.agents import AgentProblem

SAMPLE_SIZE = 8_000
"""Number of decisions (instances x slots x agents) in a tuning sample."""


@dataclass(frozen=True)
class TunedParameter:
    """Value of a rule's parameter, and the time in s of its tuning (without compilation, see `offloadopt.clock`)."""

    value: float
    tuning_seconds: float

    def details(self, name: str, count: int) -> dict[str, FloatArray]:
        """Details of solutions ``[count]``: the value under ``name``, and ``tuning_seconds``."""
        return {name: np.full(count, self.value), "tuning_seconds": np.full(count, self.tuning_seconds)}


def tuning_sample(problem: AgentProblem[Any], seed: int) -> Instances:
    """Sample instances for tuning; ``seed`` should differ from the seeds of the instances to be solved."""
    return problem.sample(max(4, SAMPLE_SIZE // (problem.horizon * problem.num_agents)), seed)


def pair_values_with_instances(instances: Instances, values: FloatArray) -> tuple[FloatArray, Instances]:
    """Pair every parameter value with every instance.

    Returns
    -------
    array [values * count]
        Each value repeated ``count`` times.
    Instances
        ``values * count`` rows: the instances, repeated for each value.
    """
    return np.repeat(values, instances.count), instances.take(np.tile(np.arange(instances.count), len(values)))


def tune_parameter(
    problem: Problem[Any],
    instances: Instances,
    coarse: FloatArray,
    fine_steps: int,
    decide: Callable[[Observation, FloatArray], Decisions],
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
    """

    def best_of(values: FloatArray) -> int:
        row_values, repeated = pair_values_with_instances(instances, values)
        decisions = rollout(problem, repeated, lambda observation: decide(observation, row_values))
        return int(problem.evaluate(repeated, decisions).cost.reshape(len(values), -1).mean(axis=1).argmin())

    best = best_of(coarse)
    fine = np.geomspace(coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)], fine_steps)
    return float(fine[best_of(fine)])
