"""Exhaustive enumeration of placements, the reference optimum of small windows of edge inference.

A placement gives each task of the window an option: it fails, runs on its user's CPU, or on a server. All placements
are evaluated by the problem, with the shares of CPUs and bands that are optimal if no battery is exhausted. Their cost
without batteries is a lower bound of the placement. Where the bound lies below the best cost found, as a battery does
not suffice, the placement's shares are optimised within the batteries: the dual of this convex programme, over prices
of each battery's joules, is maximised by L-BFGS-B. Its values are lower bounds, and its last prices give the shares.

`exact` uses neither these programmes nor the enumeration unless its branching leaves a gap, so that it can be checked
against it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from pydantic import Field
from scipy.optimize import fmin_l_bfgs_b

from offloadopt.clock import Deadline
from offloadopt.core import FEASIBILITY_TOLERANCE, Decisions, FloatArray, Instances, IntArray, Problem
from offloadopt.kernels import njit
from offloadopt.progress import report
from offloadopt.quantities import Factor
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.enumeration import digits, enumerate_decisions, margin, require_few
from offloadopt.solvers.inference.base import (
    LIMIT_TOLERANCE,
    slot_in_joules,
    slot_of_horizon,
    sum_by_user,
    task_energies,
)
from offloadopt.solvers.inference.resource_allocation import SlotTasks, allocated_cost, slot_tasks
from offloadopt.structures.inference import InferenceProblem

SPARED = 1e-7
"""Share of each battery that shares leave unused, so that rounding exceeds no battery."""
PRECISION = 1e-10
"""Largest share of a priced battery by which its use misses the target."""
EMPTY_J = 1e-12
"""Energy in J up to which a battery is empty: it is then no unit of prices."""
LOOSER_LIMIT = (1.0 + LIMIT_TOLERANCE) / (1.0 + 0.5 * FEASIBILITY_TOLERANCE)
"""Ratio of the time limits of bounds, above what the problem allows, and of shares, below it."""


class InferenceExhaustive(InstanceSolver):
    """Optimum by enumeration of all placements in hindsight, at most 2,000,000 if every place holds a task.

    The enumeration covers the places that hold a task. At the time limit the best decision so far is returned.
    """

    name = "exhaustive"
    serves = InferenceProblem
    proves = True
    hindsight = True

    relative_gap: Factor = Field(
        1e-6, ge=0, description="shares within batteries are optimal once their cost is this close to the bound"
    )

    def require(self, problem: Problem[Any]) -> None:
        """Raise `Unsupported` for windows that may have too many placements."""
        super().require(problem)
        window = cast(InferenceProblem[Any], problem)
        tasks = window.horizon * window.num_agents * window.places
        require_few(self.name, window.servers + 2, tasks, each="each of up to", made="placements")

    def searches(self, problem: InferenceProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Prepare the enumerations; ``details`` will hold the numbers of placements ``enumerated`` and ``repriced``."""
        return _Searches(problem, instances, self.relative_gap)


class _Searches:
    """The enumerations of one call; tasks of instances without one fail."""

    def __init__(self, problem: InferenceProblem[Any], instances: Instances, relative_gap: float) -> None:
        self.problem, self.instances, self.relative_gap = problem, instances, relative_gap
        shape = (instances.count, problem.horizon, problem.num_agents, problem.places)
        self.server, self.shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
        self.bound = np.full(instances.count, -np.inf)
        self.counts = np.zeros((2, instances.count), dtype=np.int64)

    def search(self, row: int, deadline: Deadline) -> None:
        """Enumerate the placements of one instance, then settle those that a battery changes."""
        window = PlacementWindow(self.problem, self.instances.take([row]))
        found = settle_placements(window, self.relative_gap, deadline)
        self.counts[:, row] = found.enumerated, found.repriced
        self.server[row], self.shares[:, row], self.bound[row] = found.server, found.shares, found.bound

    def found(self) -> Found:
        """Combine the decisions."""
        details = dict(zip(("enumerated", "repriced"), self.counts, strict=True))
        return Found(self.problem.choose(self.server, *self.shares), self.bound, details)


