"""The core of a slot: sets of tasks on each server, of which only those can be in a better decision are left.

Let task j be paid ``u_j`` for being done, at most what failing costs. Then every decision costs at least

    sum_j u_j + sum_k min over sets S (V_k(S) - u(S)) + sum_i min over sets S of i's tasks (V_i(S) - u(S))

with the least cost V of computing a set on a server or at home. All sets whose surplus over their minimum is below the
gap are enumerated: with the prices that settle a set, every larger set costs at least its own cost plus what each
further task costs at these prices. What is left is a set partition, and a small MILP: no decision that uses another set
is better than the incumbent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.edge_inference import best_shares
from offloadopt.solvers.assignment.core_milp import SAFETY, TIGHT, USUAL
from offloadopt.solvers.inference.dual_bound import EPS, Bound
from offloadopt.solvers.inference.local_search import search
from offloadopt.solvers.inference.resource_allocation import Slot, settle_server

MOST_SETS = 60_000
"""More sets than that are not handed to the MILP."""
MOST_NODES, AT_ONCE = 400_000, 2_000
"""Sets that are settled in the enumeration of one server; between two looks at the clock."""
ROUNDS = 25
AROUND = np.array([[q, w] for q in (0.6, 0.8, 1.0, 1.25, 1.6) for w in (0.6, 0.8, 1.0, 1.25, 1.6)])
"""Prices at which bounds of sets are taken, in units of usual ones."""
REACH, FIRST_ROOM, MORE = 2e-3, 0.25, 0.1
"""A usual gap, relative to the cost; parts of the gap within which sets are known at first, and are added."""
CLOSE = 0.05
"""Pays are good enough when they prove so much less than the linear programme's value, as a part of the gap."""
LEAST_UNIT = 1e-7
"""Relative to the cost: smaller gaps would leave HiGHS coefficients beyond double precision."""


@njit(cache=True)
def _sets_of(
    rows: Any, pay: Any, usual: Any, around: Any, second: float, limit: float, failing: Any, room: float,
    slack: float, following: Any, chosen: Any, so_far: Any, least: float, sizes: Any, members: Any, costs: Any,
) -> float:  # fmt: skip
    """All sets with a surplus ``V(S) - u(S)`` up to ``room`` and ``slack`` above the least, and some beyond.

    Some sets are settled at a time: ``following`` and ``chosen [tasks + 1]`` (zeros at first) say where it goes on, as
    do ``so_far``: the depth, negative in the end, the sets found, -1 for too many, what is written of members, sets
    settled; and ``least``, the least surplus so far, no more than 0, which is returned. ``rows [tasks, 5]``, ``pay``
    and ``failing`` are the candidates', ``usual`` are prices of CPU and band that many sets come near to; bounds of
    what is chosen and may be are taken at these times ``around``. ``members`` gets the sets one after the other,
    ``sizes`` and ``costs`` what belongs to them.
    """
    tasks, grid = len(pay), len(around)
    extra, later, base = np.zeros((tasks, grid)), np.zeros((tasks + 1, grid)), np.zeros((tasks + 1, grid))
    paid, most, inside = np.zeros(tasks + 1), np.zeros(tasks + 1), np.empty((tasks + 1, 5))
    weight, prices, cpu, band = np.ones(tasks + 1), np.zeros(2), np.empty(tasks + 1), np.empty(tasks + 1)
    depth, found, written, nodes = so_far
    for place in range(grid):
        q, w = usual[0] * around[place, 0], usual[1] * around[place, 1]
        base[0, place] = -q - w
        for c in range(tasks - 1, -1, -1):
            value, _, _ = best_shares(rows[c], second, limit, q, w)
            extra[c, place] = value - pay[c]
            later[c, place] = later[c + 1, place] + min(0.0, extra[c, place])
        for level in range(depth):
            base[level + 1, place] = base[level, place] + extra[chosen[level], place]
    for level in range(depth):
        inside[level], paid[level + 1] = rows[chosen[level]], paid[level] + pay[chosen[level]]
        most[level + 1] = most[level] + failing[chosen[level]]
    end = nodes + AT_ONCE
    while depth >= 0 and nodes < end:
        c = following[depth]
        ceiling = min(room, least + slack)
        with_it = without = -np.inf
        if c < tasks:
            for place in range(grid):
                with_it = max(with_it, base[depth, place] + extra[c, place] + later[c + 1, place])
                without = max(without, base[depth, place] + later[c, place])
        if c >= tasks or without > ceiling:
            depth -= 1
            continue
        following[depth] += 1
        if with_it > ceiling:
            continue
        nodes += 1
        deeper = depth + 1
        inside[depth], chosen[depth] = rows[c], c
        paid[deeper], most[deeper] = paid[depth] + pay[c], most[depth] + failing[c]
        for place in range(grid):
            base[deeper, place] = base[depth, place] + extra[c, place]
        cost = settle_server(deeper, inside, weight, second, limit, most[deeper], prices, cpu, band)
        if not np.isfinite(cost):  # nor can a larger set be better than one without these tasks
            prices[:] = usual
            continue
        surplus = cost - paid[deeper]
        least = min(least, surplus)
        if surplus <= min(room, least + slack):
            if found >= len(costs) or written + deeper > len(members):
                depth, found = -1, -1
                break
            costs[found], sizes[found] = cost, deeper
            for place in range(deeper):
                members[written + place] = chosen[place]
            written += deeper
            found += 1
        following[deeper] = c + 1
        depth = deeper
    so_far[:] = depth, found, written, nodes
    return least


