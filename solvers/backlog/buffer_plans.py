"""Plans of single buffers, each on its own: by the taut string and, with a battery, by the convex programme too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances, relative_gap
from offloadopt.solvers.backlog.convex_program import BatteryPlan, BatteryProgramme
from offloadopt.solvers.backlog.dual_bound import joule_prices, price_bound, supporting_prices
from offloadopt.solvers.backlog.overflow_paths import plan_with_losses
from offloadopt.solvers.backlog.overflow_patterns import OverflowPatterns
from offloadopt.solvers.backlog.taut_string import taut_string
from offloadopt.solvers.base import Found
from offloadopt.structures.backlog import Backlog, BacklogProblem

CLOSED = 1e-8
"""Relative gap below which a plan without thought of losses is taken as optimal."""


@dataclass(frozen=True)
class BufferPlan:
    """Powers and prices ``[count, horizon, agents]`` with their cost and lower bound ``[count, agents]``."""

    local_w: FloatArray
    offload_w: FloatArray
    bit_price: FloatArray
    cost: FloatArray
    bound: FloatArray

    def merged_with(self, other: BufferPlan) -> BufferPlan:
        """For each agent the cheaper powers of both plans, and the higher bound with its prices."""
        cheaper, higher = (other.cost < self.cost)[:, None], (other.bound > self.bound)[:, None]
        return BufferPlan(
            np.where(cheaper, other.local_w, self.local_w),
            np.where(cheaper, other.offload_w, self.offload_w),
            np.where(higher, other.bit_price, self.bit_price),
            np.minimum(other.cost, self.cost),
            np.maximum(other.bound, self.bound),
        )


class BufferSearches:
    """The searches of one call: every buffer by the taut string and, with a battery, by the convex programme too."""

    def __init__(self, problem: BacklogProblem[Any], instances: Instances, backlog: Backlog) -> None:
        self.problem, self.instances, self.backlog = problem, instances, backlog
        service, self.shape = backlog.service, backlog.arrival_bits.shape
        self.green_effort = service.effort_for_energy(np.broadcast_to(service.green_j, self.shape))
        self.programme = BatteryProgramme(backlog) if backlog.battery_j > 0 else None
        # The taut string ignores a battery.
        green_price = np.asarray(-backlog.waste_price) if backlog.battery_j > 0 else service.green_price
        self.batteryless = replace(backlog, service=replace(service, green_price=green_price), battery_j=0.0)
        self.served, self.price = np.zeros(self.shape), np.zeros(self.shape)
        self.solved: list[tuple[int, int, BatteryPlan]] = []
        # Row, agent, powers of CPU and transmitter, and lower bound of plans made for buffers that lose bits.
        self.losing: list[tuple[int, int, FloatArray, FloatArray, float]] = []

    def search(self, row: int, deadline: Deadline) -> None:
        """Plan each agent's buffer, and again with losses where its plan has any."""
        agents = range(self.shape[2])
        for agent in agents:
            if deadline.passed:
                return
            self.served[row, :, agent], self.price[row, :, agent] = taut_string(
                self.batteryless, self.green_effort, row, agent
            )
        if self.programme is None:
            if np.isfinite(self.backlog.capacity_bits):
                self._search_with_losses(row, deadline)
            return
        for agent in agents:
            if (left_s := deadline.left_s) == 0.0:
                return
            plan = self.programme.solve(row, agent, left_s if np.isfinite(left_s) else None)
            if plan is not None:
                self.solved.append((row, agent, plan))
            if np.isfinite(self.backlog.capacity_bits):
                self._search_patterns(row, agent, plan, self.programme, deadline)

    def _search_with_losses(self, row: int, deadline: Deadline) -> None:
        for agent in np.flatnonzero(self._gaps(row) > CLOSED):
            if not deadline.passed:
                served, bound = plan_with_losses(self.backlog, self.green_effort, row, int(agent))
                service = self.backlog.service.take((row, slice(None), agent))
                powers = service.best(np.full(len(served), np.inf), served)
                self.losing.append((row, int(agent), *powers, bound))

    def _search_patterns(
        self, row: int, agent: int, plan: BatteryPlan | None, programme: BatteryProgramme, deadline: Deadline
    ) -> None:
        instance, powers = self.instances.take([row]), np.zeros((2, 1, *self.shape[1:]))

        def cost_of(found: BatteryPlan) -> float:
            powers[0, 0, :, agent], powers[1, 0, :, agent] = found.local_w, found.offload_w
            return float(self.problem.evaluate(instance, self.problem.serve(*powers)).agent_cost[0, agent])

        patterns = OverflowPatterns(self.backlog, self.green_effort, programme, row, agent)
        best = patterns.search(plan, cost_of, deadline)
        if best.plan is not None:
            self.losing.append((row, agent, best.plan.local_w, best.plan.offload_w, best.bound))

    def _gaps(self, row: int) -> FloatArray:
        """Relative gaps ``[agents]`` of the taut strings' plans."""
        backlog, rows = self.backlog, slice(row, row + 1)
        service, start, arrivals = backlog.service.take((rows,)), backlog.start_bits[rows], backlog.arrival_bits[rows]
        one = replace(
            backlog, service=service, start_bits=start, arrival_bits=arrivals, fixed_cost=backlog.fixed_cost[rows]
        )
        price = supporting_prices(one, self.served[rows], self.price[rows])
        powers = service.best(np.full(arrivals.shape, np.inf), self.served[rows])
        cost = self.problem.evaluate(self.instances.take(rows), self.problem.serve(*powers)).agent_cost[0]
        return relative_gap(cost, price_bound(one, price, self.green_effort[rows])[0])

    def plan(self) -> BufferPlan:
        """Evaluate the plans and compute their bounds."""
        best = self._without_battery() if self.programme is None else self._with_battery()
        return self._with_losses(best) if self.losing else best

    def _with_losses(self, best: BufferPlan) -> BufferPlan:
        """Merge the plans made for buffers that lose bits; prices are left as they are, for these have a bound."""
        local_w, offload_w, bound = best.local_w.copy(), best.offload_w.copy(), best.bound.copy()
        for row, agent, local, offload, least in self.losing:
            local_w[row, :, agent], offload_w[row, :, agent], bound[row, agent] = local, offload, least
        cost = self.problem.evaluate(self.instances, self.problem.serve(local_w, offload_w)).agent_cost
        return best.merged_with(BufferPlan(local_w, offload_w, best.bit_price, cost, bound))

    def found(self) -> Found:
        """Return the plans' decisions and bounds."""
        plan = self.plan()
        return Found(
            self.problem.serve(plan.local_w, plan.offload_w), plan.bound.sum(axis=1), {"bit_price": plan.bit_price}
        )

    def _without_battery(self) -> BufferPlan:
        bit_price = supporting_prices(self.backlog, self.served, self.price)
        joule_price = None if self.programme is None else joule_prices(self.batteryless, bit_price, self.green_effort)
        powers = self.batteryless.service.best(np.full(self.shape, np.inf), self.served)
        return self.evaluated_plan(*powers, bit_price, joule_price)

    def _with_battery(self) -> BufferPlan:
        """Plans of the convex programmes; where one fails or costs more, the plan without a battery."""
        best = self._without_battery()
        local_w, offload_w, bit_price = best.local_w.copy(), best.offload_w.copy(), best.bit_price.copy()
        joule_price = np.zeros(self.shape)
        for row, agent, plan in self.solved:
            local_w[row, :, agent], offload_w[row, :, agent] = plan.local_w, plan.offload_w
            bit_price[row, :, agent], joule_price[row, :, agent] = plan.bit_price, plan.joule_price
        served = self.backlog.service.bits(local_w, offload_w)
        for price in (bit_price, supporting_prices(self.backlog, served, bit_price)):
            best = best.merged_with(self.evaluated_plan(local_w, offload_w, price, joule_price))
        return best

    def evaluated_plan(
        self, local_w: FloatArray, offload_w: FloatArray, bit_price: FloatArray, joule_price: FloatArray | None
    ) -> BufferPlan:
        """Evaluate the cost of powers and the lower bound of prices."""
        cost = self.problem.evaluate(self.instances, self.problem.serve(local_w, offload_w)).agent_cost
        bound = price_bound(self.backlog, bit_price, self.green_effort, joule_price)
        return BufferPlan(local_w, offload_w, bit_price, cost, bound)
