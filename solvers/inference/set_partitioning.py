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
from numpy.typing import NDArray

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.edge_inference import best_shares
from offloadopt.solvers.highs import CutSearch, Programme
from offloadopt.solvers.inference.base import options_cost
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
def _priced_terms(
    rows: Any, task_price: Any, reference_prices: Any, price_factors: Any, second_price: float, limit: float
) -> Any:
    """Bounds at resource prices: the empty set's ``[prices]``, and what each task and all from it on add at best."""
    tasks, grid = len(task_price), len(price_factors)
    empty, task_terms, remaining_terms = np.empty(grid), np.zeros((tasks, grid)), np.zeros((tasks + 1, grid))
    for point in range(grid):
        q, w = reference_prices[0] * price_factors[point, 0], reference_prices[1] * price_factors[point, 1]
        empty[point] = -q - w
        for c in range(tasks - 1, -1, -1):
            value, _, _ = best_shares(rows[c], second_price, limit, q, w)
            task_terms[c, point] = value - task_price[c]
            remaining_terms[c, point] = remaining_terms[c + 1, point] + min(0.0, task_terms[c, point])
    return empty, task_terms, remaining_terms


@njit(cache=True)
def _bounds_of_extensions(set_terms: Any, task_terms: Any, remaining_terms: Any, c: int) -> tuple[float, float]:
    """Bounds of a set's extensions by tasks from c on: with task c, and with or without it."""
    tasks, grid = task_terms.shape
    bound_with, bound = np.inf if c >= tasks else -np.inf, -np.inf
    for point in range(grid):
        if c < tasks:
            with_task = set_terms[point] + task_terms[c, point] + remaining_terms[c + 1, point]
            bound_with = max(bound_with, with_task)
        bound = max(bound, set_terms[point] + remaining_terms[c, point])
    return bound_with, bound


