"""Equal tasks: a linear assignment of tasks to server slots.

When every task loads a server by the same ``s``, server j's k-th task raises its congestion by ``s^2 (2k - 1) / F_j``.
These steps grow, so any optimum fills a server's slots in order and the whole problem is a linear assignment, solved
exactly by the shortest augmenting path method (Crouse 2016, `scipy.optimize.linear_sum_assignment`).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from offloadopt.core import FloatArray, IntArray

MOST_CELLS = 20_000_000
"""Largest cost matrix (tasks x columns); beyond it prices prove equal tasks as well, in less memory."""


def slot_counts(cost: FloatArray, load: float, capacity: FloatArray) -> IntArray:
    """[servers] slots that can pay: a slot dearer than the largest saving of any task stays empty."""
    saving = np.maximum(cost[:, :1] - cost[:, 1:], 0.0).max(axis=0)
    counts = np.ceil((saving * capacity / load**2 + 1.0) / 2.0)
    return np.asarray(np.minimum(counts, len(cost)), dtype=np.int64)


def assign_to_slots(cost: FloatArray, load: float, capacity: FloatArray, counts: IntArray) -> IntArray:
    """[tasks] an optimal assignment of equal tasks.

    Parameters
    ----------
    cost : array [tasks, servers + 1]
    load : float
        ``s`` of every task.
    capacity : array [servers]
    counts : array [servers]
        Slots offered on each server.
    """
    tasks = len(cost)
    server = np.repeat(np.arange(len(capacity)), counts)
    rank = np.concatenate([np.arange(count) for count in counts]) if counts.sum() else np.zeros(0)
    matrix = np.zeros((tasks, len(server) + tasks))  # the last columns are the tasks' own devices
    slot_cost = load**2 * (2.0 * rank + 1.0) / capacity[server]
    matrix[:, : len(server)] = cost[:, 1 + server] - cost[:, :1] + slot_cost
    # A missing link must never be chosen, and infinities are refused: more than all savings together is enough.
    matrix[~np.isfinite(matrix)] = 1.0 + 2.0 * np.abs(matrix[np.isfinite(matrix)]).sum()
    _, column = linear_sum_assignment(matrix)
    placed = np.concatenate([1 + server, np.zeros(tasks, dtype=np.int64)])
    return np.asarray(placed[column], dtype=np.int64)
