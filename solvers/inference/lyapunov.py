"""Lyapunov drift-plus-penalty for edge inference: a virtual queue prices the energy of each battery.

The virtual queue of a battery is the difference between the largest initial energy of any battery and the energy that
it holds. The rule minimises ``v * cost + queue * drained energy`` (`offloadopt.solvers.lyapunov`). A central
controller decides each slot by local search over placements at these prices, with optimal shares of CPUs and bands. A
plan that exceeds a battery is repeated at higher prices of energy.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, Scenario
from offloadopt.quantities import Tradeoff
from offloadopt.solvers.inference.base import instance_tasks, plan_within_batteries, search_plan, slot_decisions
from offloadopt.solvers.inference.resource_allocation import SlotTasks
from offloadopt.solvers.lyapunov import DriftPlusPenalty
from offloadopt.structures.inference import InferenceProblem


class InferenceLyapunov(DriftPlusPenalty):
    """Minimise drift plus penalty: the slot's cost plus energy priced by each battery's virtual queue over ``v``."""

    serves = InferenceProblem
    tuning_seed = 905_116_873
    tuning_decisions = 480  # each is searched for every value of v
    coarse_factors = np.logspace(-3.0, 3.0, 9)
    fine_steps = 5

    v: Tradeoff | None = Field(
        default=None,
        gt=0,
        description="J^2 per unit of cost: the price of a joule is the virtual queue over v; none: tuned",
    )

    def minimise(self, problem: InferenceProblem[Any], observation: Observation, v: FloatArray) -> Decisions:
        """Plans of least drift plus penalty in the slot."""
        return self._plan(problem, observation, v)

    def minimise_coarsely(
        self, problem: InferenceProblem[Any], observation: Observation, v: FloatArray, deadline: Deadline
    ) -> Decisions:
        """Plans by a search without exchanges at few prices."""
        return self._plan(problem, observation, v, deadline)

    def reference_v(self, problem: InferenceProblem[Any], sample: Instances) -> float:
        """Largest virtual queue over the cost of a joule."""
        weights = problem.cost_weights
        return self._largest_initial_j(problem) / (weights.per_joule if weights.per_joule > 0 else weights.per_second)

    def _plan(
        self, problem: InferenceProblem[Any], observation: Observation, v: FloatArray, tuning: Deadline | None = None
    ) -> Decisions:
        """Plans of the slot, coarse ones where ``v`` is tuned until a deadline."""
        tasks, held_j = problem.observed_tasks(observation)
        price = np.maximum(self._largest_initial_j(problem) - held_j, 0.0) / v[:, None]
        coarse = tuning is not None
        # An instance has the time limit for all its slots, as the tuning has for all of its instances.
        share = 1.0 / (problem.horizon * (len(v) if coarse else 1))

        def plan(row: int) -> tuple[SlotTasks, IntArray, FloatArray]:
            if tuning is not None and tuning.passed:
                raise TimeoutError
            deadline = Deadline(self.time_limit_s, share)
            planner = partial(_searched_from_round_robin, exchanges=not coarse, deadline=deadline)
            return plan_within_batteries(
                instance_tasks(tasks, row), problem.cost_weights, price[row], held_j[row], planner, coarse, deadline
            )

        return slot_decisions(problem, [plan(row) for row in range(len(v))])

    def _largest_initial_j(self, problem: InferenceProblem[Any]) -> float:
        return _largest_initial_j(self, type(problem), problem.scenario)


@lru_cache(maxsize=64)
def _largest_initial_j(rule: InferenceLyapunov, problem_type: type[InferenceProblem[Any]], scenario: Scenario) -> float:
    """Largest initial energy of a battery in the tuning sample, in J."""
    problem = problem_type(scenario)
    return float(problem.start_j(rule.tuning_sample(problem)).max())


def _searched_from_round_robin(slot: SlotTasks, exchanges: bool, deadline: Deadline) -> tuple[IntArray, FloatArray]:
    """Options and shares of a local search that starts from a round-robin assignment to the servers."""
    start = np.arange(slot.tasks, dtype=np.int64) % slot.servers + 1
    return search_plan(slot, start, exchanges, deadline)