@dataclass(frozen=True)
class Sets:
    """Sets of tasks with who does them: server k, or user i at home as ``servers + i``.

    Attributes
    ----------
    owner : array [sets]
    members : bool array [sets, tasks]
    cost : array [sets]
    """

    owner: IntArray
    members: NDArray[np.bool_]
    cost: FloatArray

    def and_more(self, other: Sets) -> Sets:
        """Both, each set once."""
        owner, members = np.append(self.owner, other.owner), np.concatenate([self.members, other.members])
        _, once = np.unique(np.column_stack([owner, members]), axis=0, return_index=True)
        return Sets(owner[once], members[once], np.append(self.cost, other.cost)[once])


class Enumeration:
    """The sets of a slot, by pays.

    Parameters
    ----------
    slot : Slot
    own : array [users, sets]
        What users' sets cost at home.
    usual : Bound
        Good prices and the tasks' costs there, by which sets are tried and cut off.
    deadline : float
        On the clock of `offloadopt.clock.clock`; what is not enumerated by then is not at all.
    """

    def __init__(self, slot: Slot, own: FloatArray, usual: Bound, deadline: float) -> None:
        self.slot, self.own, self.usual, self.deadline = slot, own, usual, deadline
        # A resource that is free at the prices given still has to be charged for, to tell large sets from small ones.
        mean = usual.prices.mean(axis=0)
        self._prices = np.where(usual.prices > 0, usual.prices, np.where(mean > 0, mean, 0.1 * slot.failure))
        self._bits = np.arange(own.shape[1])
        self._sizes, self._costs = np.empty(MOST_SETS, np.int64), np.empty(MOST_SETS)
        self._flat = np.empty(12 * MOST_SETS, np.int64)

    def bound(self, pay: FloatArray, least: tuple[FloatArray, FloatArray]) -> float:
        """What the pays prove, less a margin for rounding."""
        magnitude = float(np.abs(pay).sum() + np.abs(least[0]).sum() + np.abs(least[1]).sum())
        margin = EPS * (64.0 + 4.0 * self.slot.tasks) * magnitude
        return float(pay.sum() + least[0].sum() + least[1].sum()) - margin

    def below(
        self, pay: FloatArray, ceiling: FloatArray, slack: float
    ) -> tuple[Sets, tuple[FloatArray, FloatArray]] | None:
        """Sets with a surplus up to each server's ceiling and ``slack`` above its or the user's least, and these.

        The least surplus counts no set at all as 0. ``None`` for too many sets, or when
        it is too late.
        """
        slot, parts, least = self.slot, list[Sets](), np.empty(self.slot.servers)
        for k in range(slot.servers):
            found, least[k], order = self._search(k, pay, float(ceiling[k]), slack)
            if found < 0:
                return None
            sizes = self._sizes[:found]
            inside = np.zeros((found, slot.tasks), dtype=np.bool_)
            inside[np.repeat(np.arange(found), sizes), order[self._flat[: sizes.sum()]]] = True
            parts.append(Sets(np.full(found, k), inside, self._costs[:found].copy()))
        at_home = self._at_home(pay)
        least_home = at_home.min(axis=1)
        low = at_home <= (least_home + slack)[:, None]
        user, chosen = np.nonzero(low & (self._bits > 0) & np.isfinite(self.own))
        place = np.arange(slot.tasks) - slot.first[slot.user]
        inside = (user[:, None] == slot.user) & (chosen[:, None] >> np.maximum(place, 0) & 1 == 1)
        parts.append(Sets(slot.servers + user, inside, self.own[user, chosen]))
        sets = Sets(
            np.concatenate([part.owner for part in parts]),
            np.concatenate([part.members for part in parts]),
            np.concatenate([part.cost for part in parts]),
        )
        return sets, (least, least_home)

    def _search(self, k: int, pay: FloatArray, room: float, slack: float) -> tuple[int, float, IntArray]:
        slot, charged = self.slot, self.usual.charged[:, k]
        usable = np.flatnonzero(np.isfinite(charged))
        order = usable[np.argsort((charged - pay)[usable], kind="stable")]
        rows, least, so_far = np.ascontiguousarray(slot.away[order, k]), 0.0, np.zeros(4, np.int64)
        following, chosen = np.zeros(len(order) + 1, np.int64), np.zeros(len(order) + 1, np.int64)
        while so_far[0] >= 0:
            if so_far[3] >= MOST_NODES or clock() > self.deadline:
                return -1, least, order
            least = _sets_of(
                rows, pay[order], self._prices[k], AROUND, slot.second, slot.limit_s, slot.failing[order], room, slack,
                following, chosen, so_far, least, self._sizes, self._flat, self._costs,
            )  # fmt: skip
        return int(so_far[1]), least, order

    def _at_home(self, pay: FloatArray) -> FloatArray:
        """[users, sets] surplus of sets at home; not only the least count, so that ``inf`` stays."""
        first = self.slot.first
        paid = [
            (self._bits[:, None] >> np.arange(first[i + 1] - first[i]) & 1) @ pay[first[i] : first[i + 1]]
            for i in range(len(self.own))
        ]
        return self.own - np.stack(paid)


