"""Column generation over the sets of tasks that servers can have: the bound of prices of tasks.

Let ``u_i`` be a price for completing task i. Then every assignment costs at least

    L(u) = sum_i min(u_i, c_i0) + sum_j min over sets S (((L0_j + s(S))^2) / F_j + sum_{i in S} (c_ij - u_i)),

where ``L0`` is a fixed load: each server takes the set that is best for it (`knapsack`), whoever else takes the same
tasks. Prices of servers give ``u_i = min_k (c_ik + 2 s_i v_k)``, from which ``L`` is at least their bound; it is larger
where tasks do not fill a server to just the load that its price asks for. Identical servers have the same set and are
priced once, so that their permutations cost nothing.

``L`` is maximised by column generation (Freling, Romeijn, Romero Morales and Wagelmans 2003, for assignments with
convex costs): a linear programme finds the prices at which all sets so far pay; then each server's best set at prices
between these and the best ones so far is added. The programme's value is an upper bound of ``L``, so that the search
knows when it is done. The sets' fractions in its solution give an assignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.assignment.branch_and_price.knapsack import cheapest_sets
from offloadopt.solvers.assignment.core_milp import CoreCosts
from offloadopt.solvers.assignment.dual_bound import EPS
from offloadopt.solvers.assignment.local_search import assignment_cost, improve
from offloadopt.solvers.highs import Programme

ROUNDS = 400
"""Largest number of linear programmes."""
TOWARDS_BEST = 0.6
"""Weight of the best prices so far in the next ones; the rest is that of the linear programme's."""
TOLERANCE = 0.1
"""Part of the distance between the linear programme and the best bound that the sets of all servers may miss."""
SETS_PER_ROUND, LEAST_SETS, MOST_SETS = 32, 3, 16
"""Number of sets that become columns in one round, divided among the groups of servers; limits for one group."""
MILP_NODES = 50
"""Node limit of the MILP that chooses sets."""
NODE_LIMIT = 20_000_000
"""Largest number of nodes in the search of one server's set."""


TaskSet = tuple[int, NDArray[np.bool_]]
"""A server and the tasks ``[tasks]`` on it."""


def groups_of_columns(core: CoreCosts) -> tuple[IntArray, IntArray, IntArray]:
    """First servers and sizes ``[groups]`` of groups of identical servers, and the group ``[servers]`` of each."""
    cost, _, capacity, fixed_load = core
    columns = np.vstack([cost[:, 1:], capacity, fixed_load])
    _, first, group, size = np.unique(columns, axis=1, return_index=True, return_inverse=True, return_counts=True)
    return first, size, group.ravel()


