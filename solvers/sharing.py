"""Proved optima of slots in which servers are shared by number and by CPU (`offloadopt.structure.SharedServersProblem`).

A task's cost on a server depends on how many share it, so that a server with each number of users is an option of its
own. Pay and prices give a lower bound (`sharing_bound`), local search on exactly re-allocated cost an incumbent; what
cannot be in a better assignment is fixed away, and a MILP with price cuts closes the rest (`sharing_milp`). A limit
returns the incumbent with the bound proved so far.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.core import FloatArray, Instances, IntArray, Observation, Problem, Progress, Solutions, Solver
from offloadopt.physics.partial import Splitting
from offloadopt.solvers.sharing_bound import Bound, ServerCosts, bound_at, climb, possible, rounding
from offloadopt.solvers.sharing_milp import close_gap
from offloadopt.solvers.slotwise import solve_slots
from offloadopt.structure import AssignmentCosts, SharedServersProblem

CLIMB_STEPS = 400
PRICE_SPREAD = (0.5, 0.8, 1.0, 1.25, 2.0)
"""Candidate prices, relative to the one at which average tasks use up a server's CPU."""


class SharingExact(Solver):
    """Proved optimum of every slot by pay, prices, fixing and a small MILP."""

    name = "exact-sharing"
    serves = SharedServersProblem
    proves = True

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and bound are this close, per slot")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve every slot on its own; the time limit is per slot."""
        self.require(problem)
        if problem.horizon > 1:
            return solve_slots(self, problem, instances, seed, progress)  # type: ignore[arg-type]
        shared: SharedServersProblem[Any] = problem  # type: ignore[assignment]
        count = instances.count
        assignment = np.zeros((count, shared.tasks), dtype=np.int64)
        bound, seconds = np.empty(count), np.empty(count)
        for row in range(count):
            begin = perf_counter()
            one = instances.take([row])
            assignment[row], bound[row] = self.prove(shared, one, begin)
            seconds[row] = perf_counter() - begin
            if progress is not None:
                progress(1)
        decisions = shared.allocate(instances, assignment)
        return Solutions.scored(
            problem, instances, decisions, seconds=seconds, bound=bound, asked_gap=self.relative_gap
        )

    def prove(
        self, problem: SharedServersProblem[Any], instance: Instances, begin: float
    ) -> tuple[IntArray, float]:
        """The assignment ``[tasks]`` of one slot and a lower bound of every assignment's cost."""
        deadline = np.inf if self.time_limit_s is None else begin + self.time_limit_s
        costs, modes = problem.costs(Observation(instance)), problem.sharing(instance).take(0)
        sites = modes.send_s.shape[1]
        best, upper = improve(costs, problem.nearest(instance)[0], problem.servers, deadline)
        charged = charge(modes, candidate_prices(modes))
        start = np.full(problem.tasks, upper / problem.tasks)
        bound = climb(charged, upper, start, CLIMB_STEPS, 0.1 * self._allowance(upper))
        slack = rounding(charged, bound.pay)
        if upper - bound.value > self._allowance(upper):
            open_options = possible(charged, bound, upper + slack)
            best, proved = close_gap(
                modes, charged, open_options, bound, costs, best, upper, self._allowance(upper), deadline
            )
            upper = float(costs.cost(best[None])[0])
            bound = Bound(max(bound.value, proved), bound.pay, bound.terms)
        del sites
        return best, min(bound.value - slack, upper)

    def _allowance(self, upper: float) -> float:
        """Absolute gap that is asked for; less than the rounding of a sum cannot be proved."""
        return max(self.relative_gap, 1e-11) * abs(upper)


def candidate_prices(modes: Splitting) -> FloatArray:
    """Prices of CPU ``[prices, sites, numbers]``: none, and some around what makes average tasks share all of it."""
    tasks, sites, numbers = modes.send_s.shape
    share = modes.cpu_max_hz / np.arange(1, numbers + 1)
    whole = np.ones((), dtype=np.bool_)
    natural = np.median(-modes.slope(whole, np.broadcast_to(share, modes.send_s.shape)), axis=0)
    natural = np.maximum(natural, 0.0)
    del tasks, sites
    return np.concatenate([np.zeros((1, *natural.shape)), np.multiply.outer(np.array(PRICE_SPREAD), natural)])


def charge(modes: Splitting, prices: FloatArray) -> ServerCosts:
    """What serving costs at candidate prices ``[prices, sites, numbers]``, whichever mode is cheaper."""
    tasks = modes.send_s.shape[0]
    charged = np.stack([np.minimum(*mode_charges(modes, price)) for price in prices])
    return ServerCosts(np.ones(tasks), charged, prices * modes.cpu_max_hz)


def mode_charges(modes: Splitting, price: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least cost plus charge ``[tasks, sites, numbers]`` of the balanced split and of everything, at ``[sites, numbers]``.

    Rounding of the CPU that minimises them is of second order: the value is below its true least by less than 1e-15.
    """
    found = []
    for whole in (False, True):
        mode = np.full((), whole)
        cpu = modes.best_cpu(mode, price)
        value = np.where(np.isfinite(modes.send_s), modes.mode_cost(mode, cpu) + price * cpu, np.inf)
        found.append(value)
    return found[0], found[1]


def improve(costs: AssignmentCosts, start: IntArray, options: int, deadline: float) -> tuple[IntArray, float]:
    """Local search from ``start [tasks]``: the best single move or swap while it pays, all evaluated exactly."""
    tasks = len(start)
    best, upper = start, float(costs.cost(start[None])[0])
    while perf_counter() < deadline:
        found, cost = _best_neighbour(costs, _moves(best, options))
        if not cost < upper * (1 - 1e-12):
            found, cost = _best_neighbour(costs, _swaps(best)) if tasks > 1 else (best, upper)
        if not cost < upper * (1 - 1e-12):
            break
        best, upper = found, cost
    return best, upper


def _best_neighbour(costs: AssignmentCosts, candidates: IntArray) -> tuple[IntArray, float]:
    if not len(candidates):
        return np.zeros(0, dtype=np.int64), np.inf
    found = costs.cost(candidates[None])[0]
    number = int(np.argmin(found))
    return candidates[number], float(found[number])


def _moves(assignment: IntArray, options: int) -> IntArray:
    """Every task to every other option."""
    tasks = len(assignment)
    candidates = np.repeat(assignment[None], tasks * (options + 1), axis=0)
    candidates[np.arange(len(candidates)), np.repeat(np.arange(tasks), options + 1)] = np.tile(
        np.arange(options + 1), tasks
    )
    return candidates[(candidates != assignment).any(axis=1)]


def _swaps(assignment: IntArray) -> IntArray:
    """Every two tasks with different options exchange them."""
    one, other = np.triu_indices(len(assignment), 1)
    differ = assignment[one] != assignment[other]
    one, other = one[differ], other[differ]
    candidates = np.repeat(assignment[None], len(one), axis=0)
    rows = np.arange(len(one))
    candidates[rows, one], candidates[rows, other] = assignment[other], assignment[one]
    return candidates
