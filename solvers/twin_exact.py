"""Proved optima of inference at the edge (`InferenceProblem`), each slot with what is left in the batteries.

One slot: a user's sets of tasks on its own CPU are costed one by one, and so are sets on servers: local search gives an
incumbent (`inference_search`), prices of servers' CPUs and bands a bound (`inference_bound`, `inference_relaxation`),
pays for tasks a better one, and a small set partition closes the gap (`inference_sets`).

Batteries charge for their joules: with a price for each user's, which it pays in all slots alike as nothing recharges
them, slots have nothing to do with each other, and the sum of their bounds less the prices of what batteries hold at
first is a lower bound of every decision over the horizon. Where no battery runs short prices are 0, and the slots'
optima are proved to be the optimum. Otherwise prices and plans within batteries are searched (`inference_horizon`), and
slots proved at these prices. A gap can remain then, and the status says so.
"""

from __future__ import annotations

from dataclasses import fields
from time import perf_counter
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.core import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    Instances,
    IntArray,
    Problem,
    Progress,
    Solutions,
    Solver,
)
from offloadopt.inference import InferenceProblem
from offloadopt.physics.inference import InferenceTasks
from offloadopt.solvers.inference_horizon import Horizon
from offloadopt.solvers.inference_relaxation import relax
from offloadopt.solvers.inference_search import search
from offloadopt.solvers.inference_sets import Enumeration, close_gap, raise_pay
from offloadopt.solvers.inference_sharing import Slot, allocate, local_costs, slot_of

EXACT = 1e-11
"""Smallest relative gap that is aimed at: less than the rounding of a sum cannot be proved."""
WORTH = 0.02
"""Prices are settled when the bound rises by no more than this part of the gap."""
LOOSE = 1.01 * FEASIBILITY_TOLERANCE
"""Bounds allow for what the problem tolerates."""


class TwinExact(Solver):
    """Proved optimum of every slot, and prices of batteries over the horizon."""

    name = "twin-exact"
    serves = InferenceProblem
    proves = True

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and bound are this close, per slot")
    time_limit_s: float | None = Field(
        60.0, gt=0, description="wall-clock limit for each instance, looked at between a slot's stages; none: no limit"
    )
    twin: bool = Field(False, description="plan for what the digital twin knows; reality pays, nothing is proved")
    price_rounds: int = Field(12, ge=1, description="prices of batteries at which slots are proved, at most")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve every instance on its own; the time limit is for each."""
        self.require(problem)
        inference = cast(InferenceProblem[Any], problem)
        known = inference.twin(instances) if self.twin else instances
        count = instances.count
        shape = (count, problem.horizon, problem.agents, inference.places)
        server, shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
        bound, seconds = np.full(count, -np.inf), np.empty(count)
        for row in range(count):
            begin = perf_counter()
            server[row], shares[:, row], proved = self._plan(inference, known.take([row]), begin)
            seconds[row] = perf_counter() - begin
            if not self.twin:
                bound[row] = proved
            if progress is not None:
                progress(1)
        decisions = inference.share(server, shares[0], shares[1])
        return Solutions.scored(
            problem, instances, decisions, seconds=seconds, bound=bound, asked_gap=self.relative_gap
        )

    def _plan(
        self, problem: InferenceProblem[Any], instance: Instances, begin: float
    ) -> tuple[IntArray, FloatArray, float]:
        """Servers ``[horizon, users, places]``, both shares, and a bound of one instance."""
        deadline = np.inf if self.time_limit_s is None else begin + self.time_limit_s
        work, held_j = problem.work(instance), problem.start_j(instance)[0]
        slots = [_at(work, t) for t in range(problem.horizon)]
        # What the problem tolerates of each task's drain, at most.
        most_j = held_j * (1.0 + FEASIBILITY_TOLERANCE * problem.horizon * problem.places)
        price, bound = np.zeros(problem.agents), -np.inf
        nothing = np.zeros((problem.horizon, problem.agents, problem.places))
        best = np.inf, nothing.astype(np.int64), np.stack([nothing, nothing])
        starts: list[IntArray] = [np.full(slot.present.sum(), -1, dtype=np.int64) for slot in slots]
        horizon = Horizon(slots, problem.prices, held_j)
        for pricing in range(self.price_rounds):
            proved = -float(price @ most_j)
            for t, tasks in enumerate(slots):
                slot, now = slot_of(tasks, problem.prices, price, LOOSE), perf_counter()
                starts[t], low = self.prove(slot, starts[t], now + (deadline - now) / (len(slots) - t))
                proved += low
            plans = [
                _placed(slot_of(tasks, problem.prices, price, LOOSE), tasks, problem.prices.limit_s, option)
                for tasks, option in zip(slots, starts, strict=True)
            ]
            best, rise, bound = _cheaper(problem, instance, best, plans), proved - bound, max(bound, proved)
            closed = best[0] - bound <= self._allowance(best[0])
            if closed or pricing + 1 == self.price_rounds or perf_counter() > deadline:
                break
            if pricing == 0:
                price = horizon.find_prices(starts, deadline)
            else:
                horizon.take(starts, price)
            found, columns = horizon.find_plan(deadline)
            if found < best[0]:
                plans = [
                    _spread(slot, tasks, column.option, column.shares)
                    for slot, tasks, column in zip(horizon.plain, slots, columns, strict=True)
                ]
                best = _cheaper(problem, instance, best, plans)
            if pricing > 0:
                if rise <= WORTH * (best[0] - bound):
                    break
                price = 0.5 * (price + horizon.mixture(horizon.columns)[1])
            starts = horizon.searched(price, starts)
        return best[1], best[2], min(bound, best[0])

    def prove(self, slot: Slot, start: IntArray | None, deadline: float) -> tuple[IntArray, float]:
        """Options ``[tasks]`` of one slot, -1 fails, 0 own CPU, j server j, and a lower bound of all options' costs."""
        if slot.tasks == 0:
            return np.zeros(0, dtype=np.int64), 0.0
        own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, 1 << int(np.diff(slot.first).max()))
        nobody = np.full(slot.tasks, -1, dtype=np.int64)
        option, upper, prices = search(slot, own, nobody if start is None else start, deadline)
        relaxed = relax(slot, own, prices, upper, self._allowance(upper), deadline)
        option, upper = _better(slot, own, option, upper, relaxed.options, deadline)
        bound = relaxed.bound.value
        if upper - bound > self._allowance(upper) and perf_counter() < deadline:
            every = Enumeration(slot, own, relaxed.bound)
            relative = max(self.relative_gap, EXACT)
            pays = raise_pay(every, relaxed.pay, option, upper, relative, deadline)
            if pays is None:
                return option, min(bound, upper)
            option, upper, bound = pays.option, pays.upper, max(bound, pays.bound)
            if upper - bound > self._allowance(upper) and perf_counter() < deadline:
                room = upper - pays.bound
                left = every.below(pays.pay, np.full(slot.servers, np.inf), room)
                if left is not None:
                    found, bound = close_gap(
                        slot, left[0], pays.bound, pays.pay, option, upper, self._allowance(upper), deadline
                    )  # fmt: skip
                    option, upper = _better(slot, own, option, upper, found, deadline)
        return option, min(bound, upper)

    def _allowance(self, upper: float) -> float:
        """Absolute gap that is asked for."""
        return max(self.relative_gap, EXACT) * upper


