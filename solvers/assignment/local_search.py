"""Local search over assignments: moves, swaps and ejection chains, with optimal CPU shares for each assignment.

A chain moves a task from server a to b while another task moves from b to c; with c = a it is a swap. The change of
cost follows from the loads of the servers involved, so that each trial takes O(1). The kernels work on one instance:
``cost [tasks, servers + 1]``, ``load [tasks]``, ``capacity`` and ``fixed_load [servers]``, ``assignment [tasks]``.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.kernels import njit
from offloadopt.solvers.assignment.base import AssignmentSolver
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignment, PricedAssignmentProblem

MIN_IMPROVEMENT = 1e-13
"""Relative decrease of cost below which a change is attributed to rounding."""


@njit(cache=True)
def server_loads(load: FloatArray, fixed_load: FloatArray, assignment: IntArray) -> FloatArray:
    """Load ``[servers]`` of the assignment, added to the fixed load."""
    loads = fixed_load.copy()
    for i in range(len(assignment)):
        if assignment[i] > 0:
            loads[assignment[i] - 1] += load[i]
    return loads


@njit(cache=True)
def assignment_cost(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, fixed_load: FloatArray, assignment: IntArray
) -> float:
    """Cost of the assignment, congestion included."""
    loads = server_loads(load, fixed_load, assignment)
    total = 0.0
    for i in range(len(assignment)):
        total += cost[i, assignment[i]]
    for j in range(len(capacity)):
        total += loads[j] * loads[j] / capacity[j]
    return float(total)


@njit(cache=True)
def _congestion_change(loads: FloatArray, capacity: FloatArray, option: int, change: float) -> float:
    """Change of a server's congestion cost when its load changes; 0 for the local option."""
    if option == 0:
        return 0.0
    return float((2.0 * loads[option - 1] + change) * change / capacity[option - 1])


@njit(cache=True)
def _add_load(loads: FloatArray, option: int, change: float) -> None:
    """Add to the load of a server; the local option has none."""
    if option > 0:
        loads[option - 1] += change


@njit(cache=True)
def move_tasks(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, loads: FloatArray, assignment: IntArray, order: IntArray,
    threshold: float,
) -> bool:  # fmt: skip
    """Move each task of ``order`` to its cheapest option, given the others; return whether any was moved.

    ``assignment`` and the ``loads [servers]`` change; moves that save at most ``threshold`` are not made.
    """
    moved = False
    for i in order:
        old, size = assignment[i], load[i]
        departure = _congestion_change(loads, capacity, old, -size) - cost[i, old]
        best, change = old, -threshold
        for k in range(cost.shape[1]):
            if k != old:
                trial = departure + cost[i, k] + _congestion_change(loads, capacity, k, size)
                if trial < change:
                    best, change = k, trial
        if best != old:
            _add_load(loads, old, -size)
            _add_load(loads, best, size)
            assignment[i] = best
            moved = True
    return moved


@njit(cache=True)
def swap_tasks(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, loads: FloatArray, assignment: IntArray, order: IntArray,
    threshold: float,
) -> bool:  # fmt: skip
    """Swap the options of pairs of tasks of ``order`` that save more than ``threshold``; otherwise as `move_tasks`."""
    swapped = False
    for place in range(len(order)):
        i = order[place]
        for other in order[:place]:
            here, there, more = assignment[i], assignment[other], load[other] - load[i]
            if here == there:
                continue
            change = cost[i, there] + cost[other, here] - cost[i, here] - cost[other, there]
            rise = _congestion_change(loads, capacity, here, more)
            change += rise + _congestion_change(loads, capacity, there, -more)
            if change < -threshold:
                _add_load(loads, here, more)
                _add_load(loads, there, -more)
                assignment[i], assignment[other] = there, here
                swapped = True
    return swapped