def task_price_bound(
    core: CoreCosts, price: FloatArray, tolerance: float, deadline: Deadline
) -> tuple[float, list[NDArray[np.bool_]]]:
    """Valid lower bound ``L(u)`` at prices ``u [tasks]``, and the sets ``[number, tasks]`` found for each group.

    ``tolerance`` is what all servers' sets together may miss; it is not part of the bound.
    """
    cost, load, capacity, fixed_load = core
    first, size, _ = groups_of_columns(core)
    paid = np.minimum(price, cost[:, 0])
    bound, magnitude = float(paid.sum()), float(np.abs(paid).sum())
    found, rows = [], min(max(LEAST_SETS, SETS_PER_ROUND // len(first)), MOST_SETS)
    for j, number in zip(first, size, strict=True):
        earned = price - cost[:, 1 + j]
        sets = np.zeros((rows, len(load)), dtype=np.bool_)
        nodes = 0 if deadline.passed else NODE_LIMIT
        least, count = cheapest_sets(earned, load, fixed_load[j], capacity[j], tolerance / len(capacity), nodes, sets)
        alone = fixed_load[j] ** 2 / capacity[j]
        bound += number * (least + alone)
        magnitude += number * (3.0 * alone + np.maximum(earned, 0.0).sum())
        found.append(sets[:count])
    return bound - 4.0 * EPS * (len(load) + len(capacity) + 8) * magnitude, found


def prices_of_tasks(core: CoreCosts, v: FloatArray) -> FloatArray:
    """Prices of tasks ``[tasks]`` at root prices ``v [servers]``: the priced cost of a task's best option."""
    cost, load = core[:2]
    return np.asarray((cost + 2.0 * load[:, None] * np.append(0.0, v)).min(axis=1))


def set_bounds(core: CoreCosts, price: FloatArray) -> FloatArray:
    """Least cost ``[servers]`` of a server's set at prices ``[tasks]``, its fixed load included."""
    cost, load, capacity, fixed_load = core
    first, _, group = groups_of_columns(core)
    no_sets = np.zeros((1, len(load)), dtype=np.bool_)
    least = [
        cheapest_sets(price - cost[:, 1 + j], load, fixed_load[j], capacity[j], 0.0, NODE_LIMIT, no_sets)[0]
        for j in first
    ]
    return np.asarray(np.array(least)[group] + fixed_load**2 / capacity)


@dataclass
class TaskPrices:
    """Best prices so far, ``[tasks]``, with their bound and the best assignment found."""

    price: FloatArray
    bound: float
    assignment: IntArray
    upper: float


class ColumnGeneration:
    """The search for prices of tasks.

    Parameters
    ----------
    core : CoreCosts
    price : array [tasks]
        First prices of the tasks.
    assignment : array [tasks]
        Incumbent; it may take options that the core excludes.
    upper : float
        Its cost.
    sets : list of (int, bool array [tasks])
        Servers and their sets that are the first columns.
    """

    def __init__(
        self, core: CoreCosts, price: FloatArray, assignment: IntArray, upper: float, sets: list[TaskSet]
    ) -> None:
        cost, load, capacity, fixed_load = core
        self.core, (self.first, self.size, self.group) = core, groups_of_columns(core)
        self.sets: list[TaskSet] = []
        self.set_cost: list[float] = []
        self.known: set[tuple[int, bytes]] = set()
        self._weight = np.zeros(0)
        crowded = load[:, None] * (2.0 * (load.sum() + fixed_load) + load[:, None]) / capacity
        highest = np.minimum(cost[:, 0], (cost[:, 1:] + crowded).min(axis=1))
        self.programme = Programme(
            np.append(-np.ones(len(load)), -self.size),
            np.append(cost.min(axis=1), np.full(len(self.first), -float(np.abs(highest).sum()))),
            np.append(highest, np.zeros(len(self.first))),
        )
        self.best = TaskPrices(np.minimum(price, highest), -np.inf, assignment, upper)
        for server, chosen in sets:
            self._add(int(self.group[server]), chosen)

    def search(self, allowance: float, precision: float, deadline: Deadline) -> TaskPrices:
        """Maximise the bound until it is within ``allowance`` of the incumbent or ``precision`` of its limit."""
        best, alone = self.best, float(np.sum(self.core[3] ** 2 / self.core[2]))
        self._price(best.price, TOLERANCE * precision, deadline)
        for _ in range(ROUNDS):
            if best.upper - best.bound <= allowance or deadline.passed:
                return best
            answer = self.programme.solve(deadline)
            if not answer.priced:
                break
            limit, dual = alone - answer.objective, answer.values[: len(best.price)]
            self._weight = np.abs(answer.row_dual)
            if limit - best.bound <= precision:
                break
            tolerance = TOLERANCE * (limit - best.bound)
            between = TOWARDS_BEST * best.price + (1.0 - TOWARDS_BEST) * dual
            if not self._price(between, tolerance, deadline) and not self._price(dual, 0.1 * tolerance, deadline):
                break
        if not deadline.passed:
            self._choose_sets(deadline)
        return best

    def _add(self, number: int, chosen: NDArray[np.bool_]) -> bool:
        """Add a set of tasks as a column of a group of servers if it is new and allowed; return whether it was."""
        cost, load, capacity, fixed_load = self.core
        j, tasks = self.first[number], np.flatnonzero(chosen)
        loaded = fixed_load[j] + load[tasks].sum()
        price = float(cost[tasks, 1 + j].sum() + (loaded**2 - fixed_load[j] ** 2) / capacity[j])
        key = number, chosen.tobytes()
        if key in self.known or not np.isfinite(price):
            return False
        self.known.add(key)
        self.sets.append((int(j), chosen))
        self.set_cost.append(price)
        self.programme.add_row(np.append(tasks, len(load) + number), 1.0, high=price)
        return True

    def _price(self, price: FloatArray, tolerance: float, deadline: Deadline) -> bool:
        """Compute the bound at prices and add its sets; return whether one of them is new."""
        bound, found = task_price_bound(self.core, price, tolerance, deadline)
        if bound > self.best.bound:
            self.best.price, self.best.bound = price, bound
        return any([self._add(number, chosen) for number, sets in enumerate(found) for chosen in sets])

    def fractions(self) -> FloatArray:
        """How far the last linear programme takes each option ``[tasks, groups + 1]``; own CPUs take the rest."""
        taken = np.zeros((len(self.best.price), len(self.first) + 1))
        for (j, chosen), part in zip(self.sets, self._weight, strict=False):  # later sets were not in it
            if part > 0.0:
                taken[chosen, 1 + self.group[j]] += part
        taken[:, 0] = 1.0 - taken.sum(axis=1)
        return taken

    def _choose_sets(self, deadline: Deadline) -> None:
        """Choose among the sets that an assignment cheaper than the incumbent can have, by a set partitioning MILP.

        Its assignment, improved locally, becomes the incumbent where it is cheaper.
        """
        best, (cost, load, _, _) = self.best, self.core
        slack, own = best.upper - best.bound, cost[:, 0]
        local = np.flatnonzero(own - np.minimum(best.price, own) <= slack)
        # There may be no set.
        number = np.array([self.group[j] for j, _ in self.sets], dtype=np.int64)
        member = np.array([chosen for _, chosen in self.sets], dtype=np.bool_).reshape(
            -1, len(load)
        )  # there may be none
        set_cost = np.array(self.set_cost)
        reduced, least = set_cost - member @ best.price, np.zeros(len(self.first))
        np.minimum.at(least, number, reduced)
        kept = np.flatnonzero(reduced - least[number] <= slack)
        columns = len(kept) + len(local)
        programme = Programme(
            np.append(set_cost[kept], own[local]), np.zeros(columns), np.ones(columns), np.arange(columns)
        )
        programme.set_options(mip_max_nodes=MILP_NODES, mip_detect_symmetry=False)
        for i in range(len(load)):
            takes_i = np.append(np.flatnonzero(member[kept, i]), len(kept) + np.flatnonzero(local == i))
            programme.add_row(takes_i, 1.0, 1.0, 1.0)
        for group, size in enumerate(self.size):
            programme.add_row(np.flatnonzero(number[kept] == group), 1.0, high=float(size))
        answer = programme.solve(deadline)
        if not answer.found:
            return
        found = np.zeros(len(load), dtype=np.int64)
        servers = [list(np.flatnonzero(self.group == group)) for group in range(len(self.first))]
        for row in kept[np.flatnonzero(answer.values[: len(kept)] > 0.5)]:
            found[member[row]] = 1 + servers[number[row]].pop()
        improve(*self.core, found, np.arange(len(load)), True)
        upper = float(assignment_cost(*self.core, found))
        if upper < best.upper:
            best.assignment, best.upper = found, upper