def _better(
    slot: Slot, own: FloatArray, option: IntArray, upper: float, start: IntArray, deadline: float
) -> tuple[IntArray, float]:
    """The better of options and of what a search from others finds."""
    found, cost, _ = search(slot, own, start, deadline)
    return (found, cost) if cost < upper else (option, upper)


def _at(work: InferenceTasks, slot: int) -> InferenceTasks:
    """One slot of one instance."""
    return InferenceTasks(**{f.name: _slice(getattr(work, f.name), slot) for f in fields(InferenceTasks)})


def _slice(values: Any, slot: int) -> Any:
    return values[0, min(slot, values.shape[1] - 1)]  # what does not change has one slot


def _placed(slot: Slot, tasks: InferenceTasks, limit_s: float, option: IntArray) -> tuple[IntArray, FloatArray]:
    """Servers ``[users, places]`` and shares ``[2, users, places]`` of options; who fails asks for nothing."""
    limit = limit_s * (1.0 + 0.5 * FEASIBILITY_TOLERANCE)
    best = allocate(option, slot.first, slot.local, slot.away, slot.second, limit, slot.failure)
    return _spread(slot, tasks, option, best)


def _spread(slot: Slot, tasks: InferenceTasks, option: IntArray, share: FloatArray) -> tuple[IntArray, FloatArray]:
    """Likewise for given shares ``[tasks, 2]``."""
    server = np.zeros(tasks.present.shape, dtype=np.int64)
    shares = np.zeros((2, *tasks.present.shape))
    server[slot.user, slot.place] = np.maximum(option, 0)
    shares[:, slot.user, slot.place] = np.clip(share.T, 0.0, 1.0)
    return server, shares


def _cheaper(
    problem: InferenceProblem[Any],
    instance: Instances,
    best: tuple[float, IntArray, FloatArray],
    plans: list[tuple[IntArray, FloatArray]],
) -> tuple[float, IntArray, FloatArray]:
    """The better of the best cost, servers and shares, and what the problem charges for slots' plans."""
    server = np.stack([plan[0] for plan in plans])
    shares = np.stack([plan[1] for plan in plans], axis=1)
    decisions = problem.share(server[None], shares[0][None], shares[1][None])
    cost = float(problem.evaluate(instance, decisions).cost[0])
    return (cost, server, shares) if cost < best[0] else best
