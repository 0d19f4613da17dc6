"""Slots that share batteries: prices of joules by column generation, and plans that batteries can pay for.

A column is one slot's plan with its cost and what it drains. The least mixture of columns, one for each slot, within
batteries is a small linear programme; its duals are prices of joules, at which every slot's best plan is a new
column. Prices are drawn back halfway to the best ones so far, as the first duals are far off. Here slots are
searched, not proved, so that nothing is a bound; a proof at the prices found gives one.

Plans can be divided: by how many tasks of a user fail over all slots, a limit that has a price, too, at which failures
become dearer or cheaper, so that slots still have nothing to do with each other; and by what becomes of a task.

A plan takes one column for each slot, by a MILP of few nodes. Then its options are kept, and shares of CPUs and bands
found likewise; as options are given this is convex, and nothing is lost. At the prices found, plans of each slot with
one task elsewhere are further columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.inference.base import (
    best_shares_of,
    by_user,
    charged,
    drained,
    joules_of,
    searched,
    true_cost,
)
from offloadopt.solvers.inference.resource_allocation import Slot, slot_of
from offloadopt.structures.inference import CostWeights

PRICINGS, PLANS = 30, 8
"""Rounds of prices, and of plans, at most."""
CLOSE = 1e-4
"""Plans are good enough when another round saves no more, relatively."""
NEARLY = 1e-5
"""Prices are good enough when their value is so near to the mixture's, relatively."""
NEAR = 8
"""Plans with one task elsewhere that become columns, for each slot and round."""
NODES = 50
"""Of the MILP: a limit in seconds would make plans depend on the clock."""
INSIDE = 1e-6
"""Relative part of batteries that mixtures must leave, more than the tolerance of their programme."""
LIKELY, ALIKE = 16, 2
"""Columns of a slot among which the MILP chooses, the least at the mixture's prices; these of the same options."""
SETTLINGS, SETTLED = 25, 1e-6
"""Rounds in which shares of given options are settled; relative difference at which they are."""
KEPT = 3
"""Columns of these rounds that are kept for each slot."""
WHOLE = 1e-4
"""A mixture's part of a choice is whole when it is so near to a whole number."""
DEAR, CHEAP = 4.0, 0.9
"""Most that a failure gets dearer or cheaper, in what it costs: beyond it mixtures need not keep limits."""


@dataclass(frozen=True)
class Column:
    """One slot's plan.

    Attributes
    ----------
    option, shares : array [tasks], [tasks, 2]
    cost : float
        Without prices.
    drain_j, failures : array [users]
    chosen : array [tasks, servers + 2]
        1 for a task that fails, that is at home, on a server.
    """

    option: IntArray
    shares: FloatArray
    cost: float
    drain_j: FloatArray
    failures: FloatArray
    chosen: FloatArray


@dataclass(frozen=True)
class Limits:
    """A part of all plans.

    Attributes
    ----------
    low, high : array [users]
        How many of a user's tasks fail over the horizon, at least and at most.
    barred : list of bool array [tasks, servers + 2]
        Slot by slot, what is not allowed: to fail, the own CPU, servers.
    """

    low: FloatArray
    high: FloatArray
    barred: list[NDArray[np.bool_]]

    def worth(self, price: FloatArray) -> float:
        """By how much these prices of failures raise costs at most; none is positive where there is no upper limit."""
        free = np.where(np.isfinite(self.high), self.high, 0.0)
        return float(np.maximum(price, 0.0) @ free + np.minimum(price, 0.0) @ self.low)

    def halves(self, user: int, failures: float) -> tuple[Limits, Limits]:
        """At most so many failures of a user, rounded down; more."""
        low, high = self.low.copy(), self.high.copy()
        high[user] = np.floor(failures)
        low[user] = np.floor(failures) + 1.0
        return replace(self, high=high), replace(self, low=low)

    def either(self, t: int, task: int, choice: int) -> tuple[Limits, Limits]:
        """All but a choice for one task; this choice."""
        others, this = [own.copy() for own in self.barred], [own.copy() for own in self.barred]
        others[t][task, choice] = True
        this[t][task] |= np.arange(this[t].shape[1]) != choice
        return replace(self, barred=others), replace(self, barred=this)


