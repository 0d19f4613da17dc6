"""Trainings behind tables and figures: learner, optional demonstrations, learning curve and time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, Instances, Learner, Method, Problem
from offloadopt.datasets.demonstrations import observations_along

Json = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """Result of a training.

    Attributes
    ----------
    policy : Method
    curve : list of mapping
        Everything that the learner recorded, with its ``step``.
    spent : mapping
        ``seconds`` and ``cpu_seconds``, including demonstrations that were collected for the training.
    """

    policy: Any
    curve: list[Json]
    spent: Json


def train(
    problem: Problem[Any],
    learner: Mapping[str, Any],
    demonstrations: Mapping[str, Any] | Demonstrations | None,
    steps: int | None,
    seed: int,
) -> Training:
    """Train a policy and record its learning curve.

    Parameters
    ----------
    problem : Problem
    learner : mapping
        ``name`` and ``settings``.
    demonstrations : mapping or Demonstrations, optional
        Collected beforehand, or ``solver``, ``options``, ``count``, ``seed`` with which they are collected first.
    steps : int, optional
        The budget; by default the learner's own.
    seed : int
    """
    algorithm: Learner = registry.learner(learner["name"], **learner["settings"])
    begin, begin_cpu = time.perf_counter(), time.process_time()
    experts = make_demonstrations(problem, **demonstrations) if isinstance(demonstrations, Mapping) else demonstrations
    curve: list[Json] = []

    def record(step: int, numbers: Mapping[str, float]) -> None:
        curve.append({"step": step, **{name: float(value) for name, value in numbers.items()}})

    policy: Method = algorithm.fit(
        problem, demonstrations=experts, budget=Budget(steps=steps), seed=seed, record=record
    )
    spent = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - begin_cpu}
    return Training(policy, curve, spent)


def make_demonstrations(
    problem: Problem[Any], solver: str, options: Mapping[str, Any], count: int, seed: int
) -> Demonstrations:
    """Collect a solver's solutions in memory, with the observations along their trajectories."""
    return demonstrations_of(problem, problem.sample(count, seed), solver, options, seed)


def demonstrations_of(
    problem: Problem[Any], instances: Instances, solver: str, options: Mapping[str, Any], seed: int
) -> Demonstrations:
    """Collect a solver's solutions of given instances."""
    solutions = registry.solver(solver, problem, **options).run(problem, instances, seed=seed)
    return Demonstrations(instances, observations_along(problem, instances, solutions.decisions), solutions)


def thinned(curve: Sequence[Json], most: int = 400) -> list[Json]:
    """Thin a curve to at most ``most`` evenly spaced points, the last one included."""
    stride = max(1, -(-len(curve) // most))
    return list(curve[::-1][::stride][::-1])
