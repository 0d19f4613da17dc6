"""Knapsack with a congested server: the set of tasks of least priced cost on one server.

    min over sets S of    ((L0 + s(S))^2 - L0^2) / F - p(S),

where a task of load ``s_i`` earns ``p_i`` (its price less its option's cost) and ``L0`` is a fixed load. Depth first in
descending earnings per load, which is the order in which the continuous relaxation takes tasks, so that the rest of a
node is bounded by a walk. Sets may stay within a tolerance of the least cost: most nodes are spent on the last digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit


@njit(cache=True)
def _by_earnings(
    earned: FloatArray, load: FloatArray, fixed_load: float, capacity: float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Tasks that can lower the cost, with their earnings and loads, in descending earnings per load."""
    useful = np.empty(len(earned), np.int64)
    count = 0
    for i in range(len(earned)):
        if earned[i] * capacity > load[i] * (2.0 * fixed_load + load[i]):
            useful[count] = i
            count += 1
    ratio = np.empty(count)
    for rank in range(count):
        ratio[rank] = -earned[useful[rank]] / load[useful[rank]]
    order = np.argsort(ratio)
    task, p, s = np.empty(count, np.int64), np.empty(count), np.empty(count)
    for rank in range(count):
        task[rank] = useful[order[rank]]
        p[rank], s[rank] = earned[task[rank]], load[task[rank]]
    return task, p, s


@njit(cache=True)
def _relaxed(p: FloatArray, s: FloatArray, first: int, loaded: float, earned: float, capacity: float) -> float:
    """Least cost ``loaded^2 / F - earned`` if tasks from rank ``first`` on can be taken in part."""
    for rank in range(first, len(p)):
        wanted = 0.5 * capacity * p[rank] / s[rank] - loaded  # until the marginal cost of load exceeds the earnings
        if wanted <= 0.0:
            break
        if wanted < s[rank]:
            earned += p[rank] / s[rank] * wanted
            loaded += wanted
            break
        earned += p[rank]
        loaded += s[rank]
    return loaded * loaded / capacity - earned


@njit(cache=True)
def cheapest_sets(
    earned: FloatArray, load: FloatArray, fixed_load: float, capacity: float, tolerance: float, node_limit: int,
    sets: NDArray[np.bool_],
) -> tuple[float, int]:  # fmt: skip
    """Bound the least priced cost of a set and fill ``sets [number, tasks]`` with the last ones found, the best last.

    Parameters
    ----------
    earned : array [tasks]
        ``-inf`` where a task cannot be on this server.
    load : array [tasks]
    fixed_load, capacity : float
    tolerance : float
        Sets cheaper than the best one found by no more than this may be missed.
    node_limit : int
        Where it is exceeded, the bound is that of the nodes left open.

    Returns
    -------
    float
        Lower bound of the least priced cost, at most 0: the empty set costs nothing.
    int
        Number of sets written; set ``k`` is in row ``k`` modulo their number.
    """
    task, p, s = _by_earnings(earned, load, fixed_load, capacity)
    count, least = len(task), fixed_load * fixed_load / capacity
    offset, best, bound, found, nodes, depth = least, least, least, 0, 0, 0
    taken = np.zeros(count, np.bool_)
    loaded, gained = np.full(count + 1, fixed_load), np.zeros(count + 1)
    entered = True
    while depth >= 0:
        if entered:
            nodes += 1
            cost = loaded[depth] ** 2 / capacity - gained[depth]
            if cost < best:
                best = cost
                row = found % len(sets)
                found += 1
                sets[row, :] = False
                for rank in range(depth):
                    sets[row, task[rank]] = taken[rank]
            rest = _relaxed(p, s, depth, loaded[depth], gained[depth], capacity)
            if depth < count and rest < best - tolerance and nodes <= node_limit:
                taken[depth] = True
                loaded[depth + 1], gained[depth + 1] = loaded[depth] + s[depth], gained[depth] + p[depth]
                depth += 1
                continue
            bound = min(bound, rest)
            entered = False
        depth -= 1
        if depth >= 0 and taken[depth]:
            taken[depth] = False
            loaded[depth + 1], gained[depth + 1] = loaded[depth], gained[depth]
            depth += 1
            entered = True
    return min(best, bound) - offset, found
