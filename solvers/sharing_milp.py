"""The MILP core of slots with shared servers: open options, price cuts, HiGHS with an incumbent.

``x[i,j,n,b]`` says that task i is on server j with n users in mode b, ``z[j,n]`` that server j has n users, ``t[j]`` what
server j costs. For every price of CPU

    t_j >= sum phi_ijnb(y) x_ijnb - sum_n y_jn F z_jn

is valid; cuts are added at the price at which each MILP solution would share the CPU, and HiGHS is run again. Costs
count from the bound, in units of the gap, so that HiGHS's tolerances are relative to the gap.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.partial import Splitting
from offloadopt.solvers.core_milp import SAFETY, TIGHT
from offloadopt.solvers.sharing_bound import Bound, ServerCosts
from offloadopt.structure import AssignmentCosts

ROUNDS = 30


def close_gap(
    modes: Splitting,
    charged: ServerCosts,
    possible: NDArray[np.bool_],
    bound: Bound,
    costs: AssignmentCosts,
    assignment: IntArray,
    upper: float,
    allowance: float,
    deadline: float,
) -> tuple[IntArray, float]:
    """Improve ``assignment`` or prove it best to within ``allowance``; the better of both and a valid bound.

    ``possible [tasks, sites, numbers]`` are the options that a better assignment may use.
    """
    import highspy
    from scipy.sparse import coo_matrix, csr_matrix

    from offloadopt.solvers.sharing import mode_charges

    tasks, sites, numbers = possible.shape
    gap = upper - bound.value
    task, site, number = np.nonzero(possible)
    options = len(task)
    pair, of_pair = np.unique(site * numbers + number, return_inverse=True)
    pair_site, pair_number = pair // numbers, pair % numbers
    # Columns: x balanced, x whole, local, z, t.
    whole, local, z, t = options, 2 * options, 2 * options + tasks, 2 * options + tasks + len(pair)
    columns = t + sites
    x = np.arange(options)

    def phi(price: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Both modes' charges of the open options, at ``price [sites, numbers]``, in units of the gap."""
        one = modes.take((task, site, number))
        at = price[site, number]
        found = []
        for everything in (False, True):
            mode = np.full((), everything)
            cpu = one.best_cpu(mode, at)
            found.append((one.mode_cost(mode, cpu) + at * cpu - bound.pay[task]) / gap)
        return found[0], found[1]

    objective = np.zeros(columns)
    objective[local:z] = (charged.local - bound.pay) / gap
    objective[t:] = 1.0
    # The constant: pay of all tasks, relative to the bound; solutions below 1 are better than the incumbent.
    constant = (float(bound.pay.sum()) - bound.value) / gap
    rows: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any], float, float]] = []

    def add(columns_of: NDArray[Any], values: NDArray[Any], low: float, high: float) -> None:
        rows.append((columns_of, values, np.zeros(0), low, high))

    for i in range(tasks):
        own = x[task == i]
        entries = np.concatenate([own, whole + own, [local + i]])
        add(entries, np.ones(len(entries)), 1.0, 1.0)
    for k in range(len(pair)):
        own = x[of_pair == k]
        entries = np.concatenate([own, whole + own, [z + k]])
        add(entries, np.append(np.ones(2 * len(own)), -float(pair_number[k] + 1)), 0.0, 0.0)
    for option in range(options):
        add(np.array([option, whole + option, z + of_pair[option]]), np.array([1.0, 1.0, -1.0]), -np.inf, 0.0)
    for j in range(sites):
        own = z + np.flatnonzero(pair_site == j)
        if len(own):
            add(own, np.ones(len(own)), -np.inf, 1.0)

    def cut(price: FloatArray) -> None:
        split, everything = phi(price)
        for j in range(sites):
            own = x[site == j]
            pairs = np.flatnonzero(pair_site == j)
            paid = price[j, pair_number[pairs]] * modes.cpu_max_hz / gap
            entries = np.concatenate([own, whole + own, z + pairs, [t + j]])
            add(entries, np.concatenate([split[own], everything[own], -paid, [-1.0]]), -np.inf, 0.0)

    for price in charged.paid / modes.cpu_max_hz:
        cut(price)

    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in {"output_flag": False, "threads": 1, "mip_rel_gap": 0.0}.items():
        highs.setOptionValue(name, value)
    for name in ("mip", "primal", "dual"):
        highs.setOptionValue(f"{name}_feasibility_tolerance", TIGHT)
    highs.setOptionValue("mip_abs_gap", 0.25 * allowance / gap)
    highs.setOptionValue("objective_bound", 1.0 - constant + SAFETY * TIGHT)
    lowest = np.zeros(columns)
    lowest[t:] = -highspy.kHighsInf
    highest = np.append(np.ones(t), np.full(sites, highspy.kHighsInf))
    highs.addVars(columns, lowest, highest)
    highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), objective)
    highs.changeColsIntegrality(t, np.arange(t, dtype=np.int32), np.full(t, highspy.HighsVarType.kInteger))
    proved, best, added = bound.value, assignment, 0
    for _ in range(ROUNDS):
        matrix: csr_matrix = coo_matrix(
            (
                np.concatenate([row[1] for row in rows[added:]]),
                (
                    np.repeat(np.arange(len(rows) - added), [len(row[0]) for row in rows[added:]]),
                    np.concatenate([row[0] for row in rows[added:]]),
                ),
            ),
            shape=(len(rows) - added, columns),
        ).tocsr()
        lows = np.array([row[3] for row in rows[added:]])
        highs.addRows(
            len(lows), lows, np.array([row[4] for row in rows[added:]]), matrix.nnz,
            matrix.indptr[:-1].astype(np.int32), matrix.indices.astype(np.int32), matrix.data,
        )  # fmt: skip
        added = len(rows)
        left_s = deadline - perf_counter()
        if left_s <= 0:
            break
        if np.isfinite(left_s):
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            proved = upper - SAFETY * TIGHT * gap  # nothing better than the cutoff, which is the incumbent
            break
        if np.isfinite(info.mip_dual_bound):
            found_bound = bound.value + (info.mip_dual_bound + constant - SAFETY * TIGHT) * gap
            proved = max(proved, min(found_bound, upper))
        if status != highspy.HighsModelStatus.kOptimal:
            break
        values = np.rint(np.asarray(highs.getSolution().col_value))
        found = np.zeros(tasks, dtype=np.int64)
        for offset, extra in ((0, 0), (whole, sites)):
            taken = values[offset : offset + options] > 0
            found[task[taken]] = site[taken] + 1 + extra
        reached = float(costs.cost(found[None])[0])
        if reached < upper:
            best, upper = found, reached
        if upper - proved <= allowance:
            break
        prices = shared_prices(modes, found, sites)
        cut(np.broadcast_to(prices[:, None], (sites, numbers)))
    del mode_charges
    return best, min(proved, upper)


def shared_prices(modes: Splitting, assignment: IntArray, sites: int) -> FloatArray:
    """[sites] the price at which each server's CPU is just used up by the tasks that it has."""
    prices = np.zeros(sites)
    for j in range(sites):
        members = np.flatnonzero((assignment > 0) & ((assignment - 1) % sites == j))
        if not len(members):
            continue
        one = modes.take((members, np.full(len(members), j), np.full(len(members), len(members) - 1)))
        whole = assignment[members] > sites
        low, high = 0.0, 1.0 / modes.cpu_max_hz
        if one.best_cpu(whole, np.zeros(len(members))).sum() <= modes.cpu_max_hz:
            continue
        while one.best_cpu(whole, np.full(len(members), high)).sum() > modes.cpu_max_hz:
            high *= 4.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            dear = one.best_cpu(whole, np.full(len(members), middle)).sum() <= modes.cpu_max_hz
            low, high = (low, middle) if dear else (middle, high)
        prices[j] = high
    return prices