@njit(cache=True)
def improve(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, fixed_load: FloatArray, assignment: IntArray,
    candidates: IntArray, chains: bool,
) -> None:  # fmt: skip
    """Improve ``assignment`` in place until no move of a candidate task lowers the cost, nor any chain if ``chains``.

    Parameters
    ----------
    candidates : array [some]
        Indices of the tasks that may change their option.
    chains : bool
        Whether ejection chains are tried where no move improves.
    """
    loads = server_loads(load, fixed_load, assignment)
    threshold = MIN_IMPROVEMENT * abs(assignment_cost(cost, load, capacity, fixed_load, assignment))
    improved = True
    while improved:
        improved = move_tasks(cost, load, capacity, loads, assignment, candidates, threshold)
        if improved or not chains:
            continue
        for i in candidates:
            if _apply_chain(cost, load, capacity, loads, assignment, candidates, i, threshold):
                improved = True


@njit(cache=True)
def _apply_chain(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, loads: FloatArray, assignment: IntArray,
    candidates: IntArray, i: int, threshold: float,
) -> bool:  # fmt: skip
    """Apply the first improving chain that moves task ``i`` to another task's server and that task elsewhere."""
    source, size = assignment[i], load[i]
    departure = _congestion_change(loads, capacity, source, -size) - cost[i, source]
    for other in candidates:
        target = assignment[other]
        if target == source:
            continue
        other_size = load[other]
        entry = cost[i, target] - cost[other, target] + _congestion_change(loads, capacity, target, size - other_size)
        for k in range(cost.shape[1]):
            if k == target:
                continue
            if k == source:
                change = (
                    entry - cost[i, source] + cost[other, k] + _congestion_change(loads, capacity, k, other_size - size)
                )
            else:
                change = entry + departure + cost[other, k] + _congestion_change(loads, capacity, k, other_size)
            if change < -threshold:
                _add_load(loads, source, -size)
                _add_load(loads, target, size - other_size)
                _add_load(loads, k, other_size)
                assignment[i], assignment[other] = target, k
                return True
    return False


@njit(cache=True)
def perturb_and_improve(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, fixed_load: FloatArray, assignment: IntArray,
    candidates: IntArray, perturbations: int, rng: np.random.Generator,
) -> IntArray:  # fmt: skip
    """Iterated local search: move three random candidates, improve, and keep the better assignment.

    Parameters
    ----------
    perturbations : int
        Number of iterations.

    Returns
    -------
    array [tasks]
        The best assignment found; ``assignment`` stays as it is.
    """
    best = assignment.copy()
    best_cost = assignment_cost(cost, load, capacity, fixed_load, best)
    for _ in range(perturbations):
        trial = best.copy()
        for _ in range(3):
            i = candidates[rng.integers(0, len(candidates))]
            k = rng.integers(0, cost.shape[1])
            if np.isfinite(cost[i, k]):
                trial[i] = k
        improve(cost, load, capacity, fixed_load, trial, candidates, True)
        trial_cost = assignment_cost(cost, load, capacity, fixed_load, trial)
        if trial_cost < best_cost - MIN_IMPROVEMENT * abs(best_cost):
            best, best_cost = trial, trial_cost
    return best


class LocalSearch(AssignmentSolver):
    """The better of two local optima of `improve`, started all local and with each task's cheapest option if alone.

    Deterministic, without a bound. Run time is quadratic in the number of tasks, because of swaps and chains.
    """

    name = "local-search"
    serves = PricedAssignmentProblem

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Improve both initial assignments of every instance and keep the better result."""
        costs = cast(PricedAssignment, problem.costs(observation))  # checked by `require`
        count, tasks = costs.load.shape
        alone = costs.option_cost.copy()
        alone[..., 1:] += costs.load[..., None] ** 2 / costs.capacity[:, None]
        found = np.stack([np.zeros((count, tasks), dtype=np.int64), np.argmin(alone, axis=-1)], axis=1)
        no_load, all_tasks = np.zeros(problem.servers), np.arange(tasks)
        deadline = Deadline(self.time_limit_s, count)
        for row in range(count):
            if deadline.passed:
                break
            for start in found[row]:
                improve(costs.option_cost[row], costs.load[row], costs.capacity[row], no_load, start, all_tasks, True)
        best = np.argmin(costs.cost(found), axis=-1)
        return np.take_along_axis(found, best[:, None, None], axis=1)[:, 0], None
