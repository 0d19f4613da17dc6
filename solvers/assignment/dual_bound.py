"""Lagrangian dual bound of a `PricedAssignment` and its maximisation over the servers' dual prices.

For any vector ``v`` (root prices: ``v_j^2`` is the dual price of server j's capacity, see
`offloadopt.structures.assignment.PricedAssignment`)

    D(v) = sum_i min_k (c_ik + 2 s_i v_k) + sum_j (2 v_j L0_j - F_j v_j^2),     v_0 = 0,

is a lower bound of every assignment's cost, where ``L0`` is a fixed load. ``D`` is concave with one variable per
server, whatever the number of tasks. It is maximised by Newton steps on a smoothed (softmin) dual whose temperature
falls.

The kernels work on one instance: ``cost [tasks, servers + 1]``, ``load [tasks]``, ``capacity`` and ``fixed_load
[servers]``.
"""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit

FURTHEST = 40.0
"""Options this many temperatures above the best one have softmin weight exp(-40) = 4e-18 and are left out."""
EPS = 2.220446049250313e-16
"""Machine epsilon of float64."""
HOT, WARM, SAMPLED, COLDEST, COOLING = 1.0, 1e-2, 4e-3, 1e-7, 0.2
"""Temperatures relative to a task's mean cost: initial; initial with given prices; after sampling; final; factor."""
SAMPLE = 4000
"""Up to this many tasks are optimised together; with more, sampling and screening are used."""
NEAR = 25.0
"""Screening: a task's choice is fixed while its second-best option is this many temperatures worse (exp(-25))."""


@njit(cache=True)
def price_bound(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, fixed_load: FloatArray, v: FloatArray
) -> float:
    """Valid lower bound ``D(v)`` at root prices ``v [servers]``, less a margin for the rounding of its sums."""
    tasks, options = cost.shape
    total, magnitude = 0.0, 0.0
    for i in range(tasks):
        least = cost[i, 0]
        for k in range(1, options):
            least = min(least, cost[i, k] + 2.0 * load[i] * v[k - 1])
        total += least
        magnitude += abs(least)
    for j in range(options - 1):
        total += 2.0 * v[j] * fixed_load[j] - capacity[j] * v[j] * v[j]
        magnitude += abs(2.0 * v[j] * fixed_load[j]) + capacity[j] * v[j] * v[j]
    return float(total - EPS * (tasks + options + 8) * magnitude)


@njit(cache=True)
def _smoothed(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, fixed_load: FloatArray, v: FloatArray, temperature: float,
    gradient: FloatArray, curvature: FloatArray, weight: FloatArray,
) -> tuple[float, float]:  # fmt: skip
    """Compute the smoothed and the exact dual value; fill the gradient and the negative Hessian of the former.

    ``weight [tasks, servers + 1]`` receives each task's softmin weights of its options; with one row it is workspace.
    """
    tasks, options = cost.shape
    servers = options - 1
    value = 0.0
    for j in range(servers):
        value += 2.0 * v[j] * fixed_load[j] - capacity[j] * v[j] * v[j]
        gradient[j] = 2.0 * fixed_load[j] - 2.0 * capacity[j] * v[j]
        for other in range(servers):
            curvature[j, other] = 0.0
        curvature[j, j] = 2.0 * capacity[j]
    plain = value
    for i in range(tasks):
        priced = weight[min(i, len(weight) - 1)]
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
        factor = 4.0 * load[i] * load[i] / temperature
        for k in range(options):
            priced[k] /= total
        for j in range(servers):
            probability = priced[j + 1]
            if probability > 0.0:
                gradient[j] += 2.0 * load[i] * probability
                curvature[j, j] += factor * probability
                for other in range(j + 1):
                    curvature[j, other] -= factor * probability * priced[other + 1]
    for j in range(servers):
        curvature[j, j] = max(curvature[j, j], 2.0 * capacity[j])  # a variance is not negative, whatever its rounding
        for other in range(j):
            curvature[other, j] = curvature[j, other]
    return value, plain


