"""A rule's one number, tuned on a sample of its own: two rounds over a logarithmic scale, all values on one sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances, Observation, Problem, rollout
from offloadopt.structures.agents import AgentProblem

SLOTS = 8_000
"""Agents' slots in a sample."""


def tuning_sample(problem: AgentProblem[Any], seed: int) -> Instances:
    """Instances to tune on; nobody's own should have this seed."""
    return problem.sample(max(4, SLOTS // (problem.horizon * problem.num_agents)), seed)


def for_each(instances: Instances, values: FloatArray) -> tuple[FloatArray, Instances]:
    """Every instance under every value: the values ``[values * count]``, and the instances again and again."""
    return np.repeat(values, instances.count), instances.take(np.tile(np.arange(instances.count), len(values)))


def tuned(
    problem: Problem[Any],
    instances: Instances,
    coarse: FloatArray,
    fine_steps: int,
    decide: Callable[[Observation, FloatArray], Decisions],
) -> float:
    """The value of least mean cost.

    Parameters
    ----------
    coarse : array
        Of the first round, in order. The second looks between the neighbours of the best one.
    fine_steps : int
        Values of the second round.
    decide : callable
        Decides under an observation ``[rows, ...]`` with one value a row, ``[rows]``.
    """

    def best_of(values: FloatArray) -> int:
        each, many = for_each(instances, values)
        decisions = rollout(problem, many, lambda seen: decide(seen, each))
        return int(problem.evaluate(many, decisions).cost.reshape(len(values), -1).mean(axis=1).argmin())

    best = best_of(coarse)
    fine = np.geomspace(coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)], fine_steps)
    return float(fine[best_of(fine)])