def _model(slot: Slot, sets: Sets, cost: FloatArray, failing: FloatArray, twice: FloatArray | None = None) -> Any:
    """The set partition in HiGHS: sets, then tasks that fail; a row for each task, then for each owner.

    With ``twice [tasks]``, what it saves to have a task done once too often, it is relaxed to parts of sets.
    """
    import highspy

    number, tasks = len(sets.owner), slot.tasks
    extra = 0 if twice is None else tasks
    columns = number + tasks + extra
    owners, owner_row = np.unique(sets.owner, return_inverse=True)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = columns, tasks + len(owners)
    model.col_cost_ = np.concatenate([cost, failing, np.zeros(0) if twice is None else -twice])
    model.col_lower_, model.col_upper_ = (
        np.zeros(columns),
        np.full(columns, 1.0 if twice is None else highspy.kHighsInf),
    )
    model.row_lower_ = np.append(np.ones(tasks), np.full(len(owners), -highspy.kHighsInf))
    model.row_upper_ = np.ones(tasks + len(owners))
    if twice is None:
        model.integrality_ = [highspy.HighsVarType.kInteger] * columns
    column, task = np.nonzero(sets.members)
    entry_column = np.concatenate([column, np.arange(number), number + np.arange(tasks + extra)])
    entry_row = np.concatenate([task, tasks + owner_row.ravel(), np.arange(tasks), np.arange(extra)])
    entry = np.concatenate([np.ones(len(task) + number + tasks), -np.ones(extra)])
    order = np.argsort(entry_column, kind="stable")
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.searchsorted(entry_column[order], np.arange(columns + 1)).astype(np.int32)
    model.a_matrix_.index_ = entry_row[order].astype(np.int32)
    model.a_matrix_.value_ = entry[order]
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(model)
    return highs, owners


@dataclass(frozen=True)
class Pays:
    """What each task's being done is paid, what that proves, and the best options met on the way, with their cost."""

    pay: FloatArray
    bound: float
    option: IntArray
    upper: float


