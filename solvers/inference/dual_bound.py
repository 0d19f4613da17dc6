"""Lagrangian lower bounds of a slot, from prices of the servers' CPUs and bands.

At prices q_k, w_k of server k's whole CPU and band every decision costs at least

    sum_i min over sets S of i's tasks (V_i(S) + sum of the other tasks' m_j) - sum_k (q_k + w_k)

where ``V_i(S)`` is the cost of computing S on user i's own CPU, and ``m_j`` the minimum of the failure cost and of each
server's cost plus prices: the user's own CPU is not priced, its sets are enumerated. The bound is concave in the prices
and as strong as the relaxation in which each server's cost is convex in fractions of tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.kernels import njit
from offloadopt.solvers.inference.resource_allocation import SlotTasks, priced_costs

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class DualBound:
    """A valid lower bound, with its increase under each choice.

    Attributes
    ----------
    value : float
    prices : array [servers, 2]
        Prices of each server's CPU and band.
    priced_cost : array [tasks, servers]
        Least cost plus prices of each task on each server.
    remote_increase : array [tasks, servers]
        Increase of the bound if a task is on a server.
    local_increase : array [users, sets]
        Increase of the bound if a user computes a set on its own CPU.
    failure_increase : array [tasks]
        Increase of the bound if a task fails.
    """

    value: float
    prices: FloatArray
    priced_cost: FloatArray
    remote_increase: FloatArray
    local_increase: FloatArray
    failure_increase: FloatArray


@njit(cache=True)
def _minimise_over_local_sets(first_task: Any, local_cost: Any, priced_cost: Any, failure_costs: Any) -> Any:
    tasks, servers = priced_cost.shape
    least = np.empty(tasks)
    for j in range(tasks):
        least[j] = failure_costs[j]
        for k in range(servers):
            least[j] = min(least[j], priced_cost[j, k])
    remote_increase, failure_increase, local_increase = (
        np.empty((tasks, servers)),
        np.empty(tasks),
        np.full(local_cost.shape, np.inf),
    )
    total, magnitude = 0.0, 0.0
    for i in range(len(first_task) - 1):
        size = first_task[i + 1] - first_task[i]
        best = np.inf
        for chosen in range(1 << size):
            value = local_cost[i, chosen]
            for j in range(size):
                if not chosen >> j & 1:
                    value += least[first_task[i] + j]
            local_increase[i, chosen] = value
            best = min(best, value)
        total += best
        magnitude += abs(best)
        for chosen in range(1 << size):
            local_increase[i, chosen] -= best
        for j in range(size):
            without = np.inf  # least increase without this task on the own CPU
            for chosen in range(1 << size):
                if not chosen >> j & 1:
                    without = min(without, local_increase[i, chosen])
            task = first_task[i] + j
            failure_increase[task] = without + failure_costs[task] - least[task]
            for k in range(servers):
                remote_increase[task, k] = without + priced_cost[task, k] - least[task]
    return total, magnitude, remote_increase, local_increase, failure_increase


def bound_at_prices(slot: SlotTasks, local_cost: FloatArray, prices: FloatArray) -> DualBound:
    """Compute the bound at prices ``[servers, 2]`` of CPUs and bands, less a margin for the rounding of its sums."""
    q, w = np.ascontiguousarray(prices[:, 0]), np.ascontiguousarray(prices[:, 1])
    priced_cost = priced_costs(slot.remote, slot.second_price, slot.limit_s, q, w)
    total, magnitude, remote_increase, local_increase, failure_increase = _minimise_over_local_sets(
        slot.first_task, local_cost, priced_cost, slot.failure_costs
    )
    price_sum = float(prices.sum())
    # Each least cost is a sum of a few terms with roots that are accurate to about 1e-14.
    margin = EPS * (64.0 + 2.0 * slot.tasks) * (magnitude + price_sum)
    return DualBound(total - price_sum - margin, prices, priced_cost, remote_increase, local_increase, failure_increase)
