"""Column generation over the slots that share batteries: prices of energy, and plans within the batteries.

A column is one slot's plan with its cost and the energy that it drains. The restricted master problem chooses a convex
combination of columns for each slot within the batteries, a small linear programme; its duals are prices of energy, at
which every slot's best plan is a new column. Prices are stabilised halfway towards the best ones so far, as the first
duals are far off. The pricing is a local search, so that its values are no bounds; a proof at the prices found gives
one.

The set of plans can be branched: on the number of a user's failures over all slots, a limit whose dual price changes
the cost of failures, so that slots stay independent; and on the option of a task.

A plan chooses one column for each slot, by a MILP with few nodes. Then its options are kept, and the shares of CPUs and
bands are found by column generation, too; for given options the problem is convex, so that this is exact. At the prices
found, plans of each slot with one changed option are further columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.highs import Programme
from offloadopt.solvers.inference.base import (
    optimal_shares,
    options_cost,
    plan_cost,
    search_plan,
    slot_in_joules,
    sum_by_user,
    task_energies,
)
from offloadopt.solvers.inference.resource_allocation import SlotTasks, slot_tasks
from offloadopt.structures.inference import CostWeights

PRICE_ROUNDS, PLAN_ROUNDS = 30, 8
"""Largest numbers of rounds of prices and of plans."""
PLAN_TOLERANCE = 1e-4
"""Relative saving of a round below which the search of plans ends."""
PRICE_TOLERANCE = 1e-5
"""Relative difference of the master problem's and the priced cost at which the search of prices ends."""
NEIGHBOURS = 8
"""Number of plans with one changed option that become columns, for each slot and round."""
MILP_NODES = 50
"""Node limit of the MILP; a limit in seconds would make plans depend on the clock."""
BATTERY_MARGIN = 1e-6
"""Relative part of the batteries that the master problem leaves unused, more than HiGHS's tolerance."""
MILP_COLUMNS, MILP_COLUMNS_OF_OPTIONS = 16, 2
"""Number of a slot's columns of least priced cost in the MILP; number of these with the same options."""
SHARE_ROUNDS, SHARE_TOLERANCE = 25, 1e-6
"""Largest number of rounds that optimise the shares of given options; relative difference at which they end."""
KEPT_COLUMNS = 3
"""Number of columns of these rounds that are kept for each slot."""
INTEGRALITY_TOLERANCE = 1e-5
"""Distance to the nearest integer below which a fraction counts as integer."""
LARGEST_FAILURE_PRICE, LARGEST_FAILURE_DISCOUNT = 1e4, 0.9
"""Bounds of the price of failures, in units of a failure's cost: beyond them the master problem may break limits. The
former is large, as limits that plans within the batteries break by a small fraction must cost more than any plan."""


@dataclass(frozen=True)
class Column:
    """Column of the master problem: one slot's plan.

    Attributes
    ----------
    option, shares : array [tasks], [tasks, 2]
    cost : float
        Cost without prices.
    drain_j, failures : array [users]
        Energy taken from each battery, and number of failed tasks.
    choices : array [tasks, servers + 2]
        One-hot options: failure, own CPU, servers.
    """

    option: IntArray
    shares: FloatArray
    cost: float
    drain_j: FloatArray
    failures: FloatArray
    choices: FloatArray


@dataclass(frozen=True)
class BranchLimits:
    """Subset of the plans, made by branching.

    Attributes
    ----------
    low, high : array [users]
        Least and largest number of each user's failures over the horizon.
    forbidden : list of bool array [tasks, servers + 2]
        Forbidden choices of each slot: failure, own CPU, servers.
    """

    low: FloatArray
    high: FloatArray
    forbidden: list[NDArray[np.bool_]]

    def price_term(self, price: FloatArray) -> float:
        """Largest increase of costs by prices ``[users]`` of failures; a price with no upper limit is not positive."""
        free = np.where(np.isfinite(self.high), self.high, 0.0)
        return float(np.maximum(price, 0.0) @ free + np.minimum(price, 0.0) @ self.low)

    def branch_on_failures(self, user: int, failures: float) -> tuple[BranchLimits, BranchLimits]:
        """Branch on a user's failures: at most ``failures`` rounded down; more."""
        low, high = self.low.copy(), self.high.copy()
        high[user] = np.floor(failures)
        low[user] = np.floor(failures) + 1.0
        return replace(self, high=high), replace(self, low=low)

    def branch_on_choice(self, t: int, task: int, choice: int) -> tuple[BranchLimits, BranchLimits]:
        """Branch on a task's choice in slot t: all choices but one; only this one."""
        others, this = [own.copy() for own in self.forbidden], [own.copy() for own in self.forbidden]
        others[t][task, choice] = True
        this[t][task] |= np.arange(this[t].shape[1]) != choice
        return replace(self, forbidden=others), replace(self, forbidden=this)


