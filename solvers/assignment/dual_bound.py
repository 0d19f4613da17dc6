"""Lower bounds by prices: the dual of an assignment whose servers charge for load.

For any vector ``v`` (root prices, see `offloadopt.structures.assignment.PricedAssignment`)

    D(v) = sum_i min_k (c_ik + 2 s_i v_k) + sum_j (2 v_j L0_j - F_j v_j^2),     v_0 = 0,

bounds every assignment's cost from below, where ``L0`` is load that is placed already. ``D`` is concave with one
variable per server, whatever the number of tasks. It is maximised by Newton steps on a smoothed minimum whose
temperature falls.

The kernels work on one instance at a time: ``cost [tasks, servers + 1]``, ``load [tasks]``, ``capacity`` and ``placed
[servers]``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, IntArray

FURTHEST = 40.0
"""Options this many temperatures above the best have weight exp(-40) = 4e-18 and are left out."""
EPS = 2.220446049250313e-16
HOT, WARM, SAMPLED, COLDEST, COOLING = 1.0, 1e-2, 4e-3, 1e-7, 0.2
"""Temperatures, relative to a task's mean cost: at first; from given prices; after the sample; last; the factor."""
SAMPLE = 4000
"""So many tasks are weighed all together; more are screened."""
NEAR = 25.0
"""Tasks whose second-best option is dearer by so many temperatures (weight exp(-25)) keep their choice meanwhile."""


@njit(cache=True)
def price_bound(cost: FloatArray, load: FloatArray, capacity: FloatArray, placed: FloatArray, v: FloatArray) -> float:
    """``D(v)`` less a margin for the rounding of its sums: a proof, whatever ``v`` is."""
    tasks, options = cost.shape
    total, magnitude = 0.0, 0.0
    for i in range(tasks):
        least = cost[i, 0]
        for k in range(1, options):
            least = min(least, cost[i, k] + 2.0 * load[i] * v[k - 1])
        total += least
        magnitude += abs(least)
    for j in range(options - 1):
        total += 2.0 * v[j] * placed[j] - capacity[j] * v[j] * v[j]
        magnitude += abs(2.0 * v[j] * placed[j]) + capacity[j] * v[j] * v[j]
    return float(total - EPS * (tasks + options + 8) * magnitude)


@njit(cache=True)
def _smoothed(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    placed: FloatArray,
    v: FloatArray,
    temperature: float,
    gradient: FloatArray,
    curvature: FloatArray,
    share: FloatArray,
) -> tuple[float, float]:
    """Smoothed and plain dual value; fills gradient and negative Hessian.

    ``share`` receives each task's softmin weights of its options, or serves as working space if it has one row.
    """
    tasks, options = cost.shape
    servers = options - 1
    value = 0.0
    for j in range(servers):
        value += 2.0 * v[j] * placed[j] - capacity[j] * v[j] * v[j]
        gradient[j] = 2.0 * placed[j] - 2.0 * capacity[j] * v[j]
        for other in range(servers):
            curvature[j, other] = 0.0
        curvature[j, j] = 2.0 * capacity[j]
    plain = value
    for i in range(tasks):
        priced = share[min(i, len(share) - 1)]
        least = cost[i, 0]
        priced[0] = cost[i, 0]
        for k in range(1, options):
            priced[k] = cost[i, k] + 2.0 * load[i] * v[k - 1]
            least = min(least, priced[k])
        total = 0.0
        for k in range(options):
            above = (priced[k] - least) / temperature
            priced[k] = np.exp(-above) if above < FURTHEST else 0.0
            total += priced[k]
        value += least - temperature * np.log(total)
        plain += least
        weight = 4.0 * load[i] * load[i] / temperature
        for k in range(options):
            priced[k] /= total
        for j in range(servers):
            mine = priced[j + 1]
            if mine > 0.0:
                gradient[j] += 2.0 * load[i] * mine
                curvature[j, j] += weight * mine
                for other in range(j + 1):
                    curvature[j, other] -= weight * mine * priced[other + 1]
    for j in range(servers):
        for other in range(j):
            curvature[other, j] = curvature[j, other]
    return value, plain


@njit(cache=True)
def _newton_step(curvature: FloatArray, gradient: FloatArray, step: FloatArray) -> float:
    """Fill ``step`` with ``curvature^-1 gradient`` by Cholesky, in place; return their product with the gradient.

    Written out, as are the copies below: LAPACK and array expressions multiply the time that compilation takes.
    """
    size = len(gradient)
    for j in range(size):
        for k in range(j):
            factor = curvature[j, k]
            for i in range(j, size):
                curvature[i, j] -= curvature[i, k] * factor
        root = np.sqrt(curvature[j, j])
        for i in range(j, size):
            curvature[i, j] /= root
    for i in range(size):
        total = gradient[i]
        for k in range(i):
            total -= curvature[i, k] * step[k]
        step[i] = total / curvature[i, i]
    for back in range(size):
        i = size - 1 - back
        total = step[i]
        for k in range(i + 1, size):
            total -= curvature[k, i] * step[k]
        step[i] = total / curvature[i, i]
    gain = 0.0
    for i in range(size):
        gain += step[i] * gradient[i]
    return float(gain)


