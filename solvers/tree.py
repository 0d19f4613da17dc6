"""Depth-first branch and bound on priced assignments, with prices re-optimised and options fixed at every node.

Meant for the few tasks that reduced-cost fixing leaves open; it stops at a node limit, and what it proved then holds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.exchange import assignment_cost, improve
from offloadopt.solvers.pricing import maximise_bound, price_bound, reduced_cost

IMPROVE_EVERY = 20
"""Nodes between two local searches from a rounded node."""


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
    everyone = np.arange(tasks)
    # One level per decided task: what is open there, with which prices, which task branches in which order.
    left = np.empty((tasks + 1, tasks, options))
    prices = np.empty((tasks + 1, options - 1))
    loads = np.empty((tasks + 1, options - 1))
    base = np.zeros(tasks + 1)
    branching = np.zeros(tasks + 1, np.int64)
    order = np.zeros((tasks + 1, options), np.int64)
    width, position = np.zeros(tasks + 1, np.int64), np.zeros(tasks + 1, np.int64)
    decided = np.full(tasks, -1, np.int64)
    left[0], prices[0], loads[0] = cost, v, placed
    root = price_bound(cost, load, capacity, placed, v)
    lowest = upper
    depth, nodes, entered = 0, 0, True
    while depth >= 0:
        if entered:
            entered = False
            nodes += 1
            if nodes > node_limit:
                return best, root, nodes
            open_tasks = np.flatnonzero(decided < 0)
            width[depth], position[depth] = 0, 0
            rows, sizes = left[depth][open_tasks], load[open_tasks]
            enough = upper - allowance - base[depth]
            hot = cold * 1e3
            node_v, share = maximise_bound(rows, sizes, capacity, loads[depth], prices[depth], hot, cold, 0.1, enough)
            bound = base[depth] + price_bound(rows, sizes, capacity, loads[depth], node_v)
            if bound >= upper - allowance:
                lowest = min(lowest, bound)
                depth -= 1
                continue
            prices[depth] = node_v
            dearer = reduced_cost(rows, sizes, node_v)
            pick, least_share = -1, 2.0
            trial = np.where(decided < 0, 0, decided)
            for row in range(len(open_tasks)):
                i = open_tasks[row]
                count, top = 0, -1.0
                for k in range(options):
                    if bound + dearer[row, k] >= upper - allowance:
                        if np.isfinite(left[depth, i, k]):
                            lowest = min(lowest, bound + dearer[row, k])
                            left[depth, i, k] = np.inf
                    else:
                        count += 1
                        if share[row, k] > top:
                            top, trial[i] = share[row, k], k
                if count > 1 and top < least_share:
                    pick, least_share = i, top
            if pick < 0 or nodes % IMPROVE_EVERY == 1:
                if pick >= 0:
                    improve(cost, load, capacity, placed, trial, everyone, True)
                reached = assignment_cost(cost, load, capacity, placed, trial)
                if reached < upper:
                    upper, best = reached, trial.copy()
            if pick < 0:
                # Every task has one option left, and that leaf has just been scored exactly.
                lowest = min(lowest, upper)
                depth -= 1
                continue
            branching[depth] = pick
            for k in np.argsort(-share[np.searchsorted(open_tasks, pick)]):
                if np.isfinite(left[depth, pick, k]):
                    order[depth, width[depth]] = k
                    width[depth] += 1
        i = branching[depth]
        decided[i] = -1
        if position[depth] >= width[depth]:
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