@dataclass(frozen=True)
class Settled:
    """The best of the placements that were enumerated, and a lower bound of all.

    Attributes
    ----------
    server, shares : arrays [horizon, users, places], [2, ...]
    cost, bound : float
    enumerated, repriced : int
        Numbers of placements that were evaluated, and whose shares were optimised within the batteries.
    """

    server: IntArray
    shares: FloatArray
    cost: float
    bound: float
    enumerated: int
    repriced: int


@dataclass(frozen=True)
class _Plans:
    """Servers ``[some, horizon, users, places]``, shares ``[2, some, ...]``, and lower bounds ``[some]``."""

    server: IntArray
    shares: FloatArray
    bound: FloatArray


class PlacementWindow:
    """The slots of one instance, whose tasks are numbered slot by slot."""

    def __init__(self, problem: InferenceProblem[Any], instance: Instances) -> None:
        self.problem, self.instance, self.weights = problem, instance, problem.cost_weights
        every = problem.all_tasks(instance)
        self.of_slot = [slot_of_horizon(every, t) for t in range(problem.horizon)]
        self.unpriced = self.priced(np.zeros(problem.num_agents))
        self.first = np.cumsum([0, *(slot.tasks for slot in self.unpriced)])
        self.tasks, self.options = int(self.first[-1]), problem.servers + 2
        self.placements = self.options**self.tasks
        # The problem's tolerance counts for the energy of each task.
        self.held_j = problem.start_j(instance)[0]
        self.most_j = self.held_j * (1.0 + FEASIBILITY_TOLERANCE * problem.horizon * problem.places)

    def priced(self, price: FloatArray) -> list[SlotTasks]:
        """The slots at prices ``[users]`` of a joule of each battery; shares keep half of the limits' tolerance."""
        return [slot_tasks(tasks, self.weights, price, 0.5 * FEASIBILITY_TOLERANCE) for tasks in self.of_slot]

    @cached_property
    def in_joules(self) -> list[SlotTasks]:
        """The slots with energies drained from the batteries in place of costs."""
        return [slot_in_joules(tasks, self.weights) for tasks in self.of_slot]

    def plans(self, option: IntArray, priced: list[SlotTasks] | None = None) -> _Plans:
        """Optimal shares and bounds of options ``[some, tasks]`` at the slots' prices, by default without any."""
        shape = (len(option), self.problem.horizon, self.problem.num_agents, self.problem.places)
        server, shares, bound = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape)), np.zeros(len(option))
        for t, slot in enumerate(priced or self.unpriced):
            # Successive placements differ in the last slots: others recur.
            different, which = np.unique(option[:, self.first[t] : self.first[t + 1]], axis=0, return_inverse=True)
            cost, share = _allocated_costs(
                different, slot.first_task, slot.local, slot.remote, slot.second_price, slot.limit_s, slot.failure,
                LOOSER_LIMIT,
            )  # fmt: skip
            bound += cost[which.reshape(-1)]
            chosen = different[which.reshape(-1)]
            server[:, t, slot.user, slot.place] = np.maximum(chosen, 0)
            shares[:, :, t, slot.user, slot.place] = np.moveaxis(share[which.reshape(-1)], -1, 0)
        return _Plans(server, np.clip(shares, 0.0, 1.0), bound)

    def decisions(self, plans: _Plans) -> Decisions:
        """Decisions of plans."""
        return self.problem.choose(plans.server, plans.shares[0], plans.shares[1])

    def within_batteries(self, option: IntArray, most: float) -> tuple[_Plans, float, float]:
        """Optimise the shares of options ``[tasks]`` within the batteries: a plan, its cost and its lower bound.

        The search ends where the bound exceeds ``most``.
        """
        best, prices = -np.inf, np.zeros(len(self.held_j))
        unit_j = np.where(self.held_j > EMPTY_J, self.held_j, 1.0)

        def negative_dual(value_of_battery: FloatArray) -> tuple[float, FloatArray]:
            nonlocal best, prices
            prices = value_of_battery / unit_j
            plans = self.plans(option[None], self.priced(prices))
            bound = float(plans.bound[0] - prices @ self.most_j)
            best = best if np.isnan(bound) else max(best, bound)
            if best > most:
                raise _SettledError
            spare = (1.0 - SPARED) * self.held_j - self._drained_j(option, plans)
            return float(prices @ ((1.0 - SPARED) * self.held_j) - plans.bound[0]), spare / unit_j

        with suppress(_SettledError):
            fmin_l_bfgs_b(
                negative_dual, np.zeros(len(prices)), bounds=[(0.0, None)] * len(prices), factr=0.0, pgtol=PRECISION
            )
        plans = self.plans(option[None], self.priced(prices))
        return plans, float(self.problem.evaluate(self.instance, self.decisions(plans)).cost[0]), best

    def _drained_j(self, option: IntArray, plans: _Plans) -> FloatArray:
        """Energy ``[users]`` that a single plan drains."""
        drained = np.zeros(len(self.held_j))
        for t, slot in enumerate(self.in_joules):
            shares = np.moveaxis(plans.shares[:, 0, t, slot.user, slot.place], 0, -1)
            mine = option[self.first[t] : self.first[t + 1]]
            drained += sum_by_user(slot, task_energies(mine, np.ascontiguousarray(shares), slot.local, slot.remote))
        return drained