@njit(cache=True)
def _copy(source: FloatArray, target: FloatArray) -> None:
    for i in range(len(source)):
        target[i] = source[i]


@njit(cache=True)
def maximise_bound(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    placed: FloatArray,
    start: FloatArray,
    hot: float,
    cold: float,
    cooling: float,
    enough: float,
    share: FloatArray,
) -> FloatArray:
    """Root prices that nearly maximise the bound.

    The temperature falls from ``hot`` to ``cold`` by the factor ``cooling``, unless the bound reaches ``enough``.
    ``share [tasks, servers + 1]`` receives each task's softmin weights of its options; one row of it: nothing is kept.
    """
    servers = len(capacity)
    gradient, curvature = np.empty(servers), np.empty((servers, servers))
    next_gradient, next_curvature = np.empty(servers), np.empty((servers, servers))
    step, trial = np.empty(servers), np.empty(servers)
    v, best_v, best = start.copy(), start.copy(), -np.inf
    temperature = hot
    while True:
        value, plain = _smoothed(cost, load, capacity, placed, v, temperature, gradient, curvature, share)
        if plain > best:
            _copy(v, best_v)
            best = plain
        for _ in range(20):
            gain = _newton_step(curvature, gradient, step)
            if gain < 0.05 * temperature:
                break
            length, found = 1.0, False
            while length > 1e-6:
                for j in range(servers):
                    trial[j] = v[j] + length * step[j]
                reached, plain = _smoothed(
                    cost, load, capacity, placed, trial, temperature, next_gradient, next_curvature, share
                )
                if plain > best:
                    _copy(trial, best_v)
                    best = plain
                if reached >= value + 0.25 * length * gain:
                    found = True
                    break
                length *= 0.35
            if not found:
                break
            _copy(trial, v)
            value = reached
            gradient, next_gradient = next_gradient, gradient
            curvature, next_curvature = next_curvature, curvature
            if best >= enough:
                return best_v
        if temperature <= cold:
            return best_v
        temperature = max(temperature * cooling, cold)


@njit(cache=True)
def reduced_cost(cost: FloatArray, load: FloatArray, v: FloatArray) -> FloatArray:
    """[tasks, servers + 1] how much dearer than a task's best option each option is at prices ``v``."""
    priced = cost.copy()
    for i in range(len(load)):
        for k in range(1, cost.shape[1]):
            priced[i, k] += 2.0 * load[i] * v[k - 1]
        least = min(priced[i])
        for k in range(cost.shape[1]):
            priced[i, k] -= least
    return priced


@njit(cache=True)
def best_responses(cost: FloatArray, load: FloatArray, v: FloatArray) -> tuple[IntArray, FloatArray]:
    """Each task's best option at prices ``v``, and how much dearer its second-best option is."""
    tasks, options = cost.shape
    best, margin = np.empty(tasks, np.int64), np.empty(tasks)
    for i in range(tasks):
        choice, least, second = 0, cost[i, 0], np.inf
        for k in range(1, options):
            priced = cost[i, k] + 2.0 * load[i] * v[k - 1]
            if priced < least:
                choice, least, second = k, priced, least
            elif priced < second:
                second = priced
        best[i], margin[i] = choice, second - least
    return best, margin


def find_prices(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, start: FloatArray | None = None
) -> FloatArray:
    """Root prices that nearly maximise the bound of a whole instance, in scaled units (mean cost of a task near 1).

    Many tasks: a sample with its share of the capacities gives the first prices. Then only tasks whose two best options
    lie close are weighed; the others' choices stay while prices settle, and are looked at again at every temperature.

    Parameters
    ----------
    start : array [servers], optional
        Prices to begin with.
    """
    tasks, servers = len(cost), len(capacity)
    nothing, scratch = np.zeros(servers), np.empty((1, servers + 1))
    v, hot = (nothing, HOT) if start is None else (start, WARM)
    if tasks <= SAMPLE:
        return maximise_bound(cost, load, capacity, nothing, v, hot, COLDEST, COOLING, np.inf, scratch)
    if start is None:
        rows = np.arange(0, tasks, tasks // SAMPLE)
        part = capacity * (len(rows) / tasks)
        v = maximise_bound(cost[rows], load[rows], part, nothing, v, HOT, SAMPLED, COOLING, np.inf, scratch)
    temperature, heaviest = SAMPLED, 2.0 * float(load.max())
    while True:
        near = NEAR * temperature
        while True:
            best, margin = best_responses(cost, load, v)
            close = margin <= near
            placed = np.bincount(best[~close], load[~close], servers + 1)[1:].astype(np.float64)
            settled = maximise_bound(
                cost[close], load[close], capacity, placed, v, temperature, temperature, COOLING, np.inf, scratch
            )
            moved = heaviest * float(np.abs(settled - v).max())
            if moved <= near:  # no choice that was left out can have changed
                v = settled
                break
            # As far as that holds the bound rises on the way; then look again, at more tasks.
            v, near = v + (settled - v) * (near / moved), 2.0 * near
        if temperature <= COLDEST:
            return v
        temperature = max(temperature * COOLING, COLDEST)
