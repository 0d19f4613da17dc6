"""Lyapunov drift-plus-penalty for edge inference: a virtual queue prices the energy of each battery.

The virtual queue of a battery is the difference between the largest initial energy of any battery and the energy that
it holds. Minimising ``v * cost + queue * drained energy`` slot by slot bounds the drift of the queues' squares plus the
penalty (Neely, "Stochastic network optimization with application to communication and queueing systems", 2010, ch. 4).
A central controller decides each slot by local search over placements at these prices, with optimal shares of CPUs and
bands. A plan that exceeds a battery is repeated at higher prices of energy. ``v`` weighs cost against energy; it is
tuned on a separate sample.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
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
from offloadopt.solvers.inference.base import (
    InferenceRule,
    instance_tasks,
    plan_within_batteries,
    search_plan,
    slot_decisions,
)
from offloadopt.solvers.inference.resource_allocation import SlotTasks
from offloadopt.solvers.tuning import TunedParameter, tune_parameter
from offloadopt.structures.inference import InferenceProblem

TUNING_SEED = 905_116_873
"""Seed of the sample on which ``v`` is tuned; do not evaluate on it."""
TUNING_SLOTS = 480
"""Number of agents' slots in this sample; each is searched for every value of ``v``."""
COARSE_FACTORS = np.logspace(-3.0, 3.0, 9)
"""First round of ``v``, relative to the largest virtual queue over the cost of a joule."""
FINE_STEPS = 5
"""Second round: number of values between the neighbours of the first round's best value."""


class InferenceLyapunov(InferenceRule):
    """Minimise drift plus penalty: the slot's cost plus energy priced by each battery's virtual queue over ``v``."""

    name = "lyapunov"

    v: float | None = Field(
        default=None,
        gt=0,
        description="J^2 per unit of cost: the price of a joule is the virtual queue over v; none: tuned",
    )

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[SlotTasks, IntArray, FloatArray]:
        """Plan of least drift plus penalty in the slot."""
        return _plan(problem, tasks, held_j, self._chosen_v(problem))

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
    """Find the ``v`` of least mean cost on a fixed sample of the problem; cached by scenario."""
    return _tuned_v(type(problem), problem.scenario).value


def _searched_from_round_robin(slot: SlotTasks, exchanges: bool) -> tuple[IntArray, FloatArray]:
    """Options and shares of a local search that starts from a round-robin assignment to the servers."""
    return search_plan(slot, np.arange(slot.tasks, dtype=np.int64) % slot.servers + 1, exchanges)


def _plan(
    problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray, v: float, coarse: bool = False
) -> tuple[SlotTasks, IntArray, FloatArray]:
    lacking_j = np.maximum(_largest_initial_j(type(problem), problem.scenario) - held_j, 0.0)
    return plan_within_batteries(
        tasks,
        problem.cost_weights,
        lacking_j / v,
        held_j,
        partial(_searched_from_round_robin, exchanges=not coarse),
        coarse,
    )


def _sample(problem: InferenceProblem[Any]) -> Instances:
    return problem.sample(max(4, TUNING_SLOTS // (problem.horizon * problem.num_agents)), TUNING_SEED)


@lru_cache(maxsize=64)
def _largest_initial_j(problem_type: type[InferenceProblem[Any]], scenario: Scenario) -> float:
    """Largest initial energy of a battery in the sample, in J."""
    problem = problem_type(scenario)
    return float(problem.start_j(_sample(problem)).max())


@lru_cache(maxsize=64)
def _tuned_v(problem_type: type[InferenceProblem[Any]], scenario: Scenario) -> TunedParameter:
    begin = clock()
    problem = problem_type(scenario)
    weights = problem.cost_weights
    natural = _largest_initial_j(problem_type, scenario) / (
        weights.per_joule if weights.per_joule > 0 else weights.per_second
    )

    def decide(observation: Observation, v: FloatArray) -> Decisions:
        tasks, held_j = problem.observed_tasks(observation)
        plans = [_plan(problem, instance_tasks(tasks, row), held_j[row], v[row], coarse=True) for row in range(len(v))]
        return slot_decisions(problem, plans)

    v = tune_parameter(problem, _sample(problem), natural * COARSE_FACTORS, FINE_STEPS, decide)
    return TunedParameter(v, clock() - begin)
