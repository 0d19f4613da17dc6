"""The cheapest decisions when the whole future is known: a reference that no online policy can beat.

Serves buffers that do not touch each other (`BacklogProblem`), one at a time:

* `backlog_string`: without a battery the plan follows the price of a bit, found exactly in a millisecond;
* `backlog_battery`: with a battery, a convex programme of two coupled chains, by cvxpy and Clarabel;
* `backlog_dual`: the proof. Prices of bits and joules give a lower bound, evaluated apart from any solver and less a
  margin for rounding. Where no bit is lost it meets the cost. A buffer loses bits only when it is full, which makes
  the problem nonconvex: where bits must be lost a gap remains, and the status says so. So it does where a battery
  meets a grid price that changes within the horizon: the battery must be drawn on before the grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import FloatArray, Instances, Problem, Progress, Solutions, Solver
from offloadopt.solvers.backlog.convex_program import BatteryProgramme
from offloadopt.solvers.backlog.dual_bound import joule_prices, price_bound, supporting_prices
from offloadopt.solvers.backlog.taut_string import string_plan
from offloadopt.structures.backlog import BacklogProblem


class BacklogExact(Solver):
    """The whole horizon's powers at once, with a proved bound."""

    name = "exact"
    serves = BacklogProblem
    proves = True
    hindsight = True

    relative_gap: float = Field(1e-4, ge=0, description="call a decision optimal whose bound is this close")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Plan every buffer and prove a bound; ``details`` hold what a waiting bit is worth, ``bit_price``.

        Buffers that the time limit leaves unplanned stay idle, with the bound that prices of 0 give.
        """
        self.require(problem)
        batch = _Batch(cast(BacklogProblem[Any], problem), instances, self.time_limit_s)
        plan = batch.with_battery(progress) if batch.backlog.battery_j > 0 else batch.without_battery(progress)
        return Solutions.scored(
            problem,
            instances,
            batch.problem.serve(plan.local_w, plan.offload_w),
            seconds=batch.all_seconds(),
            bound=plan.bound.sum(axis=1),
            asked_gap=self.relative_gap,
            details={"bit_price": plan.bit_price},
        )


@dataclass(frozen=True)
class _Plan:
    """Powers and prices ``[count, horizon, agents]``; what they cost and what they prove ``[count, agents]``."""

    local_w: FloatArray
    offload_w: FloatArray
    bit_price: FloatArray
    cost: FloatArray
    bound: FloatArray

    def or_better(self, other: _Plan) -> _Plan:
        """For each agent the cheaper powers, and the higher bound with its prices."""
        cheaper, higher = (other.cost < self.cost)[:, None], (other.bound > self.bound)[:, None]
        return _Plan(
            np.where(cheaper, other.local_w, self.local_w),
            np.where(cheaper, other.offload_w, self.offload_w),
            np.where(higher, other.bit_price, self.bit_price),
            np.minimum(other.cost, self.cost),
            np.maximum(other.bound, self.bound),
        )


class _Batch:
    """The buffers of one call, and the time that they take."""

    def __init__(self, problem: BacklogProblem[Any], instances: Instances, time_limit_s: float | None) -> None:
        self.begin = clock()
        self.problem, self.instances = problem, instances
        self.limit_s = np.inf if time_limit_s is None else time_limit_s
        self.backlog = problem.backlog(instances)
        self.shape = self.backlog.arrival_bits.shape
        service = self.backlog.service
        self.edge = service.effort_for_energy(np.broadcast_to(service.green_j, self.shape))
        self.seconds = np.zeros(instances.count)

    def all_seconds(self) -> FloatArray:
        """[count] each instance's own time and its share of what all were done in."""
        shared = clock() - self.begin - float(self.seconds.sum())
        return np.asarray(self.seconds + max(shared, 0.0) / max(self.instances.count, 1))

    def buffers(self, progress: Progress | None = None) -> Iterator[tuple[int, int, float]]:
        """Row, agent and the seconds left, of every buffer for which there are any; the time is kept."""
        count, _, agents = self.shape
        for row in range(count):
            begin = clock()
            for agent in range(agents):
                left_s = self.limit_s - self.seconds[row] - (clock() - begin)
                if left_s > 0:
                    yield row, agent, left_s
            self.seconds[row] += clock() - begin
            if progress is not None:
                progress(1)

    def without_battery(self, progress: Progress | None = None) -> _Plan:
        """Each buffer's taut string. A battery is left out of account."""
        backlog, service = self.backlog, self.backlog.service
        green_price = np.asarray(-backlog.waste_price) if backlog.battery_j > 0 else service.green_price
        plain = replace(backlog, service=replace(service, green_price=green_price), battery_j=0.0)
        served, prices = np.zeros(self.shape), np.zeros(self.shape)
        for row, agent, _ in self.buffers(progress):
            served[row, :, agent], prices[row, :, agent] = string_plan(plain, self.edge, row, agent)
        bit_price = supporting_prices(backlog, served, prices)
        joule_price = joule_prices(plain, bit_price, self.edge) if backlog.battery_j > 0 else None
        return self.plan(*plain.service.best(np.full(self.shape, np.inf), served), bit_price, joule_price)

    def with_battery(self, progress: Progress | None) -> _Plan:
        """Each agent's convex programme; where that fails, or is dearer, the plan without a battery stands."""
        best = self.without_battery()
        programme = BatteryProgramme(self.backlog)
        local_w, offload_w, bit_price = best.local_w.copy(), best.offload_w.copy(), best.bit_price.copy()
        joule_price = np.zeros(self.shape)
        for row, agent, left_s in self.buffers(progress):
            found = programme.solve(row, agent, left_s if np.isfinite(left_s) else None)
            if found is not None:
                local_w[row, :, agent], offload_w[row, :, agent] = found.local_w, found.offload_w
                bit_price[row, :, agent], joule_price[row, :, agent] = found.bit_price, found.joule_price
        served = self.backlog.service.bits(local_w, offload_w)
        for price in (bit_price, supporting_prices(self.backlog, served, bit_price)):
            best = best.or_better(self.plan(local_w, offload_w, price, joule_price))
        return best

    def plan(
        self, local_w: FloatArray, offload_w: FloatArray, bit_price: FloatArray, joule_price: FloatArray | None
    ) -> _Plan:
        """Powers with what they cost, prices with what they prove."""
        cost = self.problem.evaluate(self.instances, self.problem.serve(local_w, offload_w)).agent_cost
        bound = price_bound(self.backlog, bit_price, self.edge, joule_price)
        return _Plan(local_w, offload_w, bit_price, cost, bound)
