"""The MILP core of slots with shared servers: open options, price cuts, HiGHS with a cutoff.

``x[i,j,n,b]`` says that task i is on server j with n users in mode b, ``z[j,n]`` that server j has n users, ``t[j,n]``
what it then costs. For every price of CPU

    t_jn >= sum phi_ijnb(y) x_ijnb - y F z_jn

is valid; cuts are added at the price at which each MILP solution shares the CPU, and HiGHS is run again. Costs count
from the bound, in units of the gap, so that HiGHS's tolerances are relative to the gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.task_splitting import Splitting, settle
from offloadopt.solvers.assignment.core_milp import SAFETY, TIGHT, USUAL
from offloadopt.solvers.shared_servers.dual_bound import Bound
from offloadopt.structures.assignment import AssignmentCosts

ROUNDS = 40
FIRST_PRICES = (0.0, 0.7, 0.9, 1.0, 1.1, 1.4)
"""Relative to the bound's own."""
LEAST_UNIT = 1e-7
"""Relative to the cost: smaller gaps would leave HiGHS coefficients beyond double precision."""


def mode_charges(modes: Splitting, price: FloatArray) -> FloatArray:
    """Least cost plus charge ``[2, ...]`` of the balanced split and of everything, at prices of the tasks' shape.

    Rounding of the CPU that minimises them is of second order: the value is below its true least by less than 1e-15.
    """
    found = []
    for mode in (np.asarray(False), np.asarray(True)):
        cpu = modes.best_cpu(mode, price)
        found.append(np.where(np.isfinite(modes.send_s), modes.mode_cost(mode, cpu) + price * cpu, np.inf))
    return np.stack(found)


