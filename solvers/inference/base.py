"""One slot of inference at the edge as rules without hindsight_data see it, and plans that batteries can pay for.

An observation tells the slot's tasks and what batteries hold. A plan gives each task an option (-1 fails, 0 own CPU,
j server j) and shares. What it drains falls as joules become dearer: the least price at which it fits is searched for
each user, and the best plan met is taken, judged as the problem charges it (C5: tasks are served in their order).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from offloadopt.core import FEASIBILITY_TOLERANCE, Decisions, FloatArray, IntArray, Observation
from offloadopt.physics.edge_inference import InferenceTasks, send_factor
from offloadopt.solvers.base import Rule
from offloadopt.solvers.inference.local_search import improve, search
from offloadopt.solvers.inference.resource_allocation import Slot, allocate, local_costs, slot_of
from offloadopt.structures.inference import CostWeights, InferenceProblem

DEARER = 4.0
"""Factor by which a joule's price rises until the plan fits."""
CLOSE, ROUGHLY = 1.02, 2.0
"""Ratios of a price that fits to one that does not, at which the search ends."""
BASE = 0.01
"""First rise of a joule's price, as a part of what joules cost anyway."""
ROUNDS = 32
LAST = 4
"""Options met on the way that get prices of their own."""

Plan = Callable[[Slot], tuple[IntArray, FloatArray]]
"""Options ``[tasks]`` and shares ``[tasks, 2]`` for a slot."""


class InferenceRule(Rule):
    """A rule that plans each instance's slot by itself."""

    serves = InferenceProblem

    @abstractmethod
    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[Slot, IntArray, FloatArray]:
        """The slot with options ``[tasks]`` and shares ``[tasks, 2]``.

        Parameters
        ----------
        problem : InferenceProblem
        tasks : InferenceTasks
            Arrays ``[users, places]`` and so on.
        held_j : array [users]
            What batteries hold.
        """

    def decide(self, problem: InferenceProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Each instance's plan."""
        tasks, held_j = problem.seen(observation)
        return decided(problem, [self.plan(problem, task_row(tasks, row), held_j[row]) for row in range(len(held_j))])


def task_row(tasks: InferenceTasks, row: int) -> InferenceTasks:
    """One instance's tasks."""
    return InferenceTasks(**{f.name: getattr(tasks, f.name)[row] for f in fields(InferenceTasks)})


def decided(problem: InferenceProblem[Any], plans: list[tuple[Slot, IntArray, FloatArray]]) -> Decisions:
    """One slot's decisions of plans, one for each instance; who fails asks for nothing."""
    shape = (len(plans), 1, problem.num_agents, problem.places)
    server, shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
    for row, (slot, option, share) in enumerate(plans):
        server[row, 0, slot.user, slot.place] = np.maximum(option, 0)
        shares[:, row, 0, slot.user, slot.place] = np.clip(share.T, 0.0, 1.0)
    return problem.one_slot.share(server, shares[0], shares[1])


def best_shares_of(slot: Slot, option: IntArray) -> FloatArray:
    """[tasks, 2] the best shares of CPU and band for options; 0 for tasks that then miss their limits."""
    dearest = float(slot.failing.max(initial=slot.failure))
    shares = shares_in_time(option, slot.first, slot.local, slot.away, slot.second, slot.limit_s, dearest)
    return np.asarray(shares, dtype=np.float64)


@njit(cache=True)
def shares_in_time(option: Any, first: Any, local: Any, away: Any, second: float, limit: float, failure: float) -> Any:
    """Likewise for a slot's parts. Of tasks that cannot all be in time, some still may be."""
    shares = allocate(option, first, local, away, second, limit, failure)
    asked = np.zeros((away.shape[1], 2))
    for j in range(len(option)):
        if option[j] > 0:
            asked[option[j] - 1] += shares[j]
    for j in range(len(option)):
        cpu, band = shares[j, 0], shares[j, 1]
        if cpu <= 0.0 or option[j] <= 0:
            continue
        k = option[j] - 1
        cpu, band = cpu / max(asked[k, 0], 1.0), band / max(asked[k, 1], 1.0)
        row = away[j, k]
        if row[0] / cpu + row[2] * send_factor(band, row[3]) > limit * (1.0 + FEASIBILITY_TOLERANCE):
            cpu = band = 0.0
        shares[j, 0], shares[j, 1] = cpu, band
    return shares


def searched(slot: Slot, start: IntArray, exchanges: bool = True) -> tuple[IntArray, FloatArray]:
    """Options ``[tasks]`` and shares ``[tasks, 2]`` of a local search from options.

    Without exchanges of two tasks it takes a quarter of the time and costs about 1 % more.
    """
    option = start.copy()
    if slot.tasks == 0:
        return option, np.zeros((0, 2))
    own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, 1 << int(np.diff(slot.first).max()))
    if exchanges:
        option, _, _ = search(slot, own, option, np.inf)
    else:
        improve(option, slot.user, slot.first, own, slot.away, slot.second, slot.limit_s, slot.failing, False)
    return option, best_shares_of(slot, option)


@njit(cache=True)
def true_cost(option: Any, first: Any, local: Any, away: Any, second: float, limit: float, failing: Any) -> float:
    """Cost of options at the slot's own prices; tasks that are late fail."""
    dearest = 0.0
    for j in range(len(failing)):
        dearest = max(dearest, failing[j])
    shares = shares_in_time(option, first, local, away, second, limit, dearest)
    endless = np.full(len(first) - 1, np.inf)
    total = charged(option, shares, first, local, away, local, away, second, 0.0, endless)
    for j in range(len(failing)):
        if option[j] < 0 or shares[j, 0] <= 0.0:
            total += failing[j]
    return total


