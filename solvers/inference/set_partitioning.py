"""Set partitioning of one slot: sets of tasks on each server, reduced to those that a better decision can contain.

Let ``u_j`` (at most the failure cost) be the dual price of completing task j. Then every decision costs at least

    sum_j u_j + sum_k min over sets S (V_k(S) - u(S)) + sum_i min over sets S of i's tasks (V_i(S) - u(S))

with the least cost V of computing a set on a server k or on the own CPU of user i. All sets whose reduced cost
``V(S) - u(S)`` exceeds the minimum by less than the gap are enumerated: at the clearing prices of a set, every larger
set costs at least as much as the set plus the priced costs of the further tasks. No decision that contains another set
is better than the incumbent; a small set-partitioning MILP over the enumerated sets closes the gap.
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
from offloadopt.solvers.inference.dual_bound import EPS, DualBound
from offloadopt.solvers.inference.local_search import local_search
from offloadopt.solvers.inference.resource_allocation import SlotTasks, share_server

MOST_SETS = 60_000
"""Largest number of sets in the MILP."""
MOST_NODES, SETS_PER_CALL = 400_000, 2_000
"""Largest number of sets evaluated for one server; number evaluated between two checks of the time limit."""
ROUNDS = 25
"""Largest number of rounds of column generation."""
PRICE_FACTORS = np.array([[q, w] for q in (0.6, 0.8, 1.0, 1.25, 1.6) for w in (0.6, 0.8, 1.0, 1.25, 1.6)])
"""Resource prices at which bounds of sets are computed, relative to the reference prices."""
USUAL_GAP, FIRST_SLACK, ADDED_SLACK = 2e-3, 0.25, 0.1
"""Typical gap, relative to the cost; fractions of the gap within which initial and additional sets are enumerated."""
LP_TOLERANCE = 0.05
"""Column generation ends when bound and linear programme differ by this fraction of the gap."""
LEAST_GAP_UNIT = 1e-7
"""Least unit of costs in HiGHS, relative to the cost: smaller ones give coefficients beyond double precision."""


@njit(cache=True)
def _enumerate_sets(
    rows: Any, task_price: Any, reference_prices: Any, price_factors: Any, second_price: float, limit: float,
    failure_costs: Any, largest_reduced_cost: float, slack: float, next_candidate: Any, chosen: Any, state: Any,
    least: float, sizes: Any, members: Any, costs: Any,
) -> float:  # fmt: skip
    """Enumerate sets with reduced cost ``V(S) - u(S)`` up to ``largest_reduced_cost`` and ``slack`` above the least.

    Depth-first search over the candidate tasks, with some sets beyond these limits. A call evaluates a limited number
    of sets and can be resumed: ``next_candidate`` and ``chosen [tasks + 1]`` (zeros at first) hold the search's path,
    and ``state`` the depth (negative at the end), the number of sets found (-1 for too many), the number of members
    written and the number of sets evaluated. ``least`` is the least reduced cost so far, at most 0; it is returned.
    ``rows [tasks, 5]``, ``task_price`` and ``failure_costs`` belong to the candidates. Bounds of extensions are
    computed at ``reference_prices`` of CPU and band times ``price_factors``. ``members`` receives the sets one after
    the other, ``sizes`` and ``costs`` their sizes and costs.
    """
    tasks, grid = len(task_price), len(price_factors)
    task_terms = np.zeros((tasks, grid))
    remaining_terms, set_terms = np.zeros((tasks + 1, grid)), np.zeros((tasks + 1, grid))
    price_sum, cost_limit, chosen_rows = np.zeros(tasks + 1), np.zeros(tasks + 1), np.empty((tasks + 1, 5))
    weight, prices, cpu, band = np.ones(tasks + 1), np.zeros(2), np.empty(tasks + 1), np.empty(tasks + 1)
    depth, found, written, nodes = state
    for point in range(grid):
        q, w = reference_prices[0] * price_factors[point, 0], reference_prices[1] * price_factors[point, 1]
        set_terms[0, point] = -q - w
        for c in range(tasks - 1, -1, -1):
            value, _, _ = best_shares(rows[c], second_price, limit, q, w)
            task_terms[c, point] = value - task_price[c]
            remaining_terms[c, point] = remaining_terms[c + 1, point] + min(0.0, task_terms[c, point])
        for level in range(depth):
            set_terms[level + 1, point] = set_terms[level, point] + task_terms[chosen[level], point]
    for level in range(depth):
        chosen_rows[level], price_sum[level + 1] = rows[chosen[level]], price_sum[level] + task_price[chosen[level]]
        cost_limit[level + 1] = cost_limit[level] + failure_costs[chosen[level]]
    end = nodes + SETS_PER_CALL
    while depth >= 0 and nodes < end:
        c = next_candidate[depth]
        ceiling = min(largest_reduced_cost, least + slack)
        bound_with = bound_without = -np.inf
        if c < tasks:
            for point in range(grid):
                bound_with = max(
                    bound_with, set_terms[depth, point] + task_terms[c, point] + remaining_terms[c + 1, point]
                )
                bound_without = max(bound_without, set_terms[depth, point] + remaining_terms[c, point])
        if c >= tasks or bound_without > ceiling:
            depth -= 1
            continue
        next_candidate[depth] += 1
        if bound_with > ceiling:
            continue
        nodes += 1
        next_depth = depth + 1
        chosen_rows[depth], chosen[depth] = rows[c], c
        price_sum[next_depth] = price_sum[depth] + task_price[c]
        cost_limit[next_depth] = cost_limit[depth] + failure_costs[c]
        for point in range(grid):
            set_terms[next_depth, point] = set_terms[depth, point] + task_terms[c, point]
        cost = share_server(
            next_depth, chosen_rows, weight, second_price, limit, cost_limit[next_depth], prices, cpu, band
        )
        if not np.isfinite(cost):  # no larger set can be better than one without these tasks
            prices[:] = reference_prices
            continue
        reduced_cost = cost - price_sum[next_depth]
        least = min(least, reduced_cost)
        if reduced_cost <= min(largest_reduced_cost, least + slack):
            if found >= len(costs) or written + next_depth > len(members):
                depth, found = -1, -1
                break
            costs[found], sizes[found] = cost, next_depth
            for point in range(next_depth):
                members[written + point] = chosen[point]
            written += next_depth
            found += 1
        next_candidate[next_depth] = c + 1
        depth = next_depth
    state[:] = depth, found, written, nodes
    return least


@dataclass(frozen=True)
class TaskSets:
    """Sets of tasks with their owners: server k, or the own CPU of user i as ``servers + i``.

    Attributes
    ----------
    owner : array [sets]
    members : bool array [sets, tasks]
    cost : array [sets]
    """

    owner: IntArray
    members: NDArray[np.bool_]
    cost: FloatArray

    def union(self, other: TaskSets) -> TaskSets:
        """Combine two collections, without duplicates."""
        owner, members = np.append(self.owner, other.owner), np.concatenate([self.members, other.members])
        _, once = np.unique(np.column_stack([owner, members]), axis=0, return_index=True)
        return TaskSets(owner[once], members[once], np.append(self.cost, other.cost)[once])


class SetEnumeration:
    """Enumeration of the sets of a slot by reduced cost.

    Parameters
    ----------
    slot : SlotTasks
    local_cost : array [users, sets]
        Cost of each user's sets on its own CPU.
    reference : DualBound
        Good resource prices with the tasks' priced costs, for the order and the bounds of the search.
    deadline : float
        On the clock of `offloadopt.clock.clock`; an unfinished enumeration gives no sets.
    """

    def __init__(self, slot: SlotTasks, local_cost: FloatArray, reference: DualBound, deadline: float) -> None:
        self.slot, self.local_cost, self.reference, self.deadline = slot, local_cost, reference, deadline
        # Resources with price 0 get a positive one, so that bounds distinguish large sets from small ones.
        mean = reference.prices.mean(axis=0)
        self._prices = np.where(reference.prices > 0, reference.prices, np.where(mean > 0, mean, 0.1 * slot.failure))
        self._bits = np.arange(local_cost.shape[1])
        self._sizes, self._costs = np.empty(MOST_SETS, np.int64), np.empty(MOST_SETS)
        self._flat = np.empty(12 * MOST_SETS, np.int64)

    def bound(self, task_price: FloatArray, least: tuple[FloatArray, FloatArray]) -> float:
        """Lower bound of task prices and the ``least`` reduced costs, less a margin for rounding."""
        magnitude = float(np.abs(task_price).sum() + np.abs(least[0]).sum() + np.abs(least[1]).sum())
        margin = EPS * (64.0 + 4.0 * self.slot.tasks) * magnitude
        return float(task_price.sum() + least[0].sum() + least[1].sum()) - margin

    def sets_within(
        self, task_price: FloatArray, ceiling: FloatArray, slack: float
    ) -> tuple[TaskSets, tuple[FloatArray, FloatArray]] | None:
        """Enumerate sets with reduced cost up to each server's ceiling and ``slack`` above the least.

        Returns the sets and the least reduced costs of servers and of users, where the empty set counts as 0; ``None``
        for too many sets, or beyond the deadline.
        """
        slot, parts, least = self.slot, list[TaskSets](), np.empty(self.slot.servers)
        for k in range(slot.servers):
            found, least[k], order = self._search(k, task_price, float(ceiling[k]), slack)
            if found < 0:
                return None
            sizes = self._sizes[:found]
            membership = np.zeros((found, slot.tasks), dtype=np.bool_)
            membership[np.repeat(np.arange(found), sizes), order[self._flat[: sizes.sum()]]] = True
            parts.append(TaskSets(np.full(found, k), membership, self._costs[:found].copy()))
        local_reduced = self._local_reduced_costs(task_price)
        least_local = local_reduced.min(axis=1)
        within_slack = local_reduced <= (least_local + slack)[:, None]
        user, chosen = np.nonzero(within_slack & (self._bits > 0) & np.isfinite(self.local_cost))
        position = np.arange(slot.tasks) - slot.first_task[slot.user]
        membership = (user[:, None] == slot.user) & (chosen[:, None] >> np.maximum(position, 0) & 1 == 1)
        parts.append(TaskSets(slot.servers + user, membership, self.local_cost[user, chosen]))
        sets = TaskSets(
            np.concatenate([part.owner for part in parts]),
            np.concatenate([part.members for part in parts]),
            np.concatenate([part.cost for part in parts]),
        )
        return sets, (least, least_local)

    def _search(
        self, k: int, task_price: FloatArray, largest_reduced_cost: float, slack: float
    ) -> tuple[int, float, IntArray]:
        slot, priced_cost = self.slot, self.reference.priced_cost[:, k]
        usable = np.flatnonzero(np.isfinite(priced_cost))
        order = usable[np.argsort((priced_cost - task_price)[usable], kind="stable")]
        rows, least, state = np.ascontiguousarray(slot.remote[order, k]), 0.0, np.zeros(4, np.int64)
        next_candidate, chosen = np.zeros(len(order) + 1, np.int64), np.zeros(len(order) + 1, np.int64)
        while state[0] >= 0:
            if state[3] >= MOST_NODES or clock() > self.deadline:
                return -1, least, order
            least = _enumerate_sets(
                rows, task_price[order], self._prices[k], PRICE_FACTORS, slot.second_price, slot.limit_s,
                slot.failure_costs[order], largest_reduced_cost, slack, next_candidate, chosen, state, least,
                self._sizes, self._flat, self._costs,
            )  # fmt: skip
        return int(state[1]), least, order

    def _local_reduced_costs(self, task_price: FloatArray) -> FloatArray:
        """[users, sets] reduced costs of sets on own CPUs; ``inf`` for infeasible sets."""
        first_task = self.slot.first_task
        price_sum = [
            (self._bits[:, None] >> np.arange(first_task[i + 1] - first_task[i]) & 1)
            @ task_price[first_task[i] : first_task[i + 1]]
            for i in range(len(self.local_cost))
        ]
        return self.local_cost - np.stack(price_sum)


def _model(
    slot: SlotTasks,
    sets: TaskSets,
    cost: FloatArray,
    failure_costs: FloatArray,
    overcover_saving: FloatArray | None = None,
) -> Any:
    """Build the set-partitioning model in HiGHS: columns of sets and of failures, rows of tasks and of owners.

    With ``overcover_saving [tasks]``, the saving where a task is covered once too often (a box on its dual), the model
    is the linear relaxation.
    """
    import highspy

    number, tasks = len(sets.owner), slot.tasks
    extra = 0 if overcover_saving is None else tasks
    columns = number + tasks + extra
    owners, owner_row = np.unique(sets.owner, return_inverse=True)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = columns, tasks + len(owners)
    model.col_cost_ = np.concatenate(
        [cost, failure_costs, np.zeros(0) if overcover_saving is None else -overcover_saving]
    )
    model.col_lower_, model.col_upper_ = (
        np.zeros(columns),
        np.full(columns, 1.0 if overcover_saving is None else highspy.kHighsInf),
    )
    model.row_lower_ = np.append(np.ones(tasks), np.full(len(owners), -highspy.kHighsInf))
    model.row_upper_ = np.ones(tasks + len(owners))
    if overcover_saving is None:
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
class TaskPrices:
    """Dual prices of completing tasks, the bound that they prove, and the best options found, with their cost."""

    task_price: FloatArray
    bound: float
    option: IntArray
    upper: float


def improve_task_prices(
    enumeration: SetEnumeration,
    task_price: FloatArray,
    option: IntArray,
    upper: float,
    relative_gap: float,
    deadline: float,
) -> TaskPrices | None:
    """Improve task prices by column generation from ``task_price`` on; ``None`` for too many sets.

    Each linear programme over the sets known so far gives new task prices within a box around the best ones; sets with
    smaller reduced cost at these prices are added. The sets with the largest fractions are a start for a local search
    of better options.
    """
    slot, ceiling = enumeration.slot, np.zeros(enumeration.slot.servers)
    initial = enumeration.sets_within(task_price, ceiling, FIRST_SLACK * USUAL_GAP * upper)
    if initial is None:
        return None
    sets, least = initial
    best, bound = task_price, enumeration.bound(task_price, least)
    box = max(upper - bound, LEAST_GAP_UNIT * upper)
    for _ in range(ROUNDS):
        allowance = relative_gap * upper
        if upper - bound <= allowance or clock() > deadline:
            break
        highs, owners = _model(slot, sets, sets.cost, np.minimum(best + box, slot.failure_costs), best - box)
        highs.run()
        found = highs.getSolution()
        dual, solution = np.asarray(found.row_dual), np.asarray(found.col_value)
        if len(dual) != slot.tasks + len(owners):
            break
        value = float(highs.getInfo().objective_function_value)
        start = options_of_solution(slot, sets, solution)
        if not np.array_equal(start, option):
            better, cost, _ = local_search(slot, enumeration.local_cost, start, deadline)
            if cost < upper:
                option, upper = better, cost
        if value - bound <= max(LP_TOLERANCE * (upper - bound), 0.1 * allowance):
            break
        trial = np.minimum(dual[: slot.tasks], slot.failure_costs)
        ceiling = np.zeros(slot.servers)
        served = owners < slot.servers
        ceiling[owners[served]] = np.minimum(dual[slot.tasks :][served], 0.0)
        added = enumeration.sets_within(trial, ceiling, ADDED_SLACK * max(upper - bound, 0.0))
        if added is None:
            box *= 0.25
            continue
        # Where no set was found below a ceiling, the least reduced cost is at least the ceiling.
        least = np.minimum(added[1][0], ceiling), added[1][1]
        proved = enumeration.bound(trial, least)
        if proved > bound:
            best, bound = trial, proved
        else:
            box *= 0.5
        sets = sets.union(added[0])
    return TaskPrices(best, bound, option, upper)


def options_of_solution(slot: SlotTasks, sets: TaskSets, solution: FloatArray) -> IntArray:
    """[tasks] options of the sets with the largest fractions in a solution: -1 fails, 0 own CPU, j server j."""
    options = np.full(slot.tasks, -1)
    number = len(sets.owner)
    taken = np.flatnonzero(solution[:number] > 0.01)
    used = set[int]()
    for index in taken[np.argsort(-solution[taken], kind="stable")]:
        owner = int(sets.owner[index])
        if owner not in used and (options[sets.members[index]] < 0).all():
            used.add(owner)
            options[sets.members[index]] = owner + 1 if owner < slot.servers else 0
    return options


def close_gap(
    slot: SlotTasks, sets: TaskSets, bound: float, task_price: FloatArray, option: IntArray, upper: float,
    allowance: float, deadline: float,
) -> tuple[IntArray, float]:  # fmt: skip
    """Solve the set-partitioning MILP: options ``[tasks]`` (those given unless better ones exist) and a valid bound.

    Costs are relative to the bound, in units of the gap, so that HiGHS's tolerances are relative to the gap.
    """
    import highspy

    number, tasks = len(sets.owner), slot.tasks
    unit = max(upper - bound, LEAST_GAP_UNIT * upper)
    constant = (float(task_price.sum()) - bound) / unit
    reduced_cost = sets.cost - sets.members @ task_price
    highs, _ = _model(slot, sets, reduced_cost / unit, (slot.failure_costs - task_price) / unit)
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
        # HiGHS sometimes finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
        tolerance *= 10.0
        highs.clearSolver()
    margin = SAFETY * tolerance * unit
    if status == highspy.HighsModelStatus.kInfeasible:
        return option, upper - margin  # no decision is better than the cutoff, the incumbent
    proved = bound
    if status != highspy.HighsModelStatus.kSolveError and np.isfinite(info.mip_dual_bound):
        proved = max(proved, min(bound + (info.mip_dual_bound + constant) * unit - margin, upper))
    solution = np.asarray(highs.getSolution().col_value)
    if len(solution) != number + tasks or not bound + (info.objective_function_value + constant) * unit < upper:
        return option, proved
    return options_of_solution(slot, sets, solution), proved