@njit(cache=True)
def _newton_step(curvature: FloatArray, gradient: FloatArray, step: FloatArray) -> float:
    """Solve ``curvature step = gradient`` by Cholesky factorisation in place; return ``step . gradient``.

    Written as loops, as is `_copy`: LAPACK calls and array expressions take several times longer to compile.
    """
    size, largest = len(gradient), 0.0
    for j in range(size):
        largest = max(largest, curvature[j, j])
    for j in range(size):
        for k in range(j):
            factor = curvature[j, k]
            for i in range(j, size):
                curvature[i, j] -= curvature[i, k] * factor
        root = np.sqrt(max(curvature[j, j], EPS * largest))  # where rounding has left less than nothing
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
    cost: FloatArray, load: FloatArray, capacity: FloatArray, fixed_load: FloatArray, start: FloatArray,
    initial_temperature: float, final_temperature: float, cooling: float, target: float, weight: FloatArray,
) -> FloatArray:  # fmt: skip
    """Root prices ``[servers]`` that nearly maximise the dual bound.

    Parameters
    ----------
    start : array [servers]
        Initial root prices.
    initial_temperature, final_temperature, cooling : float
        The temperature falls from the first to the second by the factor ``cooling``.
    target : float
        The search ends as soon as the bound reaches this value.
    weight : array [tasks, servers + 1]
        Receives each task's softmin weights of its options; with one row it is workspace.
    """
    servers = len(capacity)
    gradient, curvature = np.empty(servers), np.empty((servers, servers))
    next_gradient, next_curvature = np.empty(servers), np.empty((servers, servers))
    step, trial = np.empty(servers), np.empty(servers)
    v, best_v, best = start.copy(), start.copy(), -np.inf
    temperature = initial_temperature
    while True:
        value, plain = _smoothed(cost, load, capacity, fixed_load, v, temperature, gradient, curvature, weight)
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
                    cost, load, capacity, fixed_load, trial, temperature, next_gradient, next_curvature, weight
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
            if best >= target:
                return best_v
        if temperature <= final_temperature:
            return best_v
        temperature = max(temperature * cooling, final_temperature)


@njit(cache=True)
def reduced_cost(cost: FloatArray, load: FloatArray, v: FloatArray) -> FloatArray:
    """Reduced cost ``[tasks, servers + 1]`` of each option over the task's best option at root prices ``v``."""
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
    """Each task's best option at root prices ``v``, and the cost difference to its second-best option."""
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
    """Root prices ``[servers]`` that nearly maximise the dual bound of an instance in scaled units.

    With more than `SAMPLE` tasks, a sample of the tasks with proportional capacities gives initial prices. Then only
    tasks whose two best options cost nearly the same are optimised; the choices of the others are fixed until the
    prices converge, and are updated at every temperature.

    Parameters
    ----------
    cost : array [tasks, servers + 1]
        Scaled so that the mean cost of a task is near 1.
    load : array [tasks]
    capacity : array [servers]
    start : array [servers], optional
        Initial root prices.
    """
    tasks, servers = len(cost), len(capacity)
    no_load, workspace = np.zeros(servers), np.empty((1, servers + 1))
    v, temperature = (no_load, HOT) if start is None else (start, WARM)
    if tasks <= SAMPLE:
        return maximise_bound(cost, load, capacity, no_load, v, temperature, COLDEST, COOLING, np.inf, workspace)
    if start is None:
        rows = np.arange(0, tasks, tasks // SAMPLE)
        sampled_capacity = capacity * (len(rows) / tasks)
        v = maximise_bound(
            cost[rows], load[rows], sampled_capacity, no_load, v, HOT, SAMPLED, COOLING, np.inf, workspace
        )
    temperature, heaviest = SAMPLED, 2.0 * float(load.max())
    while True:
        near = NEAR * temperature
        while True:
            best, margin = best_responses(cost, load, v)
            close = margin <= near
            fixed_load = np.bincount(best[~close], load[~close], servers + 1)[1:].astype(np.float64)
            next_v = maximise_bound(
                cost[close], load[close], capacity, fixed_load, v, temperature, temperature, COOLING, np.inf, workspace
            )
            moved = heaviest * float(np.abs(next_v - v).max())
            if moved <= near:  # no fixed choice can have changed
                v = next_v
                break
            # Up to that point of the step the bound increases; then repeat with more tasks.
            v, near = v + (next_v - v) * (near / moved), 2.0 * near
        if temperature <= COLDEST:
            return v
        temperature = max(temperature * COOLING, COLDEST)
