"""Depth-first branch and bound on priced assignments, with prices re-optimised and options fixed at every node.

Meant for the few tasks that reduced-cost fixing leaves open; it stops at a node limit, and what it proved then holds.
Plain loops throughout: they compile several times faster than array expressions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.assignment.dual_bound import maximise_bound, price_bound, reduced_cost
from offloadopt.solvers.assignment.local_search import assignment_cost, improve

IMPROVE_EVERY = 20
"""Nodes between two local searches from a rounded node."""


@njit(cache=True)
def _open_rows(
    left: FloatArray, load: FloatArray, decided: IntArray, open_tasks: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Costs and loads of the tasks that a node has not decided; fills their numbers."""
    count = 0
    for i in range(len(decided)):
        if decided[i] < 0:
            open_tasks[count] = i
            count += 1
    rows, sizes = np.empty((count, left.shape[1])), np.empty(count)
    for row in range(count):
        sizes[row] = load[open_tasks[row]]
        for k in range(left.shape[1]):
            rows[row, k] = left[open_tasks[row], k]
    return rows, sizes


@njit(cache=True)
def _fix_and_round(
    left: FloatArray,
    dearer: FloatArray,
    share: FloatArray,
    open_tasks: IntArray,
    room: float,
    decided: IntArray,
    rounded: IntArray,
) -> tuple[int, float]:
    """Remove options whose reduced cost leaves no room; round the rest to the largest share.

    Returns the row of the most undecided task (-1 if all have one option left) and the least reduced cost removed.
    """
    for i in range(len(decided)):
        rounded[i] = decided[i]
    pick, least_share, removed = -1, 2.0, np.inf
    for row in range(len(dearer)):
        i = open_tasks[row]
        count, top = 0, -1.0
        for k in range(left.shape[1]):
            if dearer[row, k] >= room:
                if left[i, k] < np.inf:
                    removed = min(removed, dearer[row, k])
                    left[i, k] = np.inf
            else:
                count += 1
                if share[row, k] > top:
                    top, rounded[i] = share[row, k], k
        if count > 1 and top < least_share:
            pick, least_share = row, top
    return pick, removed


@njit(cache=True)
def _order_by_share(left: FloatArray, share: FloatArray, order: IntArray) -> int:
    """Fill ``order`` with the options that are left, the largest share first; their number."""
    count = 0
    for k in range(len(left)):
        if left[k] < np.inf:
            place = count
            while place > 0 and share[order[place - 1]] < share[k]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = k
            count += 1
    return count


@njit(cache=True)
def branch_and_bound(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    placed: FloatArray,
    v: FloatArray,
    assignment: IntArray,
    allowance: float,
    cold: float,
    node_limit: int,
) -> tuple[IntArray, float, int]:
    """Best assignment, a lower bound of every assignment, and the number of nodes.

    Parameters
    ----------
    v : array [servers]
        Root prices of the root node.
    assignment : array [tasks]
        A start; what is returned is at least as good.
    allowance : float
        Nodes that cannot improve the cost by more than this are cut.
    cold : float
        Final temperature of the nodes' prices.
    node_limit : int
        The bound is that of the root where the tree is cut short.
    """
    tasks, options = cost.shape
    best = assignment.copy()
    upper = assignment_cost(cost, load, capacity, placed, best)
    everyone, open_tasks = np.arange(tasks), np.empty(tasks, np.int64)
    decided, rounded = np.full(tasks, -1), np.empty(tasks, np.int64)
    # One level per decided task: what is open there, with which prices, which task branches in which order.
    left = np.empty((tasks + 1, tasks, options))
    prices, loads = np.empty((tasks + 1, options - 1)), np.empty((tasks + 1, options - 1))
    order = np.zeros((tasks + 1, options), np.int64)
    branching, width, position = np.zeros((3, tasks + 1), np.int64)
    base = np.zeros(tasks + 1)
    left[0], prices[0], loads[0] = cost, v, placed
    lowest = upper
    depth, nodes, entered = 0, 0, True
    while depth >= 0:
        if entered:
            entered = False
            nodes += 1
            if nodes > node_limit:
                return best, price_bound(cost, load, capacity, placed, v), nodes
            rows, sizes = _open_rows(left[depth], load, decided, open_tasks)
            enough = upper - allowance - base[depth]
            share = np.empty((max(len(rows), 1), options))
            here = maximise_bound(
                rows, sizes, capacity, loads[depth], prices[depth], cold * 1e3, cold, 0.1, enough, share
            )
            bound = base[depth] + price_bound(rows, sizes, capacity, loads[depth], here)
            room = upper - allowance - bound
            if room <= 0.0:
                lowest = min(lowest, bound)
                depth -= 1
                continue
            prices[depth] = here
            dearer = reduced_cost(rows, sizes, here)
            pick, removed = _fix_and_round(left[depth], dearer, share, open_tasks, room, decided, rounded)
            lowest = min(lowest, bound + removed)
            if pick >= 0 and nodes % IMPROVE_EVERY == 1:
                improve(cost, load, capacity, placed, rounded, everyone, True)
            if pick < 0 or nodes % IMPROVE_EVERY == 1:
                reached = assignment_cost(cost, load, capacity, placed, rounded)
                if reached < upper:
                    upper, best = reached, rounded.copy()
            if pick < 0:
                # Every task has one option left, and that leaf has just been scored exactly.
                lowest = min(lowest, upper)
                depth -= 1
                continue
            branching[depth], position[depth] = open_tasks[pick], 0
            width[depth] = _order_by_share(left[depth, open_tasks[pick]], share[pick], order[depth])
        i = branching[depth]
        decided[i] = -1
        if position[depth] == width[depth]:
            depth -= 1
            continue
        k = order[depth, position[depth]]
        position[depth] += 1
        decided[i] = k
        left[depth + 1], prices[depth + 1], loads[depth + 1] = left[depth], prices[depth], loads[depth]
        base[depth + 1] = base[depth] + cost[i, k]
        if k > 0:
            loads[depth + 1, k - 1] += load[i]
        depth += 1
        entered = True
    return best, min(lowest, upper), nodes
