"""MILP of a slot with shared servers: undecided options, cuts at CPU prices, HiGHS with a cutoff.

Binary ``x[i,j,n,b]``: task i is on server j with n users in mode b; binary ``z[j,n]``: server j has n users; ``t[j,n]``
is the cost of its tasks. For every CPU price ``y``

    t_jn >= sum phi_ijnb(y) x_ijnb - y F z_jn

is valid. After each MILP solution, cuts are added at the prices of its optimal CPU shares, and HiGHS is run again. The
objective is the cost above the bound in units of the gap, so that HiGHS's tolerances are relative to the gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.task_splitting import Splitting, share_server_cpu
from offloadopt.solvers.assignment.core_milp import SAFETY, TIGHT, USUAL
from offloadopt.solvers.shared_servers.dual_bound import DualBound
from offloadopt.structures.assignment import AssignmentCosts

MAX_ROUNDS = 40
"""Largest number of MILPs."""
INITIAL_PRICES = (0.0, 0.7, 0.9, 1.0, 1.1, 1.4)
"""CPU prices of the first cuts, relative to those of the bound."""
MIN_UNIT = 1e-7
"""Least unit of the objective, relative to the cost: smaller ones exceed the precision of HiGHS's coefficients."""


def priced_mode_costs(modes: Splitting, price: FloatArray) -> FloatArray:
    """Least cost plus price of CPU ``[2, ...]`` of the balanced split and of full offloading.

    Rounding of the minimising CPU has an effect of second order: the value exceeds the minimum by less than 1e-15.

    Parameters
    ----------
    modes : Splitting
        Arrays of shape ``[...]``.
    price : array [...]
        CPU prices, per Hz.
    """
    costs = []
    for mode in (np.asarray(False), np.asarray(True)):
        cpu = modes.best_cpu(mode, price)
        costs.append(np.where(np.isfinite(modes.send_s), modes.mode_cost(mode, cpu) + price * cpu, np.inf))
    return np.stack(costs)


class _RowBuffer:
    """Rows of a MILP that are collected and then added to HiGHS in one call."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], FloatArray, float, float]] = []

    def add(self, columns: NDArray[Any], values: FloatArray, low: float, high: float) -> None:
        self._parts.append((columns, values, low, high))

    def flush(self, highs: Any) -> None:
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
    undecided: NDArray[np.bool_],
    bound: DualBound,
    costs: AssignmentCosts,
    assignment: IntArray,
    upper: float,
    allowance: float,
    deadline: float,
) -> tuple[IntArray, float, float]:
    """Improve ``assignment``, or prove that it is optimal to within ``allowance``.

    Parameters
    ----------
    modes : Splitting
        Arrays ``[tasks, sites, numbers]`` of one slot.
    undecided : array [2, tasks, sites, numbers]
        Options that a better assignment may use, for the balanced split and full offloading.
    bound : DualBound
    costs : AssignmentCosts
    assignment : array [tasks]
        Incumbent.
    upper : float
        Its cost.
    allowance : float
        Absolute gap asked for.
    deadline : float
        Reading of `offloadopt.clock.clock` at which to stop.

    Returns
    -------
    array [tasks]
        The best assignment found.
    float
        Its cost.
    float
        Lower bound of every assignment's cost.
    """
    import highspy

    _, tasks, sites, numbers = undecided.shape
    unit = max(upper - bound.value, MIN_UNIT * upper)
    mode, task, site, number = np.nonzero(undecided)
    whole = mode == 1
    option = modes.take((task, site, number))
    pair, pair_of = np.unique(site * numbers + number, return_inverse=True)
    pair_site, pair_number = pair // numbers, pair % numbers
    options, pairs = len(task), len(pair)
    local, z, t = options, options + tasks, options + tasks + pairs  # columns: x, local, z, t
    columns = t + pairs
    constant = (float(bound.task_price.sum()) - bound.value) / unit

    rows = _RowBuffer()
    for i in range(tasks):
        own = np.append(np.flatnonzero(task == i), local + i)
        rows.add(own, np.ones(len(own)), 1.0, 1.0)
    on_pair = [np.flatnonzero(pair_of == k) for k in range(pairs)]
    for k, own in enumerate(on_pair):
        rows.add(np.append(own, z + k), np.append(np.ones(len(own)), -float(pair_number[k] + 1)), 0.0, 0.0)
        for i in np.unique(task[own]):
            either = own[task[own] == i]
            rows.add(np.append(either, z + k), np.append(np.ones(len(either)), -1.0), -np.inf, 0.0)
    for j in range(sites):
        own = z + np.flatnonzero(pair_site == j)
        if len(own):
            rows.add(own, np.ones(len(own)), -np.inf, 1.0)

    def add_cut(k: int, price: float) -> None:
        own = on_pair[k]
        tasks_there = option.take(own)
        cpu = tasks_there.best_cpu(whole[own], np.full(len(own), price))
        priced_cost = tasks_there.mode_cost(whole[own], cpu) + price * cpu
        values = np.concatenate(
            [(priced_cost - bound.task_price[task[own]]) / unit, [-price * modes.cpu_max_hz / unit, -1.0]]
        )
        rows.add(np.concatenate([own, [z + k, t + k]]), values, -np.inf, 0.0)

    def cut_at(chosen: IntArray) -> None:
        for j in range(sites):
            members = np.flatnonzero((chosen > 0) & ((chosen - 1) % sites == j))
            k = np.flatnonzero((pair_site == j) & (pair_number == len(members) - 1))
            if len(k):
                add_cut(int(k[0]), clearing_price(modes, members, j, chosen[members] > sites))

    for k in range(pairs):
        for price in {factor * float(bound.cpu_price[pair_site[k], pair_number[k]]) for factor in INITIAL_PRICES}:
            add_cut(k, price)
    cut_at(assignment)

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
    objective[local:z], objective[t:] = (1.0 - bound.task_price) / unit, 1.0
    highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), objective)
    highs.changeColsIntegrality(t, np.arange(t, dtype=np.int32), np.full(t, highspy.HighsVarType.kInteger))
    proved, best, tolerance = bound.value, assignment, TIGHT
    rows.flush(highs)
    for _ in range(MAX_ROUNDS):
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
            proved = max(proved, upper - margin)  # no assignment costs less than the cutoff, the incumbent's cost
            break
        if status == highspy.HighsModelStatus.kSolveError:
            # HiGHS occasionally finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
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
        found_cost = float(costs.cost(found[None])[0])
        if found_cost < upper:
            best, upper = found, found_cost
        if upper - proved <= allowance:
            break
        cut_at(found)
        rows.flush(highs)
    return best, upper, min(proved, upper)


def clearing_price(modes: Splitting, members: IntArray, site: int, whole: NDArray[np.bool_]) -> float:
    """CPU price at which the demand of these tasks in these modes equals a server's CPU; 0 if the demand is less."""
    number = len(members)
    tasks = modes.take((members, np.full(number, site), np.full(number, number - 1))).packed()
    return float(share_server_cpu(number, whole, tasks, modes.time_weight, modes.cpu_max_hz, np.empty(number)))
