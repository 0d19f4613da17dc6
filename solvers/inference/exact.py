"""Proved optima of inference at the edge (`InferenceProblem`), each slot with what is left in the batteries.

One slot: a user's sets of tasks on its own CPU are costed one by one, and so are sets on servers: local search gives an
incumbent (`inference_search`), prices of servers' CPUs and bands a bound (`inference_bound`, `inference_relaxation`),
pays for tasks a better one, and a small set partition closes the gap (`inference_sets`).

Batteries charge for their joules: with a price for each user's, which it pays in all slots alike as nothing recharges
them, slots have nothing to do with each other, and the sum of their bounds less the prices of what batteries hold at
first is a lower bound of every decision over the horizon. Where no battery runs short prices are 0, and the slots'
optima are proved to be the optimum. Otherwise prices and plans within batteries are searched (`inference_horizon`), and
slots proved at these prices. What is left of the gap comes from plans that are mixtures: all plans are divided into two
parts by what the best mixture does by half (how many tasks of a user fail; what becomes of a task), each part is priced
and proved likewise, and the one with the least bound is divided next. A gap can remain, and the status says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
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
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.inference.column_generation import Horizon, Limits
from offloadopt.solvers.inference.local_search import search
from offloadopt.solvers.inference.relaxation import relax
from offloadopt.solvers.inference.resource_allocation import Slot, allocate, local_costs
from offloadopt.solvers.inference.set_partitioning import Enumeration, close_gap, raise_pay
from offloadopt.structures.inference import InferenceProblem

EXACT = 1e-11
"""Smallest relative gap that is aimed at: less than the rounding of a sum cannot be proved."""
WORTH = 0.02
"""Prices are settled when the bound rises by no more than this part of the gap."""
LOOSE = 1.01 * FEASIBILITY_TOLERANCE
"""Bounds allow for what the problem tolerates."""

Plan = tuple[IntArray, FloatArray]
"""One slot's servers ``[users, places]`` and shares ``[2, users, places]``."""
Found = tuple[float, IntArray, FloatArray]
"""The cost of a plan, its servers ``[horizon, users, places]`` and shares."""


@dataclass(frozen=True)
class Node:
    """A part of all plans, prices ``[2, users]`` of joules and failures, options of all slots there, and a bound."""

    limits: Limits
    price: FloatArray
    options: list[IntArray]
    bound: float