class _Rows:
    """Rows of a MILP that are still to be added to HiGHS."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], FloatArray, float, float]] = []

    def add(self, columns: NDArray[Any], values: FloatArray, low: float, high: float) -> None:
        self._parts.append((columns, values, low, high))

    def hand_over(self, highs: Any) -> None:
        columns, values, low, high = zip(*self._parts, strict=True)
        sizes = [len(part) for part in columns]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        entries = np.concatenate(columns).astype(np.int32)
        highs.addRows(
            len(sizes), np.array(low), np.array(high), len(entries), starts, entries, np.concatenate(values)
        )  # fmt: skip
        self._parts.clear()


def close_gap(
    modes: Splitting,
    possible: NDArray[np.bool_],
    bound: Bound,
    costs: AssignmentCosts,
    assignment: IntArray,
    upper: float,
    allowance: float,
    deadline: float,
) -> tuple[IntArray, float, float]:
    """Improve ``assignment`` or prove it best to within ``allowance``: the better of both, its cost and a valid bound.

    ``modes`` are one slot's ``[tasks, sites, numbers]``, ``possible [2, tasks, sites, numbers]`` the options that a
    better assignment may use, balanced and whole.
    """
    import highspy

    _, tasks, sites, numbers = possible.shape
    unit = max(upper - bound.value, LEAST_UNIT * upper)
    mode, task, site, number = np.nonzero(possible)
    whole = mode == 1
    option = modes.take((task, site, number))
    pair, of_pair = np.unique(site * numbers + number, return_inverse=True)
    pair_site, pair_number = pair // numbers, pair % numbers
    options, pairs = len(task), len(pair)
    local, z, t = options, options + tasks, options + tasks + pairs  # columns: x, local, z, t
    columns = t + pairs
    constant = (float(bound.pay.sum()) - bound.value) / unit

    rows = _Rows()
    for i in range(tasks):
        own = np.append(np.flatnonzero(task == i), local + i)
        rows.add(own, np.ones(len(own)), 1.0, 1.0)
    on_pair = [np.flatnonzero(of_pair == k) for k in range(pairs)]
    for k, own in enumerate(on_pair):
        rows.add(np.append(own, z + k), np.append(np.ones(len(own)), -float(pair_number[k] + 1)), 0.0, 0.0)
        for i in np.unique(task[own]):
            either = own[task[own] == i]
            rows.add(np.append(either, z + k), np.append(np.ones(len(either)), -1.0), -np.inf, 0.0)
    for j in range(sites):
        own = z + np.flatnonzero(pair_site == j)
        if len(own):
            rows.add(own, np.ones(len(own)), -np.inf, 1.0)

    def cut(k: int, price: float) -> None:
        own = on_pair[k]
        tasks_there = option.take(own)
        cpu = tasks_there.best_cpu(whole[own], np.full(len(own), price))
        charged = tasks_there.mode_cost(whole[own], cpu) + price * cpu
        values = np.concatenate([(charged - bound.pay[task[own]]) / unit, [-price * modes.cpu_max_hz / unit, -1.0]])
        rows.add(np.concatenate([own, [z + k, t + k]]), values, -np.inf, 0.0)

    def cut_where_it_stands(chosen: IntArray) -> None:
        for j in range(sites):
            members = np.flatnonzero((chosen > 0) & ((chosen - 1) % sites == j))
            k = np.flatnonzero((pair_site == j) & (pair_number == len(members) - 1))
            if len(k):
                cut(int(k[0]), settled_price(modes, members, j, chosen[members] > sites))

    for k in range(pairs):
        for price in {part * float(bound.price[pair_site[k], pair_number[k]]) for part in FIRST_PRICES}:
            cut(k, price)
    cut_where_it_stands(assignment)

    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    settings: dict[str, bool | int | float] = {
        "output_flag": False,
        "threads": 1,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.25 * allowance / unit,
        "objective_bound": (upper - bound.value) / unit - constant + SAFETY * TIGHT,
    }
    for name, value in settings.items():
        highs.setOptionValue(name, value)
    lowest = np.append(np.zeros(t), np.full(pairs, -highspy.kHighsInf))
    highs.addVars(columns, lowest, np.append(np.ones(t), np.full(pairs, highspy.kHighsInf)))
    objective = np.zeros(columns)
    objective[local:z], objective[t:] = (1.0 - bound.pay) / unit, 1.0
    highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), objective)
    highs.changeColsIntegrality(t, np.arange(t, dtype=np.int32), np.full(t, highspy.HighsVarType.kInteger))
    proved, best, tolerance = bound.value, assignment, TIGHT
    rows.hand_over(highs)
    for _ in range(ROUNDS):
        left_s = deadline - clock()
        if left_s <= 0:
            break
        for name in ("mip", "primal", "dual"):
            highs.setOptionValue(f"{name}_feasibility_tolerance", tolerance)
        if np.isfinite(left_s):
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        margin = SAFETY * tolerance * unit
        if status == highspy.HighsModelStatus.kInfeasible:
            proved = max(proved, upper - margin)  # nothing better than the cutoff, which is the incumbent
            break
        if status == highspy.HighsModelStatus.kSolveError:
            # Now and then HiGHS finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
            if tolerance >= USUAL:
                break
            tolerance *= 10.0
            highs.clearSolver()
            continue
        if np.isfinite(info.mip_dual_bound):
            proved = max(proved, min(bound.value + (info.mip_dual_bound + constant) * unit - margin, upper))
        if status != highspy.HighsModelStatus.kOptimal:
            break
        taken = np.flatnonzero(np.rint(np.asarray(highs.getSolution().col_value)[:options]) > 0)
        found = np.zeros(tasks, dtype=np.int64)
        found[task[taken]] = site[taken] + 1 + np.where(whole[taken], sites, 0)
        reached = float(costs.cost(found[None])[0])
        if reached < upper:
            best, upper = found, reached
        if upper - proved <= allowance:
            break
        cut_where_it_stands(found)
        rows.hand_over(highs)
    return best, upper, min(proved, upper)


def settled_price(modes: Splitting, members: IntArray, site: int, whole: NDArray[np.bool_]) -> float:
    """The price at which a server's CPU is just used up by these tasks in these modes; 0 where some is left."""
    number = len(members)
    tasks = modes.take((members, np.full(number, site), np.full(number, number - 1))).packed()
    return float(settle(number, whole, tasks, modes.time_weight, modes.cpu_max_hz, np.empty(number)))
