"""Exact solution for tasks of equal load: a linear assignment of tasks to positions on servers.

When every task loads a server by the same ``s``, the k-th task on server j raises its congestion cost by
``s^2 (2k - 1) / F_j``. These marginal costs increase in k, so that an optimum uses the positions of a server in order,
and the problem is a linear assignment, solved exactly by the shortest augmenting path method (Crouse 2016,
`scipy.optimize.linear_sum_assignment`).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from offloadopt.core import FloatArray, IntArray

MAX_MATRIX_ENTRIES = 20_000_000
"""Largest cost matrix (tasks x columns): SciPy takes seconds, whatever the deadline; dual prices solve the rest."""


def useful_positions(cost: FloatArray, load: float, capacity: FloatArray) -> IntArray:
    """Number ``[servers]`` of useful positions on each server.

    A position whose marginal congestion cost exceeds the largest saving of any task on that server is never used.
    Parameters as in `assign_to_positions`.
    """
    largest_saving = np.maximum(cost[:, :1] - cost[:, 1:], 0.0).max(axis=0)
    counts = np.ceil((largest_saving * capacity / load**2 + 1.0) / 2.0)
    return np.asarray(np.minimum(counts, len(cost)), dtype=np.int64)


def assign_to_positions(cost: FloatArray, load: float, capacity: FloatArray, counts: IntArray) -> IntArray:
    """Compute an optimal assignment ``[tasks]`` of tasks of equal load.

    Parameters
    ----------
    cost : array [tasks, servers + 1]
        Cost of each option without congestion; ``inf`` where a link is missing.
    load : float
        Load ``s`` of every task.
    capacity : array [servers]
    counts : array [servers]
        Positions offered on each server (`useful_positions`).
    """
    tasks = len(cost)
    server = np.repeat(np.arange(len(capacity)), counts)
    rank = np.concatenate([np.arange(count) for count in counts]) if counts.sum() else np.zeros(0)
    matrix = np.zeros((tasks, len(server) + tasks))  # the last columns stand for local computing
    position_cost = load**2 * (2.0 * rank + 1.0) / capacity[server]
    matrix[:, : len(server)] = cost[:, 1 + server] - cost[:, :1] + position_cost
    # A missing link must never be chosen, and SciPy refuses infinities: a cost above the sum of all savings suffices.
    matrix[~np.isfinite(matrix)] = 1.0 + 2.0 * np.abs(matrix[np.isfinite(matrix)]).sum()
    _, column = linear_sum_assignment(matrix)
    option = np.concatenate([1 + server, np.zeros(tasks, dtype=np.int64)])
    return np.asarray(option[column], dtype=np.int64)
