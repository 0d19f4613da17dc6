"""Slots that share batteries: prices of joules by column generation, and plans that batteries can pay for.

A column is one slot's plan with its cost and what it drains. The least mixture of columns, one for each slot, within
batteries is a small linear programme; its duals are prices of joules, at which every slot's best plan is a new
column. Prices are drawn back halfway to the best ones so far, as the first duals are far off. Here slots are
searched, not proved, so that nothing is a bound; a proof at the prices found gives one.

A plan takes one column for each slot, by a MILP of few nodes. Then its options are kept, and shares of CPUs and bands
found likewise; as options are given this is convex, and nothing is lost. At the prices found, plans of each slot with
one task elsewhere are further columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.inference import InferencePrices
from offloadopt.physics.inference import InferenceTasks
from offloadopt.solvers.inference_sharing import slot_of
from offloadopt.solvers.inference_slots import (
    best_shares_of,
    by_user,
    charged,
    drained,
    joules_of,
    searched,
    true_cost,
)

PRICINGS, PLANS = 30, 8
"""Rounds of prices, and of plans, at most."""
CLOSE = 1e-4
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


@dataclass(frozen=True)
class Column:
    """One slot's plan: options and shares of its tasks, its cost without prices, joules from each battery."""

    option: IntArray
    shares: FloatArray
    cost: float
    drain_j: FloatArray


