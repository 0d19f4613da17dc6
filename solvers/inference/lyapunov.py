"""Drift-plus-penalty for inference at the edge: a joule costs what its battery lacks, and nobody knows the future.

The virtual queue of a battery is what it lacks of the most that any battery holds at first. Minimising ``v * cost +
queue * drain`` slot by slot bounds the drift of the queues' squares plus the penalty (Neely, "Stochastic network
optimization with application to communication and queueing systems", 2010, ch. 4). A centre decides each slot: local
search over places at these prices, with CPUs and bands shared optimally. A plan for which a battery does not suffice
is made again with dearer joules. ``v`` weighs costs against energy; it is tuned on a sample of its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    IntArray,
    Observation,
    Problem,
    Progress,
    Scenario,
    Solutions,
)
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.inference.base import InferenceRule, decided, searched, task_row, within
from offloadopt.solvers.inference.resource_allocation import Slot
from offloadopt.solvers.tuning import tune_parameter
from offloadopt.structures.inference import InferenceProblem

TUNING_SEED = 905_116_873
"""Of the sample on which ``v`` is tuned; nobody's own instances should be these."""
TUNING_SLOTS = 480
"""Agents' slots in it: each is searched for every value of ``v``."""
COARSE = np.logspace(-3.0, 3.0, 9)
"""First round of ``v``, over what a full queue is per price of a joule."""
FINE_STEPS = 5
"""Second round: so many values between the neighbours of the first round's best."""


class InferenceLyapunov(InferenceRule):
    """The slot's least cost, where joules from a battery cost the more the more it lacks."""

    name = "lyapunov"

    v: float | None = Field(
        default=None, gt=0, description="J^2 per unit of cost: a joule costs what its battery lacks over v; none: tuned"
    )

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[Slot, IntArray, FloatArray]:
        """The slot's least drift plus penalty."""
        return _plan(problem, tasks, held_j, self._chosen_v(problem))

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
    """The ``v`` of least mean cost on a fixed sample of the problem, found once for a scenario."""
    return _tuned_v(type(problem), problem.scenario)


def _search(slot: Slot, exchanges: bool) -> tuple[IntArray, FloatArray]:
    """Options and shares from tasks dealt out to the servers in turn."""
    return searched(slot, np.arange(slot.tasks, dtype=np.int64) % slot.servers + 1, exchanges)


def _plan(
    problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray, v: float, roughly: bool = False
) -> tuple[Slot, IntArray, FloatArray]:
    lacking_j = np.maximum(_most_j(type(problem), problem.scenario) - held_j, 0.0)
    return within(tasks, problem.prices, lacking_j / v, held_j, partial(_search, exchanges=not roughly), roughly)


def _sample(problem: InferenceProblem[Any]) -> Instances:
    return problem.sample(max(4, TUNING_SLOTS // (problem.horizon * problem.num_agents)), TUNING_SEED)


@lru_cache(maxsize=64)
def _most_j(kind: type[InferenceProblem[Any]], scenario: Scenario) -> float:
    """What the fullest battery of the sample holds at first."""
    problem = kind(scenario)
    return float(problem.start_j(_sample(problem)).max())


@lru_cache(maxsize=64)
def _tuned_v(kind: type[InferenceProblem[Any]], scenario: Scenario) -> float:
    problem = kind(scenario)
    prices = problem.prices
    natural = _most_j(kind, scenario) / (prices.per_joule if prices.per_joule > 0 else prices.per_second)

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        tasks, held_j = problem.seen(observation)
        plans = [_plan(problem, task_row(tasks, row), held_j[row], v[row], roughly=True) for row in range(len(v))]
        return decided(problem, plans)

    return tune_parameter(problem, _sample(problem), natural * COARSE, FINE_STEPS, decide)
