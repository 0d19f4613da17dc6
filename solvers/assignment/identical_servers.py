"""Symmetry reduction: identical servers, which every task reaches at the same cost, are merged into one.

For the loads on such servers ``sum_j L_j^2 / F_j >= (sum_j L_j)^2 / sum_j F_j``, with equality where the loads are
proportional to the capacities. The optimum of the instance with merged servers is therefore a lower bound, and a good
partition of a merged server's tasks attains it up to the indivisibility of the tasks. Identical servers may differ in
capacity.
"""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, IntArray

PROBE_TASKS = 100
"""If the costs of this many tasks differ between all servers, the other tasks are not compared."""


def groups_of_servers(cost: FloatArray) -> IntArray:
    """Group index ``[servers]`` of each server; servers with the same costs for every task form a group."""
    servers = cost.shape[1] - 1
    if np.unique(cost[:PROBE_TASKS, 1:], axis=1).shape[1] == servers:
        return np.arange(servers)
    _, first, group = np.unique(cost[:, 1:], axis=1, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # groups in the order of their first servers
    return np.asarray(order[group.ravel()], dtype=np.int64)


def merge_servers(cost: FloatArray, capacity: FloatArray, group: IntArray) -> tuple[FloatArray, FloatArray]:
    """Merge each group of servers into one; return costs ``[tasks, groups + 1]`` and capacities ``[groups]``."""
    _, first = np.unique(group, return_index=True)
    return cost[:, np.append(0, 1 + first)], np.bincount(group, capacity).astype(np.float64)


def split_servers(assignment: IntArray, load: FloatArray, capacity: FloatArray, group: IntArray) -> IntArray:
    """Distribute the tasks of merged servers over the original servers.

    Greedy in descending load: each task goes to the server of its group with the least load per capacity.

    Parameters
    ----------
    assignment : array [tasks]
        Options of the merged instance.
    load : array [tasks]
    capacity : array [servers]
        Of the original servers.
    group : array [servers]
        From `groups_of_servers`.

    Returns
    -------
    array [tasks]
        Options of the original instance.
    """
    option = np.zeros_like(assignment)
    loads = np.zeros(len(capacity))
    for i in np.argsort(-load, kind="stable"):
        if assignment[i] == 0:
            continue
        members = np.flatnonzero(group == assignment[i] - 1)
        chosen = members[np.argmin((loads[members] + load[i]) / capacity[members])]
        loads[chosen] += load[i]
        option[i] = 1 + chosen
    return option
