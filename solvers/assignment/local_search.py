"""Local search over assignments: moves, swaps and ejection chains on exactly re-allocated cost.

A chain takes a task from a to b while another task leaves b for c; with c = a it is a swap. The change of cost follows
from the loads of the servers involved, so each trial costs O(1). One instance at a time, in the units of `pricing`.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.solvers.assignment.base import AssignmentSolver
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignment, PricedAssignmentProblem

SETTLED = 1e-13
"""Relative change of cost below which a move counts as rounding."""


@njit(cache=True)
def server_loads(load: FloatArray, placed: FloatArray, assignment: IntArray) -> FloatArray:
    """[servers] load that is placed already and that of the assignment."""
    loads = placed.copy()
    for i in range(len(assignment)):
        if assignment[i] > 0:
            loads[assignment[i] - 1] += load[i]
    return loads


@njit(cache=True)
def assignment_cost(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, placed: FloatArray, assignment: IntArray
) -> float:
    """Cost of the assignment with the servers' congestion."""
    loads = server_loads(load, placed, assignment)
    total = 0.0
    for i in range(len(assignment)):
        total += cost[i, assignment[i]]
    for j in range(len(capacity)):
        total += loads[j] * loads[j] / capacity[j]
    return float(total)


@njit(cache=True)
def _rise(loads: FloatArray, capacity: FloatArray, option: int, change: float) -> float:
    """Rise of a server's congestion when its load changes; none for the local option."""
    if option == 0:
        return 0.0
    return float((2.0 * loads[option - 1] + change) * change / capacity[option - 1])


@njit(cache=True)
def _shift(loads: FloatArray, option: int, change: float) -> None:
    if option > 0:
        loads[option - 1] += change


@njit(cache=True)
def improve(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    placed: FloatArray,
    assignment: IntArray,
    candidates: IntArray,
    chains: bool,
) -> None:
    """Change ``assignment`` in place until no move (nor chain) of the candidate tasks lowers its cost."""
    options = cost.shape[1]
    loads = server_loads(load, placed, assignment)
    settled = SETTLED * abs(assignment_cost(cost, load, capacity, placed, assignment))
    improved = True
    while improved:
        improved = False
        for i in candidates:
            old, size = assignment[i], load[i]
            leave = _rise(loads, capacity, old, -size) - cost[i, old]
            best, change = old, -settled
            for k in range(options):
                if k != old:
                    trial = leave + cost[i, k] + _rise(loads, capacity, k, size)
                    if trial < change:
                        best, change = k, trial
            if best != old:
                _shift(loads, old, -size)
                _shift(loads, best, size)
                assignment[i] = best
                improved = True
        if improved or not chains:
            continue
        for i in candidates:
            if _chain(cost, load, capacity, loads, assignment, candidates, i, settled):
                improved = True


@njit(cache=True)
def _chain(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    loads: FloatArray,
    assignment: IntArray,
    candidates: IntArray,
    i: int,
    settled: float,
) -> bool:
    """Make the first improving chain that begins with task ``i``: i to another task's place, that task elsewhere."""
    source, size = assignment[i], load[i]
    leave = _rise(loads, capacity, source, -size) - cost[i, source]
    for other in candidates:
        place = assignment[other]
        if place == source:
            continue
        other_size = load[other]
        swap_in = cost[i, place] - cost[other, place] + _rise(loads, capacity, place, size - other_size)
        for k in range(cost.shape[1]):
            if k == place:
                continue
            if k == source:
                change = swap_in - cost[i, source] + cost[other, k] + _rise(loads, capacity, k, other_size - size)
            else:
                change = swap_in + leave + cost[other, k] + _rise(loads, capacity, k, other_size)
            if change < -settled:
                _shift(loads, source, -size)
                _shift(loads, place, size - other_size)
                _shift(loads, k, other_size)
                assignment[i], assignment[other] = place, k
                return True
    return False


@njit(cache=True)
def perturb_and_improve(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    placed: FloatArray,
    assignment: IntArray,
    candidates: IntArray,
    kicks: int,
    rng: np.random.Generator,
) -> IntArray:
    """Iterated local search: three candidates are moved at random, then improved; the better assignment stays."""
    best = assignment.copy()
    least = assignment_cost(cost, load, capacity, placed, best)
    for _ in range(kicks):
        trial = best.copy()
        for _ in range(3):
            i = candidates[rng.integers(0, len(candidates))]
            k = rng.integers(0, cost.shape[1])
            if np.isfinite(cost[i, k]):
                trial[i] = k
        improve(cost, load, capacity, placed, trial, candidates, True)
        reached = assignment_cost(cost, load, capacity, placed, trial)
        if reached < least - SETTLED * abs(least):
            best, least = trial, reached
    return best


class LocalSearch(AssignmentSolver):
    """The better of two local optima of `exchange.improve`, from all-local and from each task's cheapest idle server.

    Deterministic, and without a proof. Time grows with the square of the number of tasks, for swaps and chains.
    """

    name = "local-search"
    serves = PricedAssignmentProblem

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Improve both starts of every instance and keep the cheaper result."""
        costs = cast(PricedAssignment, problem.costs(observation))  # `require` has asked for a priced problem
        count, tasks = costs.load.shape
        alone = costs.option_cost.copy()
        alone[..., 1:] += costs.load[..., None] ** 2 / costs.capacity[:, None]
        found = np.stack([np.zeros((count, tasks), dtype=np.int64), np.argmin(alone, axis=-1)], axis=1)
        nothing, everyone = np.zeros(problem.servers), np.arange(tasks)
        for row in range(count):
            for start in found[row]:
                improve(costs.option_cost[row], costs.load[row], costs.capacity[row], nothing, start, everyone, True)
        best = np.argmin(costs.cost(found), axis=-1)
        return np.take_along_axis(found, best[:, None, None], axis=1)[:, 0], None