class MasterProblem:
    """Restricted master problem over all slots of one instance.

    Parameters
    ----------
    tasks : list of InferenceTasks
        The tasks of each slot.
    weights : CostWeights
    held_j : array [users]
        Initial energy in the batteries.
    """

    def __init__(self, tasks: list[InferenceTasks], weights: CostWeights, held_j: FloatArray) -> None:
        self.tasks, self.weights, self.held_j = tasks, weights, held_j
        self._battery_scale = np.where(held_j > 0, held_j, 1.0)
        zeros = np.zeros(len(held_j))
        self.unpriced = [slot_tasks(slot, weights, zeros, 0.0) for slot in tasks]
        all_allowed = [np.zeros((slot.tasks, slot.servers + 2), dtype=np.bool_) for slot in self.unpriced]
        self.unrestricted = BranchLimits(zeros, np.full(len(held_j), np.inf), all_allowed)
        self.joules = [slot_in_joules(slot, weights) for slot in tasks]
        self.columns = [
            [self._column_of_shares(t, np.full(slot.tasks, -1), np.zeros((slot.tasks, 2)))]
            for t, slot in enumerate(self.unpriced)
        ]
        self.best: tuple[float, list[Column]] = sum(own[0].cost for own in self.columns), [c[0] for c in self.columns]

    def slot(self, t: int, price: FloatArray, limits: BranchLimits, limit_tolerance: float = 0.0) -> SlotTasks:
        """Slot ``t`` at prices ``[2, users]`` of energy and failures.

        A task misses the time limit at a forbidden place; a forbidden failure gets a high cost.
        """
        slot = slot_tasks(self.tasks[t], self.weights, price[0], limit_tolerance, price[1])
        forbidden = limits.forbidden[t]
        if forbidden.any():
            slot.failure_costs[forbidden[:, 0]] += LARGEST_FAILURE_PRICE * slot.failure
            slot.local[forbidden[:, 1], 0] = np.inf
            slot.remote[forbidden[:, 2:], 0] = np.inf
        return slot

    def column(self, t: int, option: IntArray, price: FloatArray) -> Column:
        """Column of a slot's options, with optimal shares at prices ``[2, users]``."""
        return self._column_of_shares(t, option, optimal_shares(self.slot(t, price, self.unrestricted), option))

    def _column_of_shares(self, t: int, option: IntArray, shares: FloatArray) -> Column:
        slot, joules = self.unpriced[t], self.joules[t]
        unlimited = np.full(len(self.held_j), np.inf)
        cost = plan_cost(
            option, shares, slot.first_task, slot.local, slot.remote, joules.local, joules.remote, slot.second_price,
            slot.failure, unlimited,
        )  # fmt: skip
        drain = task_energies(option, shares, joules.local, joules.remote)
        chosen = np.eye(slot.servers + 2)[np.where(shares[:, 0] > 0.0, option, -1) + 1]
        return Column(
            option.copy(), shares, float(cost), sum_by_user(slot, drain), sum_by_user(slot, chosen[:, 0]), chosen
        )

    def add_columns(self, options: list[IntArray], price: FloatArray, limits: BranchLimits) -> float:
        """Add columns of options ``[tasks]`` of all slots at prices; returns their Lagrangian."""
        value = -float(price[0] @ self.held_j) - limits.price_term(price[1])
        for t, option in enumerate(options):
            column = self.column(t, option, price)
            self.columns[t].append(column)
            value += _priced_cost(column, price) + self._violation_cost(t, column, limits)
        return value

    def _violation_cost(self, t: int, column: Column, limits: BranchLimits) -> float:
        """Penalty of a column for its forbidden choices."""
        forbidden = limits.forbidden[t]
        return (
            LARGEST_FAILURE_PRICE * self.weights.failure * float(column.choices[forbidden].sum())
            if forbidden.any()
            else 0.0
        )

    def search_slots(self, price: FloatArray, start: list[IntArray], limits: BranchLimits) -> list[IntArray]:
        """[slots] options of a local search of each slot at prices, from ``start``."""
        return [search_plan(self.slot(t, price, limits), option)[0] for t, option in enumerate(start)]

    def find_prices(
        self, options: list[IntArray], start: FloatArray, limits: BranchLimits, deadline: Deadline
    ) -> tuple[FloatArray, list[IntArray]]:
        """Find prices ``[2, users]`` of nearly the largest Lagrangian; returns these and the last options."""
        best = start
        value = self.add_columns(options, best, limits)
        for _ in range(PRICE_ROUNDS):
            master_cost, dual, _ = self.solve(self.columns, limits)
            if master_cost - value <= PRICE_TOLERANCE * master_cost or deadline.passed:
                break
            price = 0.5 * (best + dual)
            options = self.search_slots(price, options, limits)
            lagrangian = self.add_columns(options, price, limits)
            if lagrangian > value:
                best, value = price, lagrangian
        return best, options

    def find_plan(self, limits: BranchLimits, deadline: Deadline) -> tuple[float, list[Column]]:
        """Search plans near ``limits``; returns cost and columns of the best plan so far, inside the limits or not."""
        for _ in range(PLAN_ROUNDS):
            before = self.best[0]
            _, dual, _ = self.solve(self.columns, limits)
            candidates = [_cheapest_columns(own, dual) for own in self.columns]
            _, _, fractions = self.solve(candidates, limits, integer=True)
            chosen = [own[int(np.argmax(fraction))] for own, fraction in zip(candidates, fractions, strict=True)]
            self._update_best(chosen)
            price = self._optimise_shares(chosen)
            options = self.search_slots(price, [column.option for column in chosen], limits)
            self.add_columns(options, price, limits)
            for t, column in enumerate(chosen):
                self.columns[t] += [
                    self.column(t, neighbour, price) for neighbour in self._neighbours(t, column.option, price, limits)
                ]
            if deadline.passed or self.best[0] >= before * (1.0 - PLAN_TOLERANCE):
                break
        return self.best

    def _update_best(self, columns: list[Column]) -> None:
        """Store a plan if it is the best so far and within the batteries."""
        cost = sum(column.cost for column in columns)
        drain = np.sum([column.drain_j for column in columns], axis=0)
        if cost < self.best[0] and (drain <= self.held_j).all():
            self.best = cost, columns

    def _optimise_shares(self, chosen: list[Column]) -> FloatArray:
        """Optimise shares within the batteries for given options; returns the prices at which they are optimal.

        Cost and energy are convex in shares: averaged shares cost and drain at most the average.
        """
        options = [column.option for column in chosen]
        columns = [[own[0], column] for own, column in zip(self.columns, chosen, strict=True)]
        best, value = np.zeros((2, len(self.held_j))), -np.inf
        for _ in range(SHARE_ROUNDS):
            master_cost, dual, fractions = self.solve(columns, self.unrestricted)
            if master_cost - value <= SHARE_TOLERANCE * master_cost:
                break
            price = dual if value == -np.inf else 0.5 * (best + dual)
            lagrangian = -float(price[0] @ self.held_j)
            for t, option in enumerate(options):
                column = self.column(t, option, price)
                columns[t].append(column)
                lagrangian += _priced_cost(column, price)
            if lagrangian > value:
                best, value = price, lagrangian
        mixed = []
        for t, (own, fraction) in enumerate(zip(columns, fractions, strict=True)):
            mixed.append(own[0] if fraction[0] >= 0.5 else self._average(t, own[1 : len(fraction)], fraction[1:]))
            self.columns[t] += [*own[2:][-KEPT_COLUMNS:], mixed[-1]]
        self._update_best(mixed)
        return best

    def _average(self, t: int, columns: list[Column], fractions: FloatArray) -> Column:
        """Column of averaged shares of columns with the same options."""
        shares = np.array([column.shares for column in columns])
        weight = fractions / max(float(fractions.sum()), 1e-9)
        return self._column_of_shares(t, columns[0].option, np.einsum("c,cjr->jr", weight, shares))

    def plan_of_fractions(self, fractions: list[FloatArray]) -> tuple[float, list[Column]]:
        """Plan of each slot's options of largest total fraction, with averaged shares; returns the best plan so far."""
        averages = []
        for t, (own, fraction) in enumerate(zip(self.columns, fractions, strict=True)):
            _, which = np.unique([column.choices.ravel() for column in own], axis=0, return_inverse=True)
            same = np.flatnonzero(which == np.argmax(np.bincount(which, fraction)))
            averages.append(self._average(t, [own[index] for index in same], fraction[same]))
        self._update_best(averages)
        return self.best

    def _neighbours(self, t: int, option: IntArray, price: FloatArray, limits: BranchLimits) -> IntArray:
        """[plans, tasks] options of least priced cost among those with one changed task."""
        slot = self.slot(t, price, limits)
        rows = (slot.first_task, slot.local, slot.remote, slot.second_price, slot.limit_s, slot.failure_costs)
        neighbours, cost = [], []
        for j in range(slot.tasks):
            for place in range(-1, slot.servers + 1):
                if place != option[j]:
                    changed = option.copy()
                    changed[j] = place
                    neighbours.append(changed)
                    cost.append(options_cost(changed, *rows))
        least = np.argsort(cost, kind="stable")[:NEIGHBOURS]
        return np.array(neighbours, dtype=np.int64).reshape(len(neighbours), slot.tasks)[least]

    def solve(
        self, columns: list[list[Column]], limits: BranchLimits, integer: bool = False
    ) -> tuple[float, FloatArray, list[FloatArray]]:
        """Solve the master problem over columns within batteries and limits: cost, prices, fractions of the columns.

        With ``integer``, one column is chosen for each slot, and prices are 0. Where HiGHS finds no solution, the cost
        is ``inf``, prices are 0, and the first column of each slot is chosen, in which all tasks fail.
        """
        programme = self._programme(columns, limits, integer)
        answer = programme.solve()
        price, sizes = np.zeros((2, len(self.held_j))), [len(own) for own in columns]
        if not (answer.found if integer else answer.priced):
            return np.inf, price, [np.eye(size)[0] for size in sizes]
        if not integer:
            energy, failures = -answer.row_dual[len(columns) :].reshape(price.shape)
            price[0] = np.maximum(energy, 0.0) / self._battery_scale
            lowest = np.where(limits.low > 0, -LARGEST_FAILURE_DISCOUNT * self.weights.failure, 0.0)
            highest = np.where(np.isfinite(limits.high), LARGEST_FAILURE_PRICE * self.weights.failure, 0.0)
            price[1] = np.clip(failures, lowest, highest)
        return answer.objective, price, np.split(answer.values[: sum(sizes)], np.cumsum(sizes)[:-1])

    def _programme(self, columns: list[list[Column]], limits: BranchLimits, integer: bool) -> Programme:
        """The master problem: columns of plans, then each user's failures above and below its limits."""
        every = [(t, column) for t, own in enumerate(columns) for column in own]
        number, users = len(every), len(self.held_j)
        cost = [column.cost + self._violation_cost(t, column, limits) for t, column in every]
        violation_cost = np.repeat([LARGEST_FAILURE_PRICE, LARGEST_FAILURE_DISCOUNT], users) * self.weights.failure
        programme = Programme(
            np.append(cost, violation_cost),
            np.zeros(number + 2 * users),
            np.append(np.ones(number), np.full(2 * users, np.inf)),
            np.arange(number if integer else 0),
        )
        programme.set_options(mip_max_nodes=MILP_NODES, mip_rel_gap=PLAN_TOLERANCE)
        owner = np.array([t for t, _ in every])
        for t in range(len(columns)):
            programme.add_row(np.flatnonzero(owner == t), 1.0, 1.0, 1.0)
        drain = np.array([column.drain_j for _, column in every]) / self._battery_scale
        battery_limits = (self.held_j > 0) * (1.0 - BATTERY_MARGIN)
        for user in range(users):
            used = np.flatnonzero(drain[:, user])
            programme.add_row(used, drain[used, user], high=battery_limits[user])
        failures = np.array([column.failures for _, column in every])
        for user in range(users):
            failing, violations = np.flatnonzero(failures[:, user]), number + user + np.array([0, users])
            low = limits.low[user] if limits.low[user] > 0 else -np.inf
            values = np.append(failures[failing, user], [-1.0, 1.0])
            programme.add_row(np.append(failing, violations), values, low, limits.high[user])
        return programme

    def branches(self, limits: BranchLimits) -> tuple[BranchLimits, ...]:
        """Branch on the most fractional quantity of the master problem's solution; empty if all are integer.

        First the number of a user's failures, then whether a task fails or is on the own CPU, then its server.
        """
        _, _, fractions = self.solve(self.columns, limits)
        chosen = [
            np.einsum("c,cjo->jo", fraction, np.array([column.choices for column in own]))
            for own, fraction in zip(self.columns, fractions, strict=True)
        ]
        failures = np.sum(
            [sum_by_user(slot, own[:, 0]) for slot, own in zip(self.unpriced, chosen, strict=True)], axis=0
        )
        within = (np.floor(failures) >= limits.low) & (np.ceil(failures) <= limits.high)
        fractionality = np.where(within, np.abs(failures - np.round(failures)), 0.0)
        user = int(np.argmax(fractionality))
        if fractionality[user] > INTEGRALITY_TOLERANCE:
            return limits.branch_on_failures(user, float(failures[user]))
        owner = np.repeat(np.arange(len(chosen)), [len(own) for own in chosen])
        all_choices = np.concatenate(chosen)
        fractionality = np.abs(all_choices - np.round(all_choices))
        for choices in (slice(0, 2), slice(2, None)):
            place = np.unravel_index(np.argmax(fractionality[:, choices]), fractionality[:, choices].shape)
            if fractionality[:, choices][place] > INTEGRALITY_TOLERANCE:
                t, choice = int(owner[place[0]]), int(place[1]) + int(choices.start)
                return limits.branch_on_choice(t, int(place[0] - np.searchsorted(owner, t)), choice)
        beyond = (failures < limits.low - INTEGRALITY_TOLERANCE) | (failures > limits.high + INTEGRALITY_TOLERANCE)
        for t, (slot, forbidden) in enumerate(zip(self.unpriced, limits.forbidden, strict=True)):
            undecided = np.flatnonzero(beyond[slot.user] & ~forbidden[:, 0] & ~forbidden[:, 1:].all(axis=1))
            if len(undecided):
                return limits.branch_on_choice(t, int(undecided[0]), 0)
        return ()

    def possible(self, limits: BranchLimits) -> bool:
        """Whether the allowed choices of tasks leave numbers of failures within the limits."""
        least, most = np.zeros(len(self.held_j)), np.zeros(len(self.held_j))
        for slot, forbidden in zip(self.unpriced, limits.forbidden, strict=True):
            least += sum_by_user(slot, np.asarray(forbidden[:, 1:].all(axis=1), dtype=np.float64))
            most += sum_by_user(slot, np.asarray(~forbidden[:, 0], dtype=np.float64))
        return bool((np.maximum(least, limits.low) <= np.minimum(most, limits.high)).all())


def _priced_cost(column: Column, price: FloatArray) -> float:
    """Cost of a column at prices."""
    return float(column.cost + price[0] @ column.drain_j + price[1] @ column.failures)


def _cheapest_columns(columns: list[Column], price: FloatArray) -> list[Column]:
    """Columns of least priced cost, few with the same options; and the first column, in which all tasks fail."""
    kept, count_of_options = columns[:1], dict[bytes, int]()
    for column in sorted(columns[1:], key=lambda column: _priced_cost(column, price)):
        count = count_of_options.get(column.option.tobytes(), 0)
        if count < MILP_COLUMNS_OF_OPTIONS:
            count_of_options[column.option.tobytes()] = count + 1
            kept.append(column)
        if len(kept) > MILP_COLUMNS:
            break
    return kept