@njit(cache=True)
def _enumerate_sets(
    rows: Any, task_price: Any, reference_prices: Any, terms: Any, second_price: float, limit: float,
    failure_costs: Any, largest_reduced_cost: float, slack: float, next_candidate: Any, chosen: Any, state: Any,
    least: float, sizes: Any, members: Any, costs: Any,
) -> float:  # fmt: skip
    """Enumerate sets with reduced cost ``V(S) - u(S)`` up to ``largest_reduced_cost`` and ``slack`` above the least.

    Depth-first search over the candidate tasks, with some sets beyond these limits. A call evaluates a limited number
    of sets and can be resumed: ``next_candidate`` and ``chosen [tasks + 1]`` (zeros at first) hold the search's path,
    and ``state`` the depth (negative at the end), the number of sets found (-1 for too many), the number of members
    written and the number of sets evaluated. ``least`` is the least reduced cost so far, at most 0; it is returned.
    ``rows [tasks, 5]``, ``task_price`` and ``failure_costs`` belong to the candidates; ``terms`` are their
    `_priced_terms`, which bound extensions. ``members`` receives the sets one after the other, ``sizes`` and ``costs``
    their sizes and costs.
    """
    tasks, (empty, task_terms, remaining_terms) = len(task_price), terms
    price_sum, cost_limit, chosen_rows = np.zeros(tasks + 1), np.zeros(tasks + 1), np.empty((tasks + 1, 5))
    set_terms, weight, prices = np.zeros((tasks + 1, len(empty))), np.ones(tasks + 1), np.zeros(2)
    set_terms[0], cpu, band = empty, np.empty(tasks + 1), np.empty(tasks + 1)
    depth, found, written, nodes = state
    for level in range(depth):
        c = chosen[level]
        set_terms[level + 1] = set_terms[level] + task_terms[c]
        chosen_rows[level], price_sum[level + 1] = rows[c], price_sum[level] + task_price[c]
        cost_limit[level + 1] = cost_limit[level] + failure_costs[c]
    end = nodes + SETS_PER_CALL
    while depth >= 0 and nodes < end:
        c, next_depth, ceiling = next_candidate[depth], depth + 1, min(largest_reduced_cost, least + slack)
        bound_with, bound = _bounds_of_extensions(set_terms[depth], task_terms, remaining_terms, c)
        if c >= tasks or bound > ceiling:
            depth -= 1
            continue
        next_candidate[depth] += 1
        if bound_with > ceiling:
            continue
        nodes, chosen_rows[depth], chosen[depth] = nodes + 1, rows[c], c
        price_sum[next_depth] = price_sum[depth] + task_price[c]
        cost_limit[next_depth] = cost_limit[depth] + failure_costs[c]
        for point in range(len(empty)):
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
            for level in range(next_depth):
                members[written + level] = chosen[level]
            written, found = written + next_depth, found + 1
        next_candidate[next_depth], depth = c + 1, next_depth
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
    deadline : Deadline
        An unfinished enumeration gives no sets.
    """

    def __init__(self, slot: SlotTasks, local_cost: FloatArray, reference: DualBound, deadline: Deadline) -> None:
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
        prices = self._prices[k]
        terms = _priced_terms(rows, task_price[order], prices, PRICE_FACTORS, slot.second_price, slot.limit_s)
        while state[0] >= 0:
            if state[3] >= MOST_NODES or self.deadline.passed:
                return -1, least, order
            least = _enumerate_sets(
                rows, task_price[order], prices, terms, slot.second_price, slot.limit_s,
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


def _programme(
    slot: SlotTasks,
    sets: TaskSets,
    cost: FloatArray,
    failure_costs: FloatArray,
    overcover_saving: FloatArray | None = None,
) -> tuple[Programme, IntArray]:
    """Build the set-partitioning model, and its owners: columns of sets and failures, rows of tasks and owners.

    With ``overcover_saving [tasks]``, the saving where a task is covered once too often (a box on its dual), the model
    is the linear relaxation.
    """
    number, tasks, integer = len(sets.owner), slot.tasks, overcover_saving is None
    saving = np.zeros(0) if overcover_saving is None else -overcover_saving
    costs = np.concatenate([cost, failure_costs, saving])
    columns = len(costs)
    high = np.full(columns, 1.0 if integer else np.inf)
    programme = Programme(costs, np.zeros(columns), high, np.arange(columns if integer else 0))
    for j in range(tasks):
        failure = np.array([number + j] if integer else [number + j, number + tasks + j])
        covering = np.flatnonzero(sets.members[:, j])
        values = np.append(np.ones(len(covering)), [1.0, -1.0][: len(failure)])
        programme.add_row(np.append(covering, failure), values, 1.0, 1.0)
    owners = np.unique(sets.owner)
    for owner in owners:
        programme.add_row(np.flatnonzero(sets.owner == owner), 1.0, high=1.0)
    return programme, owners


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
    deadline: Deadline,
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
        if upper - bound <= allowance or deadline.passed:
            break
        failure_costs = np.minimum(best + box, slot.failure_costs)
        programme, owners = _programme(slot, sets, sets.cost, failure_costs, best - box)
        answer = programme.solve(deadline)
        if not answer.priced:
            break
        value, dual, solution = answer.objective, answer.row_dual, answer.values
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


class SetPartitioningMilp(CutSearch):
    """The MILP over sets that a better decision can contain: costs less task prices, in units of the gap."""

    def __init__(self, slot: SlotTasks, sets: TaskSets, prices: TaskPrices, allowance: float) -> None:
        self.slot, self.sets, self.option = slot, sets, prices.option
        task_price, upper = prices.task_price, prices.upper
        unit = max(upper - prices.bound, LEAST_GAP_UNIT * upper)
        reduced_cost = sets.cost - sets.members @ task_price
        programme, _ = _programme(slot, sets, reduced_cost / unit, (slot.failure_costs - task_price) / unit)
        super().__init__(programme, prices.bound, upper, allowance, float(task_price.sum()), unit)

    def refine(self, values: FloatArray) -> bool:
        """Keep the options of a solution; the model is exact without cuts."""
        found = options_of_solution(self.slot, self.sets, values)
        slot = self.slot
        cost = options_cost(
            found, slot.first_task, slot.local, slot.remote, slot.second_price, slot.limit_s, slot.failure_costs
        )
        if cost < self.upper:
            self.option, self.upper = found, cost
        return False
