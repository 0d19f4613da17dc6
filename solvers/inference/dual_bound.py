"""Lower bounds of a slot by prices of servers' CPUs and bands, and what can be in a better decision.

At prices q, w of each whole CPU and band every decision costs at least

    sum_i min over sets S of i's tasks (V_i(S) + sum of the others' m_j) - sum_k (q_k + w_k)

where ``V_i(S)`` is what computing S at home costs, and ``m_j`` the least of failing and each server's cost plus prices:
a user's own CPU is not priced but looked through. Concave in the prices, and as strong as the relaxation in which each
server's cost is convex in parts of tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.solvers.inference.resource_allocation import Slot, charges

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Bound:
    """A valid bound with what it knows of each choice.

    Attributes
    ----------
    value : float
    prices : array [servers, 2]
    charged : array [tasks, servers]
        Cost plus prices.
    dearer_away : array [tasks, servers]
        By how much the bound is higher where a task is on a server.
    dearer_own : array [users, sets]
        Where a user computes a set at home.
    dearer_failed : array [tasks]
    """

    value: float
    prices: FloatArray
    charged: FloatArray
    dearer_away: FloatArray
    dearer_own: FloatArray
    dearer_failed: FloatArray


@njit(cache=True)
def _look_through(first: Any, own: Any, charged: Any, failing: Any) -> Any:
    tasks, servers = charged.shape
    least = np.empty(tasks)
    for j in range(tasks):
        least[j] = failing[j]
        for k in range(servers):
            least[j] = min(least[j], charged[j, k])
    away, failed, at_home = np.empty((tasks, servers)), np.empty(tasks), np.full(own.shape, np.inf)
    total, magnitude = 0.0, 0.0
    for i in range(len(first) - 1):
        size = first[i + 1] - first[i]
        best = np.inf
        for chosen in range(1 << size):
            value = own[i, chosen]
            for j in range(size):
                if not chosen >> j & 1:
                    value += least[first[i] + j]
            at_home[i, chosen] = value
            best = min(best, value)
        total += best
        magnitude += abs(best)
        for chosen in range(1 << size):
            at_home[i, chosen] -= best
        for j in range(size):
            without = np.inf  # the least with this task not at home
            for chosen in range(1 << size):
                if not chosen >> j & 1:
                    without = min(without, at_home[i, chosen])
            task = first[i] + j
            failed[task] = without + failing[task] - least[task]
            for k in range(servers):
                away[task, k] = without + charged[task, k] - least[task]
    return total, magnitude, away, at_home, failed


def bound_at(slot: Slot, own: FloatArray, prices: FloatArray) -> Bound:
    """The bound at prices ``[servers, 2]`` of CPUs and bands, less a margin for the rounding of its sums."""
    q, w = np.ascontiguousarray(prices[:, 0]), np.ascontiguousarray(prices[:, 1])
    charged = charges(slot.away, slot.second, slot.limit_s, q, w)
    total, magnitude, away, at_home, failed = _look_through(slot.first, own, charged, slot.failing)
    paid = float(prices.sum())
    # Each least cost is a sum of a few terms with roots that are exact to some 1e-14.
    margin = EPS * (64.0 + 2.0 * slot.tasks) * (magnitude + paid)
    return Bound(total - paid - margin, prices, charged, away, at_home, failed)


def possible(bound: Bound, upper: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """What a decision below ``upper`` can do: tasks on servers, sets at home, failures."""
    room = upper - bound.value
    return bound.dearer_away <= room, bound.dearer_own <= room, bound.dearer_failed <= room
