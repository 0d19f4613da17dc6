"""Servers that every task reaches at the same cost are one server to the bound: symmetry by counts, not copies.

For loads on such servers ``sum_j L_j^2 / F_j >= (sum_j L_j)^2 / sum_j F_j``, with equality where they share the load in
proportion to their capacities. So the instance with each group merged into one server bounds the whole one, and a good
partition of the merged server's tasks meets it up to the grain of the tasks.
"""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, IntArray

PROBE = 100
"""If so many tasks tell all servers apart, the others need not be looked at."""


def groups_of_servers(cost: FloatArray) -> IntArray:
    """[servers] the number of each server's group; servers with the same costs for every task share one."""
    servers = cost.shape[1] - 1
    if np.unique(cost[:PROBE, 1:], axis=1).shape[1] == servers:
        return np.arange(servers)
    _, first, group = np.unique(cost[:, 1:], axis=1, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # number the groups in the order of their first servers
    return np.asarray(order[group.ravel()], dtype=np.int64)


def merge(cost: FloatArray, capacity: FloatArray, group: IntArray) -> tuple[FloatArray, FloatArray]:
    """Costs ``[tasks, groups + 1]`` and capacities ``[groups]`` of the instance with one server for each group."""
    _, first = np.unique(group, return_index=True)
    return cost[:, np.append(0, 1 + first)], np.bincount(group, capacity).astype(np.float64)


def spread(assignment: IntArray, load: FloatArray, capacity: FloatArray, group: IntArray) -> IntArray:
    """[tasks] the merged assignment on the real servers: heaviest task first, to the least load per capacity."""
    real = np.zeros_like(assignment)
    loads = np.zeros(len(capacity))
    for i in np.argsort(-load, kind="stable"):
        if assignment[i] == 0:
            continue
        members = np.flatnonzero(group == assignment[i] - 1)
        chosen = members[np.argmin((loads[members] + load[i]) / capacity[members])]
        loads[chosen] += load[i]
        real[i] = 1 + chosen
    return real
