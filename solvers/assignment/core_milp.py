"""MILP for the tasks that fixing and branch and bound leave undecided, with tangents of the congestion cost (HiGHS).

At root prices ``v`` every assignment costs exactly

    D(v) + sum_i r_i,a(i) + sum_j x_j^2 / F_j,     x_j = L_j - v_j F_j

with reduced costs ``r >= 0``: the cost above the bound is linear except for one square per server. Tangents of the
squares are valid cuts; after each MILP solution they are added at its loads, and HiGHS is run again. The objective is
divided by the gap to be closed, so that HiGHS's tolerances are relative to the gap, not to the cost.
"""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.assignment.dual_bound import price_bound, reduced_cost
from offloadopt.solvers.assignment.local_search import assignment_cost, server_loads
from offloadopt.solvers.highs import SAFETY, TIGHT, CutSearch, Programme

FIRST_TANGENTS = (-0.6, -0.3, 0.0, 0.3, 0.6)
"""Deviations ``x_j`` of the first tangents, in units of ``sqrt(gap F_j)``, the largest of a better assignment."""
CoreCosts = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""Costs ``[tasks, servers + 1]``, ``inf`` for excluded options; loads; capacities; loads of tasks that are decided."""


def groups_of_tasks(cost: FloatArray, load: FloatArray) -> IntArray:
    """Group index ``[tasks]`` of each task; tasks with the same load and option costs form a group."""
    _, group = np.unique(np.column_stack([load, cost]), axis=0, return_inverse=True)
    return np.asarray(group.ravel(), dtype=np.int64)


class AssignmentMilp(CutSearch):
    """The MILP: columns ``[counts]``, the tasks of a group on an option, and squares ``[servers]``.

    Parameters
    ----------
    costs : CoreCosts
    v : array [servers]
        Root prices.
    assignment : array [tasks]
        Incumbent.
    group : array [tasks]
        From `groups_of_tasks`: the MILP counts the tasks of a group on each option.
    allowance : float
        Absolute gap asked for; at least ``2 SAFETY TIGHT`` times the initial gap is used.
    """

    # The model is small and tight, and presolve only costs time.
    presolve = False

    def __init__(
        self, costs: CoreCosts, v: FloatArray, assignment: IntArray, group: IntArray, allowance: float
    ) -> None:
        cost, load, capacity, _ = costs
        bound, upper = price_bound(*costs, v), assignment_cost(*costs, assignment)
        gap = upper - bound
        self.costs, self.v, self.assignment, self.group = costs, v, assignment, group
        self.group_size = np.bincount(group)
        _, first = np.unique(group, return_index=True)
        reduced = reduced_cost(cost[first], load[first], v)
        self.group_of, self.option = np.nonzero(reduced <= gap)
        self.load = load[first][self.group_of]
        self.unit_load = np.sqrt(gap * capacity)
        counts, servers = len(self.group_of), len(capacity)
        programme = Programme(
            np.concatenate([reduced[self.group_of, self.option] / gap, np.ones(servers)]),
            np.zeros(counts + servers),
            np.append(self.group_size[self.group_of], np.ones(servers)),
            np.arange(counts),
        )
        # The incumbent is better than what heuristics find: these features only cost time here.
        programme.set_options(mip_detect_symmetry=False, mip_allow_restart=False, mip_heuristic_effort=0.0)
        super().__init__(programme, bound, upper, max(allowance, 2.0 * SAFETY * TIGHT * gap), bound, gap)
        for number, size in enumerate(self.group_size):
            programme.add_row(np.flatnonzero(self.group_of == number), 1.0, size, size)
        for point in FIRST_TANGENTS:
            self._add_tangents(np.full(servers, point))
        self._add_tangents(self._deviations(assignment))

    def _deviations(self, assignment: IntArray) -> FloatArray:
        """Deviations ``x [servers]`` of an assignment's loads, in units of ``sqrt(gap F)``."""
        _, load, capacity, fixed_load = self.costs
        loads: FloatArray = server_loads(load, fixed_load, assignment)
        return (loads - self.v * capacity) / self.unit_load

    def _add_tangents(self, points: FloatArray) -> None:
        """Add the cuts ``q_j >= 2 y x_j - y^2`` at the points ``y [servers]``."""
        _, _, capacity, fixed_load = self.costs
        for j, point in enumerate(points):
            there = np.flatnonzero(self.option == j + 1)
            offset = 2.0 * point * (fixed_load[j] - self.v[j] * capacity[j]) / self.unit_load[j] - point**2
            slopes = np.append(-2.0 * point / self.unit_load[j] * self.load[there], 1.0)
            self.programme.add_row(np.append(there, len(self.option) + j), slopes, offset)

    def refine(self, values: FloatArray) -> bool:
        """Assign the tasks of each group as counted, and add tangents at the servers' loads."""
        counts = np.rint(values[: len(self.option)]).astype(np.int64)
        found = np.empty_like(self.assignment)
        found[np.argsort(self.group, kind="stable")] = np.repeat(self.option, counts)  # `group_of` is ascending
        cost = assignment_cost(*self.costs, found)
        if cost < self.upper:
            self.assignment, self.upper = found, cost
        new = self.first_time(found)
        if new:
            self._add_tangents(self._deviations(found))
        return new
