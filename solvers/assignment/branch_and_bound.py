"""Depth-first branch and bound for `PricedAssignment`: dual prices and reduced-cost fixing at every node.

Meant for the few tasks that reduced-cost fixing at the root leaves undecided. At the node limit it returns the
incumbent and a valid bound. Plain loops throughout: they compile several times faster than array expressions.
"""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.solvers.assignment.dual_bound import maximise_bound, price_bound, reduced_cost
from offloadopt.solvers.assignment.local_search import assignment_cost, improve

IMPROVE_EVERY = 20
"""Number of nodes between two local searches from a rounded solution."""


@njit(cache=True)
def _open_rows(
    open_cost: FloatArray, load: FloatArray, decided: IntArray, open_tasks: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Costs and loads of the tasks that a node has not decided; fills ``open_tasks`` with their indices."""
    count = 0
    for i in range(len(decided)):
        if decided[i] < 0:
            open_tasks[count] = i
            count += 1
    rows, sizes = np.empty((count, open_cost.shape[1])), np.empty(count)
    for row in range(count):
        sizes[row] = load[open_tasks[row]]
        for k in range(open_cost.shape[1]):
            rows[row, k] = open_cost[open_tasks[row], k]
    return rows, sizes


@njit(cache=True)
def _fix_and_round(
    open_cost: FloatArray, reduced: FloatArray, weight: FloatArray, open_tasks: IntArray, slack: float,
    decided: IntArray, rounded: IntArray,
) -> tuple[int, float]:  # fmt: skip
    """Remove options whose reduced cost is at least ``slack``; round each task to its option of largest softmin weight.

    Returns
    -------
    int
        Row of the task to branch on, whose largest weight is the smallest; -1 if every task has one option.
    float
        Least reduced cost of a removed option.
    """
    for i in range(len(decided)):
        rounded[i] = decided[i]
    branching_row, least_weight, removed = -1, 2.0, np.inf
    for row in range(len(reduced)):
        i = open_tasks[row]
        count, top = 0, -1.0
        for k in range(open_cost.shape[1]):
            if reduced[row, k] >= slack:
                if open_cost[i, k] < np.inf:
                    removed = min(removed, reduced[row, k])
                    open_cost[i, k] = np.inf
            else:
                count += 1
                if weight[row, k] > top:
                    top, rounded[i] = weight[row, k], k
        if count > 1 and top < least_weight:
            branching_row, least_weight = row, top
    return branching_row, removed


@njit(cache=True)
def _order_by_weight(open_cost: FloatArray, weight: FloatArray, order: IntArray) -> int:
    """Fill ``order`` with the open options in descending softmin weight; return their number."""
    count = 0
    for k in range(len(open_cost)):
        if open_cost[k] < np.inf:
            rank = count
            while rank > 0 and weight[order[rank - 1]] < weight[k]:
                order[rank] = order[rank - 1]
                rank -= 1
            order[rank] = k
            count += 1
    return count


@njit(cache=True)
def _bound_node(
    open_cost: FloatArray, load: FloatArray, capacity: FloatArray, loads: FloatArray, prices: FloatArray,
    decided: IntArray, open_tasks: IntArray, final_temperature: float, target: float,
) -> tuple[float, FloatArray, FloatArray]:  # fmt: skip
    """Improve a node's ``prices`` in place until their bound, which excludes decided tasks, reaches ``target``.

    Returns the bound, and reduced costs and softmin weights ``[open tasks, options]``; ``open_tasks`` is filled.
    """
    rows, sizes = _open_rows(open_cost, load, decided, open_tasks)
    weight = np.empty((max(len(rows), 1), open_cost.shape[1]))
    found = maximise_bound(
        rows, sizes, capacity, loads, prices, final_temperature * 1e3, final_temperature, 0.1, target, weight
    )
    for j in range(len(found)):
        prices[j] = found[j]
    return price_bound(rows, sizes, capacity, loads, found), reduced_cost(rows, sizes, found), weight


@njit(cache=True)
def _keep_better(
    costs: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    rounded: IntArray,
    local_search: bool,
    best: IntArray,
    upper: float,
) -> float:
    """Copy ``rounded`` to ``best`` if it costs less than ``upper``; return the lower cost of both."""
    if local_search:
        improve(*costs, rounded, np.arange(len(rounded)), True)
    rounded_cost = assignment_cost(*costs, rounded)
    if rounded_cost < upper:
        for i in range(len(best)):
            best[i] = rounded[i]
        return rounded_cost
    return upper


@njit(cache=True)
def _search(
    costs: tuple[FloatArray, FloatArray, FloatArray, FloatArray], v: FloatArray, best: IntArray, allowance: float,
    final_temperature: float, node_limit: int,
) -> tuple[float, int]:  # fmt: skip
    """Improve ``best`` depth first; return a lower bound, valid if the search was not stopped, and number of nodes."""
    cost, load, capacity, fixed_load = costs
    tasks, options = cost.shape
    open_tasks, decided, rounded = np.empty(tasks, np.int64), np.full(tasks, -1), np.empty(tasks, np.int64)
    # One level per decided task: its open options, prices and loads, the branching task and the order of its options.
    open_cost, order = np.empty((tasks + 1, tasks, options)), np.zeros((tasks + 1, options), np.int64)
    prices, loads = np.empty((tasks + 1, options - 1)), np.empty((tasks + 1, options - 1))
    branching, width, position = np.zeros((3, tasks + 1), np.int64)
    base = np.zeros(tasks + 1)
    open_cost[0], prices[0], loads[0] = cost, v, fixed_load
    upper = lowest = assignment_cost(cost, load, capacity, fixed_load, best)
    depth, nodes, entered = 0, 0, True
    while depth >= 0:
        if entered:
            entered = False
            nodes += 1
            if nodes > node_limit:
                break
            bound, reduced, weight = _bound_node(
                open_cost[depth], load, capacity, loads[depth], prices[depth], decided, open_tasks,
                final_temperature, upper - allowance - base[depth],
            )  # fmt: skip
            bound += base[depth]
            slack = upper - allowance - bound
            row, removed = -1, 0.0
            if slack > 0.0:
                row, removed = _fix_and_round(open_cost[depth], reduced, weight, open_tasks, slack, decided, rounded)
                if row < 0 or nodes % IMPROVE_EVERY == 1:
                    upper = _keep_better(costs, rounded, row >= 0, best, upper)
            lowest = min(lowest, bound + removed, upper)
            if row < 0:  # pruned, or a leaf: every task has one option
                depth -= 1
                continue
            branching[depth], position[depth] = open_tasks[row], 0
            width[depth] = _order_by_weight(open_cost[depth, open_tasks[row]], weight[row], order[depth])
        i = branching[depth]
        decided[i] = -1
        if position[depth] == width[depth]:
            depth -= 1
            continue
        k = order[depth, position[depth]]
        position[depth] += 1
        decided[i] = k
        open_cost[depth + 1], prices[depth + 1], loads[depth + 1] = open_cost[depth], prices[depth], loads[depth]
        base[depth + 1] = base[depth] + cost[i, k]
        if k > 0:
            loads[depth + 1, k - 1] += load[i]
        depth += 1
        entered = True
    return min(lowest, upper), nodes


def branch_and_bound(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    fixed_load: FloatArray,
    v: FloatArray,
    assignment: IntArray,
    allowance: float,
    final_temperature: float,
    node_limit: int,
) -> tuple[IntArray, float, int]:
    """Search for the best assignment of one instance.

    Parameters
    ----------
    cost : array [tasks, servers + 1]
        ``inf`` for options that are excluded.
    load : array [tasks]
    capacity, fixed_load : arrays [servers]
    v : array [servers]
        Root prices (`offloadopt.solvers.assignment.dual_bound`) at the root node.
    assignment : array [tasks]
        Initial incumbent.
    allowance : float
        Nodes that cannot improve the cost by more than this are pruned.
    final_temperature : float
        Of the optimisation of prices at every node.
    node_limit : int
        Where it is exceeded, the bound is that of the root.

    Returns
    -------
    array [tasks]
        The best assignment found, at least as good as ``assignment``.
    float
        Lower bound of every assignment's cost.
    int
        Number of nodes; more than ``node_limit`` if the search was stopped.
    """
    costs, best = (cost, load, capacity, fixed_load), assignment.copy()
    lowest, nodes = _search(costs, v, best, allowance, final_temperature, node_limit)
    return best, float(price_bound(*costs, v)) if nodes > node_limit else lowest, nodes
