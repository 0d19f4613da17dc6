"""Lévy flight search over places of inference tasks, slot by slot with what batteries hold.

The search is `assignment.levy.levy_search` (Jiang et al., arXiv:2005.12364, Algorithm 4). Every assignment that it
looks at has its CPUs and bands shared optimally, and costs what the problem charges: tasks that then miss the time
limit, or for which their user's battery does not suffice, fail. The gain that steadies an option in (25) is the whole
band's rate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import Decisions, FloatArray, IntArray, Observation, Problem
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.assignment.levy import levy_search
from offloadopt.solvers.base import Rule
from offloadopt.solvers.inference.base import (
    best_shares_of,
    charged,
    decided,
    joules_of,
    shares_in_time,
    task_row,
)
from offloadopt.solvers.inference.resource_allocation import Slot, slot_of
from offloadopt.structures.inference import CostWeights, InferenceProblem


class InferenceLevy(Rule):
    """The best of some Lévy flights, the first of which starts with every task at home, the others at random."""

    name = "levy"
    serves = InferenceProblem

    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent: 1.1 searches globally, 1.5 locally")
    generations: int = Field(300, ge=1, description="G, rounds of search in a slot")
    population: int = Field(5, ge=1, description="independent searches for each slot")
    threshold: float = Field(0.5, ge=0, description="C, the crossover's threshold")
    local_quality: float = Field(1.0, ge=0, le=1, description="normalised gain that the own CPU counts as in (25)")

    def block_size(self, problem: Problem[Any]) -> int:
        """Instances whose whole population is searched at the same time."""
        places = math.prod(next(iter(problem.decision_fields.values())).shape)
        return max(1, min(super().block_size(problem), 2**17 // (self.population * places)))

    def decide(self, problem: InferenceProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Search from scratch."""
        tasks, held_j = problem.seen(observation)
        count, places = len(held_j), problem.num_agents * problem.places
        costs = PlaceCosts([task_row(tasks, row) for row in range(count)], problem.prices, held_j)
        quality = _quality(tasks).reshape(count, places, problem.servers + 1)
        population = rng.spawn(1)[0].integers(0, quality.shape[-1], size=(count, self.population, places))
        population[:, 0] = 0
        population *= tasks.present.reshape(count, 1, places)
        limit_s = np.inf if self.time_limit_s is None else count * self.time_limit_s / problem.horizon
        cost = levy_search(
            costs.cost,
            quality,
            population,
            rng,
            beta=self.beta,
            generations=self.generations,
            threshold=self.threshold,
            local_quality=self.local_quality,
            deadline=clock() + limit_s,
        )
        best = population[np.arange(count), np.argmin(cost, axis=-1)]
        return decided(problem, [costs.plan(row, best[row]) for row in range(count)])


class PlaceCosts:
    """What places cost, CPUs and bands shared optimally, for slots with batteries that hold ``held_j [count, users]``.

    Tasks count in the order of users and places, also where a place holds none.
    """

    def __init__(self, tasks: list[InferenceTasks], prices: CostWeights, held_j: FloatArray) -> None:
        self.slots = [slot_of(row, prices, np.zeros(len(row.present)), 0.0) for row in tasks]
        self.joules = [joules_of(row, prices) for row in tasks]
        self.there = [np.flatnonzero(row.present) for row in tasks]
        self.held_j = held_j

    def cost(self, assignment: IntArray) -> FloatArray:
        """Cost ``[count, population]`` of options ``[count, population, tasks]``: 0 own CPU, j server j."""
        found = np.zeros(assignment.shape[:2])
        for row, (slot, joules, there) in enumerate(zip(self.slots, self.joules, self.there, strict=True)):
            found[row] = _costs(
                np.ascontiguousarray(assignment[row][:, there]), slot.first, slot.local, slot.away, joules.local,
                joules.away, slot.second, slot.limit_s, slot.failure, self.held_j[row],
            )  # fmt: skip
        return found

    def plan(self, row: int, assignment: IntArray) -> tuple[Slot, IntArray, FloatArray]:
        """The slot of a row with options and shares of an assignment ``[tasks]``."""
        option = assignment[self.there[row]]
        return self.slots[row], option, best_shares_of(self.slots[row], option)


@njit(cache=True)
def _costs(
    options: Any, first: Any, local: Any, away: Any, own_j: Any, away_j: Any, second: float, limit: float,
    failure: float, held_j: Any,
) -> Any:  # fmt: skip
    costs = np.empty(len(options))
    for member in range(len(options)):
        shares = shares_in_time(options[member], first, local, away, second, limit, failure)
        costs[member] = charged(
            options[member], shares, first, local, away, own_j, away_j, second, failure, held_j
        )  # fmt: skip
    return costs


def _quality(tasks: InferenceTasks) -> FloatArray:
    """[count, users, places, servers + 1] rates of whole bands over the task's best one; 0 for the own CPU."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log1p(tasks.snr)[:, :, None] / tasks.send_s
        quality = np.where(tasks.present[..., None], rate / rate.max(axis=-1, keepdims=True), 0.0)
    return np.pad(np.nan_to_num(quality), ((0, 0), (0, 0), (0, 0), (1, 0)))