def settle_placements(window: PlacementWindow, relative_gap: float, deadline: Deadline) -> Settled:
    """Enumerate the placements of a window, then settle those that a battery changes; all tasks fail without any."""
    lower = np.zeros(window.placements)

    def decide(numbers: IntArray) -> Decisions:
        plans = window.plans(digits(numbers, window.options, window.tasks) - 1)
        lower[numbers] = plans.bound
        return window.decisions(plans)

    found = enumerate_decisions(window.problem, window.instance, window.placements, decide, deadline)
    if not len(found.cost):
        none = np.zeros((window.problem.horizon, window.problem.num_agents, window.problem.places))
        return Settled(none.astype(np.int64), np.stack([none, none]), np.inf, -np.inf, 0, 0)
    best = window.plans(digits(np.array([found.best]), window.options, window.tasks) - 1)
    cost, repriced = float(found.cost[found.best]), 0
    # Placements by rising bound, until one is not below the best cost: those after it are not either.
    order = np.argsort(lower, kind="stable") if found.complete else np.zeros(0, dtype=np.int64)
    proved = cost if found.complete else -np.inf
    for number in order:
        allowance = relative_gap * abs(cost)
        if lower[number] >= cost - allowance or deadline.passed:
            proved = min(proved, float(lower[number]))
            break
        report(cost=cost, bound=float(lower[number]))
        option = digits(np.array([number]), window.options, window.tasks) - 1
        within, charged, low = window.within_batteries(option[0], cost - allowance)
        repriced += 1
        proved = min(proved, max(low, float(lower[number])))
        if charged < cost:
            best, cost = within, charged
    bound = min(proved, cost) - margin(cost) if np.isfinite(proved) else -np.inf
    return Settled(best.server[0], best.shares[:, 0], cost, bound, len(found.cost), repriced)


class _SettledError(Exception):
    """The bound of a placement needs no further search."""


@njit(cache=True)
def _allocated_costs(
    options: Any, first_task: Any, local: Any, remote: Any, second_price: float, limit: float, failure: float,
    looser: float,
) -> Any:  # fmt: skip
    """Shares ``[some, tasks, 2]`` of options ``[some, tasks]``, and lower bounds ``[some]``, with failures.

    The bounds hold for a time limit that is ``looser`` times as long.
    """
    costs, shares = np.zeros(len(options)), np.zeros((*options.shape, 2))
    unused = np.zeros(shares.shape[1:])
    rows = first_task, local, remote, second_price
    for number in range(len(options)):
        allocated_cost(options[number], *rows, limit, np.inf, shares[number])
        costs[number] = allocated_cost(options[number], *rows, limit * looser, np.inf, unused)
        for j in range(options.shape[1]):
            costs[number] += failure if options[number, j] < 0 else 0.0
    return costs, shares