def joules_of(tasks: InferenceTasks, prices: CostWeights) -> Slot:
    """The slot's rows with what batteries are drained of, in joules, as energies."""
    return slot_of(tasks, replace(prices, per_joule=0.0), np.ones(len(tasks.present)), 0.0)


def by_user(slot: Slot, values: FloatArray) -> FloatArray:
    """[users] sums of values ``[tasks]``."""
    return np.bincount(slot.user, values, minlength=len(slot.first) - 1).astype(np.float64)


@njit(cache=True)
def drained(option: Any, shares: Any, local: Any, away: Any) -> Any:
    """``[tasks]`` energies of options and shares, in what rows count them; 0 for who has no CPU."""
    energies = np.zeros(len(option))
    for j in range(len(option)):
        cpu, band = shares[j, 0], shares[j, 1]
        if cpu > 0.0 and option[j] == 0:
            energies[j] = local[j, 1] * cpu * cpu
        elif cpu > 0.0 and option[j] > 0:
            row = away[j, option[j] - 1]
            energies[j] = row[1] * cpu * cpu + row[4] * row[2] * send_factor(band, row[3])
    return energies


@njit(cache=True)
def charged(
    option: Any, shares: Any, first: Any, local: Any, away: Any, own_j: Any, away_j: Any, second: float,
    failure: float, held_j: Any,
) -> float:  # fmt: skip
    """What the problem charges for options and shares that meet the time limit, as batteries hold ``held_j [users]``.

    ``own_j`` and ``away_j`` are the rows of `joules_of`. Shares of each CPU and band must not exceed 1.
    """
    energies, drain = drained(option, shares, local, away), drained(option, shares, own_j, away_j)
    total = 0.0
    for i in range(len(first) - 1):
        left = held_j[i]
        for j in range(first[i], first[i + 1]):
            cpu = shares[j, 0]
            if option[j] < 0 or cpu <= 0.0 or drain[j] > left:
                total += failure
                continue
            left -= drain[j]
            if option[j] == 0:
                taken = local[j, 0] / cpu
            else:
                row = away[j, option[j] - 1]
                taken = row[0] / cpu + row[2] * send_factor(shares[j, 1], row[3])
            total += second * taken + energies[j]
    return total


def within(
    tasks: InferenceTasks,
    prices: CostWeights,
    price: FloatArray,
    held_j: FloatArray,
    plan: Plan,
    roughly: bool = False,
) -> tuple[Slot, IntArray, FloatArray]:
    """The best plan met on the way to joule prices, from ``price [users]`` upwards, at which nobody runs short.

    Plans are judged by what they cost at the prices asked for, where what batteries cannot pay for fails. As a price
    cannot reach everything that fits, the options met last on the way get shares at prices of their own, unless it is
    to be found ``roughly``.
    """
    joules, asked = joules_of(tasks, prices), slot_of(tasks, prices, price, 0.0)
    rows = (asked.first, asked.local, asked.away, joules.local, joules.away, asked.second, asked.failure)
    start = BASE * (prices.per_joule if prices.per_joule > 0 else prices.per_second)
    best = np.inf, asked, np.full(asked.tasks, -1, dtype=np.int64), np.zeros((asked.tasks, 2))
    met: dict[bytes, IntArray] = {}

    def drain(current: FloatArray, plan: Plan) -> FloatArray:
        nonlocal best
        slot = slot_of(tasks, prices, current, 0.0)
        option, shares = plan(slot)
        cost = float(charged(option, shares, *rows, held_j))
        if cost < best[0]:
            best = cost, slot, option, shares
        energies = by_user(slot, drained(option, shares, joules.local, joules.away))
        if (energies > held_j).any():
            met[option.tobytes()] = option
        return energies

    settle_prices(partial(drain, plan=plan), price, held_j, start, ROUGHLY if roughly else CLOSE)
    for option in [] if roughly else list(met.values())[-LAST:]:
        settle_prices(partial(drain, plan=partial(_as_given, option)), price, held_j, start, CLOSE)
    return best[1], best[2], best[3]


def settle_prices(
    drain: Callable[[FloatArray], FloatArray], price: FloatArray, held_j: FloatArray, start: float, close: float
) -> None:
    """Try joule prices from ``price [users]`` upwards until they are about the least at which nobody runs short.

    ``drain`` tells what prices drain batteries of, and keeps what it likes. The first rise is to ``start``; prices that
    fit and prices that do not end within a factor ``close``.
    """
    low, high, current = price, np.full(len(price), np.inf), price
    short = np.zeros(len(price), dtype=np.bool_)
    for _ in range(ROUNDS):
        over = drain(current) > held_j
        short |= over
        low = np.where(over, current, low)
        high = np.where(over, np.where(high <= current, np.inf, high), np.minimum(high, current))
        near = high <= close * np.maximum(low, start)
        if not over.any() and near[short].all():
            return
        known = np.isfinite(high)
        between = np.sqrt(np.maximum(low, start) * np.where(known, high, 1.0))
        following = np.where(known, np.where(near, high, between), DEARER * np.maximum(low, start))
        current = np.where(short, following, price)


def _as_given(option: IntArray, slot: Slot) -> tuple[IntArray, FloatArray]:
    return option, best_shares_of(slot, option)
