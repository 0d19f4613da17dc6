"""Trainings behind tables and figures: learner, optional demonstrations, learning curve and time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt import registry
from offloadopt.core import Budget, Demonstrations, FloatArray, Instances, Learner, Method, Problem
from offloadopt.datasets.demonstrations import observations_along

Json = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """Result of a training.

    Attributes
    ----------
    policy : Method
    curve : list of mapping
        Everything that the learner recorded, with its ``step`` in the unit of `own_length`.
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
    seconds: float | None = None,
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
        The budget in the unit of `own_length`; by default the learner's own.
    seed : int
    seconds : float, optional
        Limit, from which the time of collecting demonstrations is subtracted.
    """
    algorithm: Learner = registry.learner(learner["name"], **learner["settings"])
    begin, begin_cpu = time.perf_counter(), time.process_time()
    experts = make_demonstrations(problem, **demonstrations) if isinstance(demonstrations, Mapping) else demonstrations
    if seconds is not None:
        seconds = max(seconds - (time.perf_counter() - begin), 0.01 * seconds)
    curve: list[Json] = []

    def record(step: int, numbers: Mapping[str, float]) -> None:
        curve.append(
            {"step": own_step(algorithm, problem, step), **{name: float(value) for name, value in numbers.items()}}
        )

    budget = Budget(None if steps is None else decisions(algorithm, problem, steps), seconds)
    policy: Method = algorithm.fit(problem, demonstrations=experts, budget=budget, seed=seed, record=record)
    spent = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - begin_cpu}
    return Training(policy, curve, spent)


def own_length(learner: Learner) -> int:
    """Length of a training in the learner's own unit, in which papers give it.

    Gradient steps of supervised learners, slots of joint learners, iterations of DIRS (gradient
    steps of pre-training, then slots), decisions of agents of all others.
    """
    for name in ("iterations_in_all", "slots", "steps", "gradient_steps"):
        if hasattr(learner, name):
            return int(getattr(learner, name))
    wrapped: Learner = learner.wrapped  # type: ignore[attr-defined]
    return own_length(wrapped)


def decisions(learner: Learner, problem: Problem[Any], length: int) -> int:
    """Convert a length in the learner's own unit to agents' decisions."""
    return length * learner.default_steps(problem) // own_length(learner)


def records_slots(learner: str) -> bool:
    """Whether a learner records every slot of an episode, and not the episode: those of Stable-Baselines3 do."""
    from offloadopt.learners.sb3.base import Sb3Learner

    return issubclass(registry.get("learners", learner), Sb3Learner)


def decides_jointly(learner: str) -> bool:
    """Whether one network decides for all agents, and is rewarded for all of them together."""
    from offloadopt.learners.sb3.algorithms import CentralSb3Learner

    return issubclass(registry.get("learners", learner), CentralSb3Learner)


def own_step(learner: Learner, problem: Problem[Any], step: int) -> int:
    """Convert agents' decisions in a training to the learner's own unit."""
    if not hasattr(learner, "pretraining"):
        return step * own_length(learner) // learner.default_steps(problem)
    pretraining = learner.pretraining if learner.imitation else 0  # type: ignore[attr-defined]
    minibatch = learner.batch_size * problem.num_agents  # type: ignore[attr-defined]
    if step <= pretraining * minibatch:
        return step // minibatch
    return int(pretraining + (step - pretraining * minibatch) // problem.num_agents)


def make_demonstrations(
    problem: Problem[Any],
    solver: str,
    options: Mapping[str, Any],
    count: int,
    seed: int,
    instances: Instances | None = None,
) -> Demonstrations:
    """Collect a solver's solutions in memory, by default of ``count`` new instances."""
    instances = problem.sample(count, seed) if instances is None else instances
    solutions = registry.solver(solver, problem, **options).run(problem, instances, seed=seed)
    return Demonstrations(instances, observations_along(problem, instances, solutions.decisions), solutions)


def thinned(curve: Sequence[Json], most: int = 400) -> list[Json]:
    """Thin a curve to at most ``most`` evenly spaced points, the last one included."""
    stride = max(1, -(-len(curve) // most))
    return list(curve[::-1][::stride][::-1])


def interval_means(steps: FloatArray, numbers: FloatArray, end: float, most: int) -> Iterator[tuple[float, float]]:
    """Means over ``most`` equal intervals of a training of ``end`` steps, each with the last step of its interval."""
    place = np.maximum(1, np.ceil(steps * most / end)).astype(np.int64)
    for number in np.unique(place):
        yield float(number * end / most), float(numbers[place == number].mean())
