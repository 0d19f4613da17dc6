"""Lévy flight search over the placement of inference tasks, slot by slot, within the energy in the batteries.

The search is `offloadopt.solvers.levy.GainGuidedLevy` (Jiang et al., arXiv:2005.12364, Algorithm 4). Every
assignment is evaluated with optimal shares of CPUs and bands and with the problem's cost: tasks that miss the time
limit, or for which their user's battery does not suffice, fail. The gain in (25) is the rate over the whole band.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline, clock, steps_until_look
from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, Problem, Progress, Solutions
from offloadopt.kernels import njit
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.quantities import Rounds
from offloadopt.solvers.base import Rule, keep_what_was_found
from offloadopt.solvers.inference.base import (
    feasible_shares,
    instance_tasks,
    optimal_shares,
    plan_cost,
    slot_decisions,
    slot_in_joules,
)
from offloadopt.solvers.inference.resource_allocation import SlotTasks, slot_tasks
from offloadopt.solvers.levy import GainGuidedLevy, best_of
from offloadopt.structures.inference import CostWeights, InferenceProblem


class InferenceLevy(GainGuidedLevy, Rule):
    """Take the best of several Lévy flight searches: the first starts with all tasks local, the others at random."""

    name = "levy"
    serves = InferenceProblem

    generations: Rounds = Field(300, ge=1, description="G, number of generations in a slot")

    def block_size(self, problem: Problem[Any]) -> int:
        """Number of instances whose populations are searched together."""
        places = math.prod(next(iter(problem.decision_fields.values())).shape)
        return max(1, min(super().block_size(problem), 2**17 // (self.population * places)))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Search slot by slot; after Ctrl-C the best of each initial population is taken."""
        return keep_what_was_found(partial(super().run, problem, instances, seed=seed, progress=progress))

    def decide(self, problem: InferenceProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Placement and shares of the best assignment found for each slot."""
        tasks, held_j = problem.observed_tasks(observation)
        count, places = len(held_j), problem.num_agents * problem.places
        deadline = Deadline(self.time_limit_s, count / problem.horizon)
        of_rows = [instance_tasks(tasks, row) for row in range(count)]
        costs = PlaceCosts(of_rows, problem.cost_weights, held_j, deadline)
        quality = _normalised_rates(tasks).reshape(count, places, problem.servers + 1)
        population = rng.spawn(1)[0].integers(0, quality.shape[-1], size=(count, self.population, places))
        population[:, 0] = 0
        population *= tasks.present.reshape(count, 1, places)
        cost = self.improve(costs.cost, quality, population, rng, deadline)
        best = best_of(population, cost)
        return slot_decisions(problem, [costs.plan(row, best[row]) for row in range(count)])


class PlaceCosts:
    """Costs of assignments with optimal shares, for slots with energies ``held_j [count, users]`` in the batteries.

    Tasks are numbered in the order of users and places, including places without a task. What is left when the deadline
    passes has the cost ``inf``.
    """

    def __init__(
        self, tasks: list[InferenceTasks], weights: CostWeights, held_j: FloatArray, deadline: Deadline
    ) -> None:
        self.slots = [slot_tasks(row, weights, np.zeros(len(row.present)), 0.0) for row in tasks]
        self.joules = [slot_in_joules(row, weights) for row in tasks]
        self.present = [np.flatnonzero(row.present) for row in tasks]
        self.held_j, self.deadline = held_j, deadline
        self._at_once = 1

    def cost(self, assignment: IntArray) -> FloatArray:
        """Cost ``[count, population]`` of options ``[count, population, tasks]``: 0 own CPU, j server j."""
        found = np.full(assignment.shape[:2], np.inf)
        for row, (slot, joules, present) in enumerate(zip(self.slots, self.joules, self.present, strict=True)):
            members, done = np.ascontiguousarray(assignment[row][:, present]), 0
            while done < len(members) and not self.deadline.passed:
                part, begin = members[done : done + self._at_once], clock()
                found[row, done : done + len(part)] = _costs(
                    part, slot.first_task, slot.local, slot.remote, joules.local, joules.remote,
                    slot.second_price, slot.limit_s, slot.failure, self.held_j[row],
                )  # fmt: skip
                done += len(part)
                if done > 1:  # the first member is all local at first: quickly evaluated
                    self._at_once = steps_until_look(len(part), clock() - begin)
        return found

    def plan(self, row: int, assignment: IntArray) -> tuple[SlotTasks, IntArray, FloatArray]:
        """Plan of one instance (slot, options, shares) from an assignment ``[tasks]``."""
        option = assignment[self.present[row]]
        return self.slots[row], option, optimal_shares(self.slots[row], option)


@njit(cache=True)
def _costs(
    options: Any, first_task: Any, local: Any, remote: Any, local_j: Any, remote_j: Any, second_price: float,
    limit: float, failure: float, held_j: Any,
) -> Any:  # fmt: skip
    costs = np.empty(len(options))
    for member in range(len(options)):
        shares = feasible_shares(options[member], first_task, local, remote, second_price, limit, failure)
        costs[member] = plan_cost(
            options[member], shares, first_task, local, remote, local_j, remote_j, second_price, failure, held_j,
        )  # fmt: skip
    return costs


def _normalised_rates(tasks: InferenceTasks) -> FloatArray:
    """[count, users, places, servers + 1] rates over whole bands, relative to the task's best; 0 for the own CPU."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log1p(tasks.snr)[:, :, None] / tasks.send_s
        quality = np.where(tasks.present[..., None], rate / rate.max(axis=-1, keepdims=True), 0.0)
    return np.pad(np.nan_to_num(quality), ((0, 0), (0, 0), (0, 0), (1, 0)))