class Horizon:
    """All slots of one instance.

    Parameters
    ----------
    tasks : list of InferenceTasks
        Slot by slot.
    prices : CostWeights
    held_j : array [users]
        What batteries hold at first.
    """

    def __init__(self, tasks: list[InferenceTasks], prices: CostWeights, held_j: FloatArray) -> None:
        self.tasks, self.prices, self.held_j = tasks, prices, held_j
        nothing = np.zeros(len(held_j))
        self.plain = [slot_of(slot, prices, nothing, 0.0) for slot in tasks]
        all_allowed = [np.zeros((slot.tasks, slot.servers + 2), dtype=np.bool_) for slot in self.plain]
        self.free = Limits(nothing, np.full(len(held_j), np.inf), all_allowed)
        self.joules = [joules_of(slot, prices) for slot in tasks]
        self.columns = [
            [self._column(t, np.full(slot.tasks, -1), np.zeros((slot.tasks, 2)))] for t, slot in enumerate(self.plain)
        ]
        self.best: tuple[float, list[Column]] = sum(own[0].cost for own in self.columns), [c[0] for c in self.columns]

    def slot(self, t: int, price: FloatArray, limits: Limits, looseness: float = 0.0) -> Slot:
        """A slot at prices ``[2, users]`` of joules and failures.

        Where a task is not allowed to be it is never in time; a failure that is not allowed is dear.
        """
        slot = slot_of(self.tasks[t], self.prices, price[0], looseness, price[1])
        barred = limits.barred[t]
        if barred.any():
            slot.failing[barred[:, 0]] += DEAR * slot.failure
            slot.local[barred[:, 1], 0] = np.inf
            slot.away[barred[:, 2:], 0] = np.inf
        return slot

    def column(self, t: int, option: IntArray, price: FloatArray) -> Column:
        """Options of a slot, shared at prices ``[2, users]``."""
        return self._column(t, option, best_shares_of(self.slot(t, price, self.free), option))

    def _column(self, t: int, option: IntArray, shares: FloatArray) -> Column:
        slot, joules = self.plain[t], self.joules[t]
        endless = np.full(len(self.held_j), np.inf)
        cost = charged(
            option, shares, slot.first, slot.local, slot.away, joules.local, joules.away, slot.second, slot.failure,
            endless,
        )  # fmt: skip
        drain = drained(option, shares, joules.local, joules.away)
        chosen = np.eye(slot.servers + 2)[np.where(shares[:, 0] > 0.0, option, -1) + 1]
        return Column(option.copy(), shares, float(cost), by_user(slot, drain), by_user(slot, chosen[:, 0]), chosen)

    def take(self, options: list[IntArray], price: FloatArray, limits: Limits) -> float:
        """Add columns of options ``[tasks]`` of all slots at prices; what they cost at these, less what is held."""
        value = -float(price[0] @ self.held_j) - limits.worth(price[1])
        for t, option in enumerate(options):
            column = self.column(t, option, price)
            self.columns[t].append(column)
            value += _charged(column, price) + self._broken(t, column, limits)
        return value

    def _broken(self, t: int, column: Column, limits: Limits) -> float:
        """What it counts for that a column has choices that are not allowed."""
        barred = limits.barred[t]
        return DEAR * self.prices.failure * float(column.chosen[barred].sum()) if barred.any() else 0.0

    def searched(self, price: FloatArray, start: list[IntArray], limits: Limits) -> list[IntArray]:
        """[slots] options of local searches at prices."""
        return [searched(self.slot(t, price, limits), option)[0] for t, option in enumerate(start)]

    def find_prices(
        self, options: list[IntArray], start: FloatArray, limits: Limits, deadline: float
    ) -> tuple[FloatArray, list[IntArray]]:
        """Prices ``[2, users]`` from ``start`` that prove about as much as any, and options at the last ones."""
        best = start
        value = self.take(options, best, limits)
        for _ in range(PRICINGS):
            mixture, dual, _ = self.mixture(self.columns, limits)
            if mixture - value <= NEARLY * mixture or clock() > deadline:
                break
            price = 0.5 * (best + dual)
            options = self.searched(price, options, limits)
            reached = self.take(options, price, limits)
            if reached > value:
                best, value = price, reached
        return best, options

    def find_plan(self, limits: Limits, deadline: float) -> tuple[float, list[Column]]:
        """The best plan so far, columns slot by slot, and their cost; limits only say where to look."""
        for _ in range(PLANS):
            before = self.best[0]
            _, dual, _ = self.mixture(self.columns, limits)
            likely = [_likely(own, dual) for own in self.columns]
            _, _, parts = self.mixture(likely, limits, whole=True)
            chosen = [own[int(np.argmax(part))] for own, part in zip(likely, parts, strict=True)]
            self._keep(chosen)
            price = self._settle(chosen)
            options = self.searched(price, [column.option for column in chosen], limits)
            self.take(options, price, limits)
            for t, column in enumerate(chosen):
                self.columns[t] += [self.column(t, near, price) for near in self._near(t, column.option, price, limits)]
            if clock() > deadline or self.best[0] >= before * (1.0 - CLOSE):
                break
        return self.best

    def _keep(self, columns: list[Column]) -> None:
        """A plan, if it is the best so far and batteries pay for it."""
        cost = sum(column.cost for column in columns)
        drain = np.sum([column.drain_j for column in columns], axis=0)
        if cost < self.best[0] and (drain <= self.held_j).all():
            self.best = cost, columns

    def _settle(self, chosen: list[Column]) -> FloatArray:
        """Share as is best within batteries where options are given; the prices at which that is best.

        Cost and drain are convex in shares: mixed shares cost and drain no more than the mixture.
        """
        options = [column.option for column in chosen]
        known = [[own[0], column] for own, column in zip(self.columns, chosen, strict=True)]
        best, value = np.zeros((2, len(self.held_j))), -np.inf
        for _ in range(SETTLINGS):
            mixture, dual, parts = self.mixture(known, self.free)
            if mixture - value <= SETTLED * mixture:
                break
            price = dual if value == -np.inf else 0.5 * (best + dual)
            reached = -float(price[0] @ self.held_j)
            for t, option in enumerate(options):
                column = self.column(t, option, price)
                known[t].append(column)
                reached += _charged(column, price)
            if reached > value:
                best, value = price, reached
        mixed = []
        for t, (own, part) in enumerate(zip(known, parts, strict=True)):
            weight = part[1:] / max(float(part[1:].sum()), 1e-9)
            shares = np.einsum("c,cjr->jr", weight, np.array([column.shares for column in own[1 : len(part)]]))
            mixed.append(self._column(t, options[t], shares if part[0] < 0.5 else own[0].shares))
            self.columns[t] += [*own[2:][-KEPT:], mixed[-1]]
        self._keep(mixed)
        return best

    def _near(self, t: int, option: IntArray, price: FloatArray, limits: Limits) -> IntArray:
        """[plans, tasks] options with one task elsewhere that cost least at prices."""
        slot = self.slot(t, price, limits)
        rows = (slot.first, slot.local, slot.away, slot.second, slot.limit_s, slot.failing)
        every, cost = [], []
        for j in range(slot.tasks):
            for where in range(-1, slot.servers + 1):
                if where != option[j]:
                    changed = option.copy()
                    changed[j] = where
                    every.append(changed)
                    cost.append(true_cost(changed, *rows))
        least = np.argsort(cost, kind="stable")[:NEAR]
        return np.array(every, dtype=np.int64).reshape(len(every), slot.tasks)[least]

    def mixture(
        self, columns: list[list[Column]], limits: Limits, whole: bool = False
    ) -> tuple[float, FloatArray, list[FloatArray]]:
        """The least mixture of slots' columns within batteries and limits: its cost, prices, and the columns' parts.

        With ``whole`` columns only, prices are 0.
        """
        import highspy

        slots, users = len(columns), len(self.held_j)
        owner = np.repeat(np.arange(slots), [len(own) for own in columns])
        every = [column for own in columns for column in own]
        cost = [column.cost + self._broken(t, column, limits) for t, own in enumerate(columns) for column in own]
        scale = np.where(self.held_j > 0, self.held_j, 1.0)
        drain = np.array([column.drain_j for column in every]).reshape(len(every), users) / scale
        failures = np.array([column.failures for column in every]).reshape(len(every), users)
        full = (self.held_j > 0) * (1.0 - INSIDE)
        # Beyond the mixture's columns: each user's failures beyond its limits.
        number, rows = len(every) + 2 * users, slots + 2 * users
        failure = self.prices.failure
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = number, rows
        model.col_cost_ = np.concatenate([cost, np.repeat([DEAR * failure, CHEAP * failure], users)])
        model.col_lower_ = np.zeros(number)
        model.col_upper_ = np.append(np.ones(len(every)), np.full(2 * users, highspy.kHighsInf))
        endless = np.full(users, -highspy.kHighsInf)
        model.row_lower_ = np.concatenate([np.ones(slots), endless, np.where(limits.low > 0, limits.low, endless)])
        model.row_upper_ = np.concatenate(
            [np.ones(slots), full, np.where(np.isfinite(limits.high), limits.high, -endless)]
        )
        if whole:
            kinds = highspy.HighsVarType.kInteger, highspy.HighsVarType.kContinuous
            model.integrality_ = [kinds[0]] * len(every) + [kinds[1]] * (2 * users)
        matrix = np.zeros((number, rows))
        matrix[np.arange(len(every)), owner] = 1.0
        matrix[: len(every), slots : slots + users], matrix[: len(every), slots + users :] = drain, failures
        beyond = np.arange(users)
        matrix[len(every) + beyond, slots + users + beyond] = -1.0
        matrix[len(every) + users + beyond, slots + users + beyond] = 1.0
        column, row = np.nonzero(matrix)
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = np.searchsorted(column, np.arange(number + 1)).astype(np.int32)
        model.a_matrix_.index_, model.a_matrix_.value_ = row.astype(np.int32), matrix[column, row]
        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in (("output_flag", False), ("threads", 1), ("mip_max_nodes", NODES), ("mip_rel_gap", CLOSE)):
            highs.setOptionValue(name, value)
        highs.passModel(model)
        highs.run()
        found = highs.getSolution()
        price = np.zeros((2, users))
        if not whole:
            dual = -np.asarray(found.row_dual)[slots:]
            price[0] = np.maximum(dual[:users], 0.0) / scale
            cheapest = np.where(limits.low > 0, -CHEAP * failure, 0.0)
            price[1] = np.clip(dual[users:], cheapest, np.where(np.isfinite(limits.high), DEAR * failure, 0.0))
        part = np.asarray(found.col_value)[: len(every)]
        parts = np.split(part, np.cumsum([len(own) for own in columns])[:-1])
        return float(highs.getInfo().objective_function_value), price, parts

    def branches(self, limits: Limits) -> tuple[Limits, ...]:
        """Two parts of the plans, by what the least mixture has only a part of; none if all is whole.

        That is how many of a user's tasks fail, or else whether one does or is at home, or else where it is.
        """
        _, _, parts = self.mixture(self.columns, limits)
        chosen = [
            np.einsum("c,cjo->jo", part, np.array([column.chosen for column in own]))
            for own, part in zip(self.columns, parts, strict=True)
        ]
        failures = np.sum([by_user(slot, own[:, 0]) for slot, own in zip(self.plain, chosen, strict=True)], axis=0)
        user = int(np.argmax(np.abs(failures - np.round(failures))))
        if abs(failures[user] - np.round(failures[user])) > WHOLE:
            return limits.halves(user, float(failures[user]))
        owner = np.repeat(np.arange(len(chosen)), [len(own) for own in chosen])
        every = np.concatenate(chosen)
        unclear = np.abs(every - np.round(every))
        for choices in (slice(0, 2), slice(2, None)):
            place = np.unravel_index(np.argmax(unclear[:, choices]), unclear[:, choices].shape)
            if unclear[:, choices][place] > WHOLE:
                t, choice = int(owner[place[0]]), int(place[1]) + int(choices.start)
                return limits.either(t, int(place[0] - np.searchsorted(owner, t)), choice)
        return ()


def _charged(column: Column, price: FloatArray) -> float:
    """What a column costs at prices."""
    return float(column.cost + price[0] @ column.drain_j + price[1] @ column.failures)


def _likely(columns: list[Column], price: FloatArray) -> list[Column]:
    """The least columns at prices, few of the same options, and the first one: that all fail is always possible."""
    kept, times = columns[:1], dict[bytes, int]()
    for column in sorted(columns[1:], key=lambda column: _charged(column, price)):
        seen = times.get(column.option.tobytes(), 0)
        if seen < ALIKE:
            times[column.option.tobytes()] = seen + 1
            kept.append(column)
        if len(kept) > LIKELY:
            break
    return kept
