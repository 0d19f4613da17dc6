"""Offline optimum of buffers with the whole future known: a reference that no online policy can beat.

Serves problems whose buffers are independent (`BacklogProblem`), one buffer at a time:

* `taut_string`: without a battery the plan follows the price of a bit, found exactly in a millisecond;
* `convex_program`: with a battery, a convex programme of two coupled balances, solved by cvxpy and Clarabel;
* `dual_bound`: the proof. Prices of bits and joules give a lower bound, evaluated independently of any solver and less
  a margin for rounding. Where no bit is lost the bound meets the cost. A buffer loses bits only when it is full, which
  makes the problem nonconvex: where bits must be lost a gap remains, and the status is `BOUNDED`. A gap also remains
  where a battery meets a grid price that changes within the horizon, as the battery must be drawn on before the grid.
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
from offloadopt.solvers.backlog.taut_string import taut_string
from offloadopt.structures.backlog import BacklogProblem


class BacklogExact(Solver):
    """Optimise the powers of the whole horizon in hindsight, with a proved lower bound."""

    name = "exact"
    serves = BacklogProblem
    proves = True
    hindsight = True

    relative_gap: float = Field(1e-4, ge=0, description="a decision is optimal when its bound is this close")

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Plan every buffer and compute its bound; ``details["bit_price"]`` holds the price of a waiting bit.

        Buffers that are not planned within the time limit stay idle, with the bound of prices 0.
        """
        self.require(problem)
        batch = _BufferBatch(cast(BacklogProblem[Any], problem), instances, self.time_limit_s)
        plan = batch.with_battery(progress) if batch.backlog.battery_j > 0 else batch.without_battery(progress)
        return Solutions.scored(
            problem,
            instances,
            batch.problem.serve(plan.local_w, plan.offload_w),
            seconds=batch.seconds_per_instance(),
            bound=plan.bound.sum(axis=1),
            asked_gap=self.relative_gap,
            details={"bit_price": plan.bit_price},
        )


@dataclass(frozen=True)
class _Plan:
    """Powers and prices ``[count, horizon, agents]`` with their cost and lower bound ``[count, agents]``."""

    local_w: FloatArray
    offload_w: FloatArray
    bit_price: FloatArray
    cost: FloatArray
    bound: FloatArray

    def merged_with(self, other: _Plan) -> _Plan:
        """For each agent the cheaper powers of both plans, and the higher bound with its prices."""
        cheaper, higher = (other.cost < self.cost)[:, None], (other.bound > self.bound)[:, None]
        return _Plan(
            np.where(cheaper, other.local_w, self.local_w),
            np.where(cheaper, other.offload_w, self.offload_w),
            np.where(higher, other.bit_price, self.bit_price),
            np.minimum(other.cost, self.cost),
            np.maximum(other.bound, self.bound),
        )


class _BufferBatch:
    """The buffers of one call with their solving times."""

    def __init__(self, problem: BacklogProblem[Any], instances: Instances, time_limit_s: float | None) -> None:
        self.begin = clock()
        self.problem, self.instances = problem, instances
        self.limit_s = np.inf if time_limit_s is None else time_limit_s
        self.backlog = problem.backlog(instances)
        self.shape = self.backlog.arrival_bits.shape
        service = self.backlog.service
        self.green_effort = service.effort_for_energy(np.broadcast_to(service.green_j, self.shape))
        self.seconds = np.zeros(instances.count)

    def seconds_per_instance(self) -> FloatArray:
        """[count] seconds of each instance: its own, and an equal part of the time spent on all together."""
        shared = clock() - self.begin - float(self.seconds.sum())
        return np.asarray(self.seconds + max(shared, 0.0) / max(self.instances.count, 1))

    def timed_buffers(self, progress: Progress | None = None) -> Iterator[tuple[int, int, float]]:
        """Yield row, agent and remaining seconds of every buffer within its time limit; the time used is recorded."""
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
        """Plan each buffer by the taut string; a battery is ignored."""
        backlog, service = self.backlog, self.backlog.service
        green_price = np.asarray(-backlog.waste_price) if backlog.battery_j > 0 else service.green_price
        batteryless = replace(backlog, service=replace(service, green_price=green_price), battery_j=0.0)
        served, prices = np.zeros(self.shape), np.zeros(self.shape)
        for row, agent, _ in self.timed_buffers(progress):
            served[row, :, agent], prices[row, :, agent] = taut_string(batteryless, self.green_effort, row, agent)
        bit_price = supporting_prices(backlog, served, prices)
        joule_price = joule_prices(batteryless, bit_price, self.green_effort) if backlog.battery_j > 0 else None
        return self.evaluated_plan(
            *batteryless.service.best(np.full(self.shape, np.inf), served), bit_price, joule_price
        )

    def with_battery(self, progress: Progress | None) -> _Plan:
        """Solve each agent's convex programme; where it fails or costs more, keep the plan without a battery."""
        best = self.without_battery()
        programme = BatteryProgramme(self.backlog)
        local_w, offload_w, bit_price = best.local_w.copy(), best.offload_w.copy(), best.bit_price.copy()
        joule_price = np.zeros(self.shape)
        for row, agent, left_s in self.timed_buffers(progress):
            solved = programme.solve(row, agent, left_s if np.isfinite(left_s) else None)
            if solved is not None:
                local_w[row, :, agent], offload_w[row, :, agent] = solved.local_w, solved.offload_w
                bit_price[row, :, agent], joule_price[row, :, agent] = solved.bit_price, solved.joule_price
        served = self.backlog.service.bits(local_w, offload_w)
        for price in (bit_price, supporting_prices(self.backlog, served, bit_price)):
            best = best.merged_with(self.evaluated_plan(local_w, offload_w, price, joule_price))
        return best

    def evaluated_plan(
        self, local_w: FloatArray, offload_w: FloatArray, bit_price: FloatArray, joule_price: FloatArray | None
    ) -> _Plan:
        """Evaluate the cost of powers and the lower bound of prices."""
        cost = self.problem.evaluate(self.instances, self.problem.serve(local_w, offload_w)).agent_cost
        bound = price_bound(self.backlog, bit_price, self.green_effort, joule_price)
        return _Plan(local_w, offload_w, bit_price, cost, bound)