class Horizon:
    """All slots of one instance.

    Parameters
    ----------
    tasks : list of InferenceTasks
        Slot by slot.
    prices : InferencePrices
    held_j : array [users]
        What batteries hold at first.
    """

    def __init__(self, tasks: list[InferenceTasks], prices: InferencePrices, held_j: FloatArray) -> None:
        self.tasks, self.prices, self.held_j = tasks, prices, held_j
        nothing = np.zeros(len(held_j))
        self.plain = [slot_of(slot, prices, nothing, 0.0) for slot in tasks]
        self.joules = [joules_of(slot, prices) for slot in tasks]
        self.columns = [
            [Column(np.full(slot.tasks, -1), np.zeros((slot.tasks, 2)), slot.failure * slot.tasks, nothing)]
            for slot in self.plain
        ]
        self.best: tuple[float, list[Column]] = sum(own[0].cost for own in self.columns), [c[0] for c in self.columns]

    def column(self, t: int, option: IntArray, price: FloatArray) -> Column:
        """Options of a slot, shared at joule prices ``[users]``."""
        return self._column(t, option, best_shares_of(slot_of(self.tasks[t], self.prices, price, 0.0), option))

    def _column(self, t: int, option: IntArray, shares: FloatArray) -> Column:
        slot, joules = self.plain[t], self.joules[t]
        endless = np.full(len(self.held_j), np.inf)
        cost = charged(
            option, shares, slot.first, slot.local, slot.away, joules.local, joules.away, slot.second, slot.failure,
            endless,
        )  # fmt: skip
        drain = drained(option, shares, joules.local, joules.away)
        return Column(option.copy(), shares, float(cost), by_user(slot, drain))

    def take(self, options: list[IntArray], price: FloatArray) -> float:
        """Add columns of options ``[tasks]`` of all slots at prices; what they cost at these, less the batteries."""
        value = -float(price @ self.held_j)
        for t, option in enumerate(options):
            column = self.column(t, option, price)
            self.columns[t].append(column)
            value += column.cost + float(price @ column.drain_j)
        return value

    def searched(self, price: FloatArray, start: list[IntArray]) -> list[IntArray]:
        """[slots] options of local searches at prices."""
        return [
            searched(slot_of(slot, self.prices, price, 0.0), option)[0]
            for slot, option in zip(self.tasks, start, strict=True)
        ]

    def find_prices(self, options: list[IntArray], deadline: float) -> FloatArray:
        """[users] joule prices that prove about as much as any."""
        best = np.zeros(len(self.held_j))
        value = self.take(options, best)
        for _ in range(PRICINGS):
            mixture, dual, _ = self.mixture(self.columns)
            if mixture - value <= CLOSE * mixture or perf_counter() > deadline:
                break
            price = 0.5 * (best + dual)
            options = self.searched(price, options)
            reached = self.take(options, price)
            if reached > value:
                best, value = price, reached
        return best

    def find_plan(self, deadline: float) -> tuple[float, list[Column]]:
        """The best plan: columns slot by slot, and their cost."""
        for _ in range(PLANS):
            before = self.best[0]
            _, dual, _ = self.mixture(self.columns)
            likely = [_likely(own, dual) for own in self.columns]
            _, _, parts = self.mixture(likely, whole=True)
            chosen = [own[int(np.argmax(part))] for own, part in zip(likely, parts, strict=True)]
            self._keep(chosen)
            price = self._settle(chosen)
            options = self.searched(price, [column.option for column in chosen])
            self.take(options, price)
            for t, column in enumerate(chosen):
                self.columns[t] += [self.column(t, near, price) for near in self._near(t, column.option, price)]
            if perf_counter() > deadline or self.best[0] >= before * (1.0 - CLOSE):
                break
        return self.best

    def _keep(self, columns: list[Column]) -> None:
        """A plan, if it is the best so far and batteries pay for it."""
        cost = sum(column.cost for column in columns)
        drain = np.sum([column.drain_j for column in columns], axis=0)
        if cost < self.best[0] and (drain <= self.held_j).all():
            self.best = cost, columns

    def _settle(self, chosen: list[Column]) -> FloatArray:
        """Share as is best within batteries where options are given; the joule prices at which that is best.

        Cost and drain are convex in shares: mixed shares cost and drain no more than the mixture.
        """
        options = [column.option for column in chosen]
        known = [[own[0], column] for own, column in zip(self.columns, chosen, strict=True)]
        best, value = np.zeros(len(self.held_j)), -np.inf
        for _ in range(SETTLINGS):
            mixture, dual, parts = self.mixture(known)
            if mixture - value <= SETTLED * mixture:
                break
            price = dual if value == -np.inf else 0.5 * (best + dual)
            reached = -float(price @ self.held_j)
            for t, option in enumerate(options):
                column = self.column(t, option, price)
                known[t].append(column)
                reached += column.cost + float(price @ column.drain_j)
            if reached > value:
                best, value = price, reached
        mixed = []
        for t, (own, part) in enumerate(zip(known, parts, strict=True)):
            weight = part[1:] / max(float(part[1:].sum()), 1e-9)
            shares = np.einsum("c,cjr->jr", weight, np.array([column.shares for column in own[1 : len(part)]]))
            mixed.append(self._column(t, options[t], shares if part[0] < 0.5 else own[0].shares))
            self.columns[t] += [*own[2:], mixed[-1]]
        self._keep(mixed)
        return best

    def _near(self, t: int, option: IntArray, price: FloatArray) -> IntArray:
        """[plans, tasks] options with one task elsewhere that cost least at prices."""
        slot = slot_of(self.tasks[t], self.prices, price, 0.0)
        rows = (slot.first, slot.local, slot.away, slot.second, slot.limit_s, slot.failure)
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

    def mixture(self, columns: list[list[Column]], whole: bool = False) -> tuple[float, FloatArray, list[FloatArray]]:
        """The least mixture of slots' columns within batteries: its cost, joule prices, and the columns' parts.

        With ``whole`` columns only, prices are 0.
        """
        import highspy

        slots, users = len(columns), len(self.held_j)
        owner = np.repeat(np.arange(slots), [len(own) for own in columns])
        every = [column for own in columns for column in own]
        scale = np.where(self.held_j > 0, self.held_j, 1.0)
        drain = np.array([column.drain_j for column in every]).reshape(len(every), users) / scale
        full = (self.held_j > 0) * (1.0 - INSIDE)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(every), slots + users
        model.col_cost_ = np.array([column.cost for column in every])
        model.col_lower_, model.col_upper_ = np.zeros(len(every)), np.full(len(every), 1.0)
        model.row_lower_ = np.append(np.ones(slots), np.full(users, -highspy.kHighsInf))
        model.row_upper_ = np.append(np.ones(slots), full)
        if whole:
            model.integrality_ = [highspy.HighsVarType.kInteger] * len(every)
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = (np.arange(len(every) + 1) * (users + 1)).astype(np.int32)
        rows = np.concatenate([owner[:, None], np.tile(slots + np.arange(users), (len(every), 1))], axis=1)
        model.a_matrix_.index_ = rows.ravel().astype(np.int32)
        model.a_matrix_.value_ = np.concatenate([np.ones((len(every), 1)), drain], axis=1).ravel()
        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in (("output_flag", False), ("threads", 1), ("mip_max_nodes", NODES), ("mip_rel_gap", CLOSE)):
            highs.setOptionValue(name, value)
        highs.passModel(model)
        highs.run()
        found = highs.getSolution()
        part = np.asarray(found.col_value)
        price = np.zeros(users) if whole else np.maximum(-np.asarray(found.row_dual)[slots:], 0.0) / scale
        parts = np.split(part, np.cumsum([len(own) for own in columns])[:-1])
        return float(highs.getInfo().objective_function_value), price, parts


def _likely(columns: list[Column], price: FloatArray) -> list[Column]:
    """The least columns at prices, few of the same options, and the first one: that all fail is always possible."""
    kept, times = columns[:1], dict[bytes, int]()
    for column in sorted(columns[1:], key=lambda column: column.cost + float(price @ column.drain_j)):
        seen = times.get(column.option.tobytes(), 0)
        if seen < ALIKE:
            times[column.option.tobytes()] = seen + 1
            kept.append(column)
        if len(kept) > LIKELY:
            break
    return kept
