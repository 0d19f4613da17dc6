"""The MILP core: what fixing and a short tree leave open, closed by HiGHS with tangents of the congestion.

At prices ``v`` every assignment costs exactly

    D(v) + sum_i r_i,a(i) + sum_j x_j^2 / F_j,     x_j = L_j - v_j F_j

with reduced costs ``r >= 0``: what is above the bound is linear but for one square per server. Its tangents are valid
cuts at any point; they are added where each MILP solution stands, and HiGHS is run again. All is divided by the gap to
be closed, so that HiGHS's tolerances are relative to the gap, not to the cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.assignment.dual_bound import price_bound, reduced_cost
from offloadopt.solvers.assignment.local_search import assignment_cost, server_loads

FIRST_TANGENTS = (-0.6, -0.3, 0.0, 0.3, 0.6)
"""In units of the largest deviation ``sqrt(gap F_j)`` that a better assignment can have."""
TIGHT, USUAL = 1e-9, 1e-6
"""HiGHS's tolerances in units of the gap: the first that is tried, and its own default."""
SAFETY = 100.0
"""So many tolerances are taken off HiGHS's bound."""


@dataclass(frozen=True)
class CoreResult:
    """The best assignment found and a lower bound of every assignment's cost."""

    assignment: IntArray
    bound: float


def groups_of_tasks(cost: FloatArray, load: FloatArray) -> IntArray:
    """[tasks] the number of each task's group; tasks of the same load and option costs share one."""
    _, group = np.unique(np.column_stack([load, cost]), axis=0, return_inverse=True)
    return np.asarray(group.ravel(), dtype=np.int64)


def close_gap(
    cost: FloatArray,
    load: FloatArray,
    capacity: FloatArray,
    placed: FloatArray,
    v: FloatArray,
    assignment: IntArray,
    alike: IntArray,
    allowance: float,
    deadline: float,
) -> CoreResult:
    """Improve ``assignment`` or prove it best to within ``allowance``, until ``deadline`` (`offloadopt.clock.clock`).

    ``alike [tasks]`` numbers groups of tasks that are the same (`groups_of_tasks`): they are counted, not told apart.
    Less than ``2 SAFETY TIGHT`` of the gap to be closed cannot be proved.
    """
    import highspy

    bound = price_bound(cost, load, capacity, placed, v)
    best, upper = assignment, assignment_cost(cost, load, capacity, placed, assignment)
    gap = upper - bound
    allowance = max(allowance, 2.0 * SAFETY * TIGHT * gap)
    members = np.bincount(alike)
    _, first = np.unique(alike, return_index=True)
    dearer = reduced_cost(cost[first], load[first], v)
    kind, option = np.nonzero(dearer <= gap)  # one integer each: how many tasks of this kind take this option
    kind_load = load[first]
    integers, servers = len(kind), len(capacity)
    unit = np.sqrt(gap * capacity)

    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.25 * allowance / gap,
        "objective_bound": 1.0 + SAFETY * TIGHT,
        # The model is small and tight already, and the incumbent better than what heuristics find: without all that
        # the median of 100 x 10 at load 1 takes a quarter of the time.
        "presolve": "off",
        "mip_detect_symmetry": False,
        "mip_allow_restart": False,
        "mip_heuristic_effort": 0.0,
    }
    for name, value in options.items():
        highs.setOptionValue(name, value)
    columns = integers + servers
    highs.addVars(columns, np.zeros(columns), np.append(members[kind], np.ones(servers)).astype(np.float64))
    objective = np.concatenate([dearer[kind, option] / gap, np.ones(servers)])
    highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), objective)
    highs.changeColsIntegrality(
        integers, np.arange(integers, dtype=np.int32), np.full(integers, highspy.HighsVarType.kInteger)
    )
    for number, size in enumerate(members):
        own = np.flatnonzero(kind == number).astype(np.int32)
        highs.addRow(float(size), float(size), len(own), own, np.ones(len(own)))
    on_server = [np.flatnonzero(option == j + 1).astype(np.int32) for j in range(servers)]

    def add_tangents(points: FloatArray) -> None:
        """Cut ``q_j >= 2 y x_j/unit_j - y^2`` at the points ``y [servers]``."""
        for j in range(servers):
            rows = on_server[j]
            offset = 2.0 * points[j] * (placed[j] - v[j] * capacity[j]) / unit[j] - points[j] ** 2
            slopes = np.append(-2.0 * points[j] / unit[j] * kind_load[kind[rows]], 1.0)
            highs.addRow(offset, highspy.kHighsInf, len(rows) + 1, np.append(rows, np.int32(integers + j)), slopes)

    def deviations(chosen: IntArray) -> FloatArray:
        loads: FloatArray = server_loads(load, placed, chosen)
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
        counts = np.zeros((len(members), servers + 1))
        np.add.at(counts, (alike, best), 1.0)
        incumbent = np.append(counts[kind, option], np.minimum(deviations(best) ** 2, 1.0))
        start = highspy.HighsSolution()
        start.col_value = incumbent.tolist()
        highs.setSolution(start)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            proved = upper - SAFETY * tolerance * gap  # nothing better than the cutoff, which is the incumbent
            break
        if status == highspy.HighsModelStatus.kSolveError and tolerance < USUAL:
            # Now and then HiGHS finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
            tolerance *= 10.0
            highs.clearSolver()
            continue
        if status != highspy.HighsModelStatus.kSolveError and np.isfinite(info.mip_dual_bound):
            proved = max(proved, bound + (min(info.mip_dual_bound, 1.0) - SAFETY * tolerance) * gap)
        if status != highspy.HighsModelStatus.kOptimal or proved >= upper - allowance:
            break
        values = np.rint(np.asarray(highs.getSolution().col_value)[:integers]).astype(np.int64)
        found = np.empty_like(best)
        found[np.argsort(alike, kind="stable")] = np.repeat(option, values)  # `kind` ascends
        reached = assignment_cost(cost, load, capacity, placed, found)
        if reached < upper:
            best, upper = found, reached
        if proved >= upper - allowance:
            break
        add_tangents(deviations(found))
    return CoreResult(best, min(proved, upper))