def raise_pay(
    every: Enumeration, pay: FloatArray, option: IntArray, upper: float, relative_gap: float, deadline: float
) -> Pays | None:
    """Pays that prove nearly as much as any, from ``pay`` on: column generation; ``None`` for too many sets.

    Each linear programme over the sets known so far gives the pays that prove most, for all it knows, within a box
    about the best pays; sets that have less surplus than it thinks are added. The sets that it takes most of are a
    start for the search of better ``option``.
    """
    slot, unlimited = every.slot, np.zeros(every.slot.servers)
    first = every.below(pay, unlimited, FIRST_ROOM * REACH * upper)
    if first is None:
        return None
    sets, least = first
    best, bound = pay, every.bound(pay, least)
    reach = max(upper - bound, LEAST_UNIT * upper)
    for _ in range(ROUNDS):
        allowance = relative_gap * upper
        if upper - bound <= allowance or clock() > deadline:
            break
        highs, owners = _model(slot, sets, sets.cost, np.minimum(best + reach, slot.failing), best - reach)
        highs.run()
        found = highs.getSolution()
        dual, solution = np.asarray(found.row_dual), np.asarray(found.col_value)
        if len(dual) != slot.tasks + len(owners):
            break
        value = float(highs.getInfo().objective_function_value)
        start = partition(slot, sets, solution)
        if not np.array_equal(start, option):
            better, cost, _ = search(slot, every.own, start, deadline)
            if cost < upper:
                option, upper = better, cost
        if value - bound <= max(CLOSE * (upper - bound), 0.1 * allowance):
            break
        trial = np.minimum(dual[: slot.tasks], slot.failing)
        ceiling = np.zeros(slot.servers)
        served = owners < slot.servers
        ceiling[owners[served]] = np.minimum(dual[slot.tasks :][served], 0.0)
        more = every.below(trial, ceiling, MORE * max(upper - bound, 0.0))
        if more is None:
            reach *= 0.25
            continue
        # Where nothing was found below a ceiling, the least surplus is no less than the ceiling.
        least = np.minimum(more[1][0], ceiling), more[1][1]
        proved = every.bound(trial, least)
        if proved > bound:
            best, bound = trial, proved
        else:
            reach *= 0.5
        sets = sets.and_more(more[0])
    return Pays(best, bound, option, upper)


def partition(slot: Slot, sets: Sets, solution: FloatArray) -> IntArray:
    """[tasks] options of a solution's largest sets: -1 fails, 0 own CPU, j server j."""
    options = np.full(slot.tasks, -1)
    number = len(sets.owner)
    taken = np.flatnonzero(solution[:number] > 0.01)
    used = set[int]()
    for place in taken[np.argsort(-solution[taken], kind="stable")]:
        who = int(sets.owner[place])
        if who not in used and (options[sets.members[place]] < 0).all():
            used.add(who)
            options[sets.members[place]] = who + 1 if who < slot.servers else 0
    return options


def close_gap(
    slot: Slot, sets: Sets, bound: float, pay: FloatArray, option: IntArray, upper: float, allowance: float,
    deadline: float,
) -> tuple[IntArray, float]:  # fmt: skip
    """The best partition into sets: options ``[tasks]`` (those given unless better ones exist), and a valid bound.

    Costs count from the bound, in units of the gap, so that HiGHS's tolerances are relative to the gap.
    """
    import highspy

    number, tasks = len(sets.owner), slot.tasks
    unit = max(upper - bound, LEAST_UNIT * upper)
    constant = (float(pay.sum()) - bound) / unit
    surplus = sets.cost - sets.members @ pay
    highs, _ = _model(slot, sets, surplus / unit, (slot.failing - pay) / unit)
    settings: dict[str, bool | int | float] = {
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.25 * allowance / unit,
        "objective_bound": (upper - bound) / unit - constant + SAFETY * TIGHT,
    }
    for name, value in settings.items():
        highs.setOptionValue(name, value)
    tolerance = TIGHT
    while True:
        left_s = deadline - clock()
        if left_s <= 0:
            return option, bound
        for name in ("mip", "primal", "dual"):
            highs.setOptionValue(f"{name}_feasibility_tolerance", tolerance)
        if np.isfinite(left_s):
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        if status != highspy.HighsModelStatus.kSolveError or tolerance >= USUAL:
            break
        # Now and then HiGHS finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
        tolerance *= 10.0
        highs.clearSolver()
    margin = SAFETY * tolerance * unit
    if status == highspy.HighsModelStatus.kInfeasible:
        return option, upper - margin  # nothing better than the cutoff, which is the incumbent
    proved = bound
    if status != highspy.HighsModelStatus.kSolveError and np.isfinite(info.mip_dual_bound):
        proved = max(proved, min(bound + (info.mip_dual_bound + constant) * unit - margin, upper))
    solution = np.asarray(highs.getSolution().col_value)
    if len(solution) != number + tasks or not bound + (info.objective_function_value + constant) * unit < upper:
        return option, proved
    return partition(slot, sets, solution), proved