class InferenceExact(Solver):
    """Proved optimum of every slot, and prices of batteries over the horizon."""

    name = "exact"
    serves = InferenceProblem
    proves = True
    hindsight = True

    relative_gap: float = Field(1e-6, ge=0, description="stop once cost and bound are this close, per slot")
    time_limit_s: float | None = Field(
        60.0, gt=0, description="wall-clock limit for each instance, looked at stage by stage; none: no limit"
    )
    twin: bool = Field(False, description="plan for what the digital twin knows; reality pays, nothing is proved")
    price_rounds: int = Field(12, ge=1, description="prices of batteries at which slots are proved, at most")
    branchings: int = Field(40, ge=0, description="into two parts of all plans under batteries, at most")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve every instance on its own; the time limit is for each."""
        self.require(problem)
        inference = cast(InferenceProblem[Any], problem)
        known = inference.twin(instances) if self.twin else instances
        count = instances.count
        shape = (count, problem.horizon, problem.num_agents, inference.places)
        server, shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
        bound, seconds = np.full(count, -np.inf), np.empty(count)
        for row in range(count):
            begin = clock()
            server[row], shares[:, row], proved = self._plan(inference, known.take([row]), begin)
            seconds[row] = clock() - begin
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
        horizon = Horizon([_at(work, t) for t in range(problem.horizon)], problem.prices, held_j)
        nothing = np.zeros((problem.horizon, problem.num_agents, problem.places))
        best = np.inf, nothing.astype(np.int64), np.stack([nothing, nothing])
        node = Node(
            horizon.free,
            np.zeros((2, problem.num_agents)),
            [np.full(slot.tasks, -1) for slot in horizon.plain],
            -np.inf,
        )
        for pricing in range(self.price_rounds):
            starts, proved = self._prove_all(problem, horizon, node, deadline)
            best = _cheaper(problem, instance, best, self._careless(horizon, node.price, starts))
            rise, node = proved - node.bound, replace(node, options=starts, bound=max(node.bound, proved))
            closed = best[0] - node.bound <= self._allowance(best[0])
            if closed or pricing + 1 == self.price_rounds or clock() > deadline:
                break
            if pricing == 0:
                price, _ = horizon.find_prices(starts, node.price, node.limits, deadline)
            else:
                horizon.take(starts, node.price, node.limits)
            best = self._found(problem, instance, horizon, best, node.limits, deadline)
            if pricing > 0:
                if rise <= WORTH * (best[0] - node.bound):
                    break
                price = 0.5 * (node.price + horizon.mixture(horizon.columns, node.limits)[1])
            node = replace(node, price=price, options=horizon.searched(price, starts, node.limits))
        best, bound = self._branch(problem, instance, horizon, best, node, deadline)
        return best[1], best[2], min(bound, best[0])

    def _branch(
        self, problem: InferenceProblem[Any], instance: Instances, horizon: Horizon, best: Found, root: Node,
        deadline: float,
    ) -> tuple[Found, float]:  # fmt: skip
        """Better plans and a bound, by dividing whichever part of the plans has the least bound."""
        waiting, settled = [root], np.inf
        for _ in range(self.branchings):
            waiting.sort(key=lambda node: node.bound)
            lowest = min(settled, waiting[0].bound if waiting else np.inf)
            if not waiting or best[0] - lowest <= self._allowance(best[0]) or clock() > deadline:
                break
            node = waiting.pop(0)
            branches = horizon.branches(node.limits)
            for limits in branches or (node.limits,):
                price, options = horizon.find_prices(node.options, node.price, limits, deadline)
                child = Node(limits, price, options, node.bound)
                options, proved = self._prove_all(problem, horizon, child, deadline)
                horizon.take(options, price, limits)
                child = replace(child, options=options, bound=max(node.bound, proved))
                if best[0] - child.bound > self._allowance(best[0]):
                    best = self._found(problem, instance, horizon, best, limits, deadline)
                if not branches and child.bound - node.bound <= WORTH * (best[0] - node.bound):
                    settled = min(settled, child.bound)  # nothing left to divide, nor do prices get better
                else:
                    waiting.append(child)
        return best, min([settled, *(node.bound for node in waiting)])

    def _prove_all(
        self, problem: InferenceProblem[Any], horizon: Horizon, node: Node, deadline: float
    ) -> tuple[list[IntArray], float]:
        """Options of all slots at a node's prices, and a bound of every decision within its limits."""
        # What the problem tolerates of each task's drain, at most.
        most_j = horizon.held_j * (1.0 + FEASIBILITY_TOLERANCE * problem.horizon * problem.places)
        options, proved = [], -float(node.price[0] @ most_j) - node.limits.worth(node.price[1])
        for t, start in enumerate(node.options):
            now = clock()
            found, low = self.prove(
                horizon.slot(t, node.price, node.limits, LOOSE), start, now + (deadline - now) / (len(node.options) - t)
            )
            options.append(found)
            proved += low
        return options, proved

    def _careless(self, horizon: Horizon, price: FloatArray, options: list[IntArray]) -> list[Plan]:
        """Plans of options shared at prices, whether or not batteries can pay for them."""
        return [
            _placed(horizon.slot(t, price, horizon.free, LOOSE), tasks, horizon.prices.limit_s, option)
            for t, (tasks, option) in enumerate(zip(horizon.tasks, options, strict=True))
        ]

    def _found(
        self, problem: InferenceProblem[Any], instance: Instances, horizon: Horizon, best: Found, limits: Limits,
        deadline: float,
    ) -> Found:  # fmt: skip
        """The better of the best plan and what is found near limits."""
        found, columns = horizon.find_plan(limits, deadline)
        if found >= best[0]:
            return best
        plans = [
            _spread(slot, tasks, column.option, column.shares)
            for slot, tasks, column in zip(horizon.plain, horizon.tasks, columns, strict=True)
        ]
        return _cheaper(problem, instance, best, plans)

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
        if upper - bound > self._allowance(upper) and clock() < deadline:
            every = Enumeration(slot, own, relaxed.bound, deadline)
            relative = max(self.relative_gap, EXACT)
            pays = raise_pay(every, relaxed.pay, option, upper, relative, deadline)
            if pays is None:
                return option, min(bound, upper)
            option, upper, bound = pays.option, pays.upper, max(bound, pays.bound)
            if upper - bound > self._allowance(upper) and clock() < deadline:
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


def _placed(slot: Slot, tasks: InferenceTasks, limit_s: float, option: IntArray) -> Plan:
    """Servers ``[users, places]`` and shares ``[2, users, places]`` of options; who fails asks for nothing."""
    limit = limit_s * (1.0 + 0.5 * FEASIBILITY_TOLERANCE)
    best = allocate(option, slot.first, slot.local, slot.away, slot.second, limit, slot.failure)
    return _spread(slot, tasks, option, best)


def _spread(slot: Slot, tasks: InferenceTasks, option: IntArray, share: FloatArray) -> Plan:
    """Likewise for given shares ``[tasks, 2]``."""
    server = np.zeros(tasks.present.shape, dtype=np.int64)
    shares = np.zeros((2, *tasks.present.shape))
    server[slot.user, slot.place] = np.maximum(option, 0)
    shares[:, slot.user, slot.place] = np.clip(share.T, 0.0, 1.0)
    return server, shares


def _cheaper(
    problem: InferenceProblem[Any],
    instance: Instances,
    best: Found,
    plans: list[Plan],
) -> Found:
    """The better of the best cost, servers and shares, and what the problem charges for slots' plans."""
    server = np.stack([plan[0] for plan in plans])
    shares = np.stack([plan[1] for plan in plans], axis=1)
    decisions = problem.share(server[None], shares[0][None], shares[1][None])
    cost = float(problem.evaluate(instance, decisions).cost[0])
    return (cost, server, shares) if cost < best[0] else best
