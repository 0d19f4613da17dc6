"""MILP for the tasks that fixing and branch and bound leave undecided, with tangents of the congestion cost (HiGHS).

At root prices ``v`` every assignment costs exactly

    D(v) + sum_i r_i,a(i) + sum_j x_j^2 / F_j,     x_j = L_j - v_j F_j

with reduced costs ``r >= 0``: the cost above the bound is linear except for one square per server. Tangents of the
squares are valid cuts; after each MILP solution they are added at its loads, and HiGHS is run again. The objective is
divided by the gap to be closed, so that HiGHS's tolerances are relative to the gap, not to the cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.assignment.dual_bound import price_bound, reduced_cost
from offloadopt.solvers.assignment.local_search import assignment_cost, server_loads

FIRST_TANGENTS = (-0.6, -0.3, 0.0, 0.3, 0.6)
"""Deviations ``x_j`` of the first tangents, in units of ``sqrt(gap F_j)``, the largest of a better assignment."""
TIGHT, USUAL = 1e-9, 1e-6
"""Tolerances of HiGHS in units of the gap: the first one tried, and the default of HiGHS."""
SAFETY = 100.0
"""Number of tolerances subtracted from the bound that HiGHS reports."""


@dataclass(frozen=True)
class CoreResult:
    """The best assignment found ``[tasks]`` and a lower bound of every assignment's cost."""

    assignment: IntArray
    bound: float


def groups_of_tasks(cost: FloatArray, load: FloatArray) -> IntArray:
    """Group index ``[tasks]`` of each task; tasks with the same load and option costs form a group."""
    _, group = np.unique(np.column_stack([load, cost]), axis=0, return_inverse=True)
    return np.asarray(group.ravel(), dtype=np.int64)


def close_gap(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    fixed_load: FloatArray,
    v: FloatArray,
    assignment: IntArray,
    group: IntArray,
    allowance: float,
    deadline: float,
) -> CoreResult:
    """Improve ``assignment``, or prove that it is optimal to within ``allowance``.

    Parameters
    ----------
    cost : array [tasks, servers + 1]
        ``inf`` for options that are excluded.
    load : array [tasks]
    capacity, fixed_load, v : arrays [servers]
        Capacities, loads of tasks that are decided already, and root prices.
    assignment : array [tasks]
        Incumbent.
    group : array [tasks]
        From `groups_of_tasks`: the MILP counts the tasks of a group on each option.
    allowance : float
        Absolute gap asked for; at least ``2 SAFETY TIGHT`` times the initial gap is used.
    deadline : float
        Reading of `offloadopt.clock.clock` at which to stop.
    """
    import highspy

    bound = price_bound(cost, load, capacity, fixed_load, v)
    best, upper = assignment, assignment_cost(cost, load, capacity, fixed_load, assignment)
    gap = upper - bound
    allowance = max(allowance, 2.0 * SAFETY * TIGHT * gap)
    group_size = np.bincount(group)
    _, first = np.unique(group, return_index=True)
    reduced = reduced_cost(cost[first], load[first], v)
    # One integer variable each: the number of tasks of this group on this option.
    group_of, option = np.nonzero(reduced <= gap)
    group_load = load[first]
    integers, servers = len(group_of), len(capacity)
    unit = np.sqrt(gap * capacity)

    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.25 * allowance / gap,
        "objective_bound": 1.0 + SAFETY * TIGHT,
        # The model is small and tight, and the incumbent is better than what heuristics find: these features only cost
        # time here.
        "presolve": "off",
        "mip_detect_symmetry": False,
        "mip_allow_restart": False,
        "mip_heuristic_effort": 0.0,
    }
    for name, value in options.items():
        highs.setOptionValue(name, value)
    columns = integers + servers
    highs.addVars(columns, np.zeros(columns), np.append(group_size[group_of], np.ones(servers)).astype(np.float64))
    objective = np.concatenate([reduced[group_of, option] / gap, np.ones(servers)])
    highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), objective)
    highs.changeColsIntegrality(
        integers, np.arange(integers, dtype=np.int32), np.full(integers, highspy.HighsVarType.kInteger)
    )
    for number, size in enumerate(group_size):
        own = np.flatnonzero(group_of == number).astype(np.int32)
        highs.addRow(float(size), float(size), len(own), own, np.ones(len(own)))
    on_server = [np.flatnonzero(option == j + 1).astype(np.int32) for j in range(servers)]

    def add_tangents(points: FloatArray) -> None:
        """Add the cuts ``q_j >= 2 y x_j/unit_j - y^2`` at the points ``y [servers]``."""
        for j in range(servers):
            rows = on_server[j]
            offset = 2.0 * points[j] * (fixed_load[j] - v[j] * capacity[j]) / unit[j] - points[j] ** 2
            slopes = np.append(-2.0 * points[j] / unit[j] * group_load[group_of[rows]], 1.0)
            highs.addRow(offset, highspy.kHighsInf, len(rows) + 1, np.append(rows, np.int32(integers + j)), slopes)

    def deviations(chosen: IntArray) -> FloatArray:
        loads: FloatArray = server_loads(load, fixed_load, chosen)
        return (loads - v * capacity) / unit

    for point in FIRST_TANGENTS:
        add_tangents(np.full(servers, point))
    add_tangents(deviations(best))
    proved, tolerance = bound, TIGHT
    while True:
        for name in ("mip", "primal", "dual"):
            highs.setOptionValue(f"{name}_feasibility_tolerance", tolerance)
        left_s = deadline - clock()
        if left_s <= 0:
            break
        if np.isfinite(left_s):
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)
        counts = np.zeros((len(group_size), servers + 1))
        np.add.at(counts, (group, best), 1.0)
        incumbent = np.append(counts[group_of, option], np.minimum(deviations(best) ** 2, 1.0))
        start = highspy.HighsSolution()
        start.col_value = incumbent.tolist()
        highs.setSolution(start)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            proved = upper - SAFETY * tolerance * gap  # no assignment costs less than the cutoff, the incumbent's cost
            break
        if status == highspy.HighsModelStatus.kSolveError and tolerance < USUAL:
            # HiGHS occasionally finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
            tolerance *= 10.0
            highs.clearSolver()
            continue
        if status != highspy.HighsModelStatus.kSolveError and np.isfinite(info.mip_dual_bound):
            proved = max(proved, bound + (min(info.mip_dual_bound, 1.0) - SAFETY * tolerance) * gap)
        if status != highspy.HighsModelStatus.kOptimal or proved >= upper - allowance:
            break
        values = np.rint(np.asarray(highs.getSolution().col_value)[:integers]).astype(np.int64)
        found = np.empty_like(best)
        found[np.argsort(group, kind="stable")] = np.repeat(option, values)  # `group_of` is ascending
        found_cost = assignment_cost(cost, load, capacity, fixed_load, found)
        if found_cost < upper:
            best, upper = found, found_cost
        if proved >= upper - allowance:
            break
        add_tangents(deviations(found))
    return CoreResult(best, min(proved, upper))
