"""Plans of a buffer with a battery that may have to lose bits: one convex programme for each choice of full slots.

Bits are lost in slots that end with a full buffer. Where these slots are chosen the programme is convex
(`convex_program`), and the bound of its prices holds for all plans with this choice; the least bound of all choices is
that of all plans. Few slots have few choices. For many only two are tried, which give plans but no bound: to lose
nothing, and to lose where the plan of the programme without a choice does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, relative_gap
from offloadopt.solvers.backlog.convex_program import BatteryPlan, BatteryProgramme
from offloadopt.solvers.backlog.dual_bound import EPS, ULPS_PER_TERM, PricedService, price_bound, supporting_prices
from offloadopt.solvers.backlog.overflow_paths import SlotTerms, possible, single_buffer, top_price
from offloadopt.solvers.backlog.taut_string import device_constants, slots_of_buffer
from offloadopt.structures.backlog import Backlog

CLOSED = 1e-6
"""Relative gap of the plan without a choice below which none is tried."""
MOST_SLOTS = 6
"""Slots in which bits may be lost, up to which all choices are tried."""


@dataclass
class BestOfPatterns:
    """The cheapest plan of the choices tried, with its cost, and the bound of all plans."""

    plan: BatteryPlan | None = None
    cost: float = np.inf
    bound: float = -np.inf


@dataclass(frozen=True)
class OverflowPatterns:
    """The choices of slots that end full of one buffer.

    Attributes
    ----------
    backlog : Backlog
        Of all buffers, with a battery and a capacity.
    green_effort : array [count, horizon, agents]
        Effort in J/bit at which the slot's green energy is used up.
    programme : BatteryProgramme
    row, agent : int
        Indices of the buffer.
    """

    backlog: Backlog
    green_effort: FloatArray
    programme: BatteryProgramme
    row: int
    agent: int
    slots: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", slots_of_buffer(self.backlog, self.green_effort, self.row, self.agent))

    def search(
        self, unchosen: BatteryPlan | None, cost_of: Callable[[BatteryPlan], float], deadline: Deadline
    ) -> BestOfPatterns:
        """Try the choices unless the plan without one, if there is such a plan, has hardly a gap.

        There is no bound where the choices are many, or the deadline passes.
        """
        best, lossy = BestOfPatterns(), self._lossy_slots()
        if unchosen and relative_gap(np.array(cost_of(unchosen)), self._relaxed_bound(unchosen)) <= CLOSED:
            return best
        every = len(lossy) <= MOST_SLOTS
        choices = self._choices(lossy) if every else [self._none, *([self._lost_by(unchosen)] if unchosen else [])]
        bound = np.inf
        for full in choices:
            if deadline.passed:
                return best
            left_s = deadline.left_s
            plan = self.programme.solve(self.row, self.agent, left_s if np.isfinite(left_s) else None, full)
            if plan is not None and (cost := cost_of(plan)) < best.cost:
                best.plan, best.cost = plan, cost
            bounds = [self.bound(full, each) for each in (plan, unchosen) if each is not None]
            bound = min(bound, max(bounds, default=-np.inf))
        best.bound = bound if every and choices else -np.inf
        return best

    @property
    def _none(self) -> NDArray[np.bool_]:
        return np.zeros(self.slots.shape[1], dtype=np.bool_)

    def _relaxed_bound(self, plan: BatteryPlan) -> FloatArray:
        """Bound of the plan's prices, or of those that support it, for losses in any slot."""
        backlog, effort = single_buffer(self.backlog, self.row, self.agent), self._effort
        price, joule_price = plan.bit_price[None, :, None], plan.joule_price[None, :, None]
        served = backlog.service.bits(plan.local_w[None, :, None], plan.offload_w[None, :, None])
        supporting = supporting_prices(backlog, served, price)
        bounds = [price_bound(backlog, each, effort, joule_price) for each in (price, supporting)]
        return np.asarray(np.max(bounds))

    @property
    def _effort(self) -> FloatArray:
        return self.green_effort[self.row, :, self.agent][None, :, None]

    def _lossy_slots(self) -> list[int]:
        """Slots that can end full: those that do if nothing is served."""
        bits, found = float(self.backlog.start_bits[self.row, self.agent]), list[int]()
        for t, arrived in enumerate(self.slots[5]):
            bits += arrived
            if arrived > 0.0 and bits >= self.backlog.capacity_bits:
                found.append(t)
            bits = min(bits, self.backlog.capacity_bits)
        return found

    def _choices(self, lossy: list[int]) -> list[NDArray[np.bool_]]:
        """All choices that are not shown to be impossible."""
        device, top = device_constants(self.backlog.service.device), top_price(self.backlog, self.slots)
        capacity, horizon = float(self.backlog.capacity_bits), self.slots.shape[1]
        found = []
        for chosen in itertools.product((False, True), repeat=len(lossy)):
            full, bits, begin = self._none, float(self.backlog.start_bits[self.row, self.agent]), 0
            full[list(itertools.compress(lossy, chosen))] = True
            for end in (*np.flatnonzero(full), horizon):
                if begin < horizon and not possible(self.slots, device, bits, begin, int(end), capacity, top):
                    break
                bits, begin = capacity, int(end) + 1
            else:
                found.append(full)
        return found

    def _lost_by(self, plan: BatteryPlan) -> NDArray[np.bool_]:
        """Slots in which a plan loses bits."""
        service = self.backlog.service.take((self.row, slice(None), self.agent))
        bits, lost = float(self.backlog.start_bits[self.row, self.agent]), self._none
        for t, served in enumerate(service.bits(plan.local_w, plan.offload_w)):
            bits = max(bits - served, 0.0) + self.slots[5, t]
            lost[t], bits = bits > self.backlog.capacity_bits, min(bits, self.backlog.capacity_bits)
        return lost

    def bound(self, full: NDArray[np.bool_], plan: BatteryPlan) -> float:
        """Lower bound of all plans that lose bits in the slots ``full [horizon]`` alone, at the prices of one plan."""
        backlog, horizon = single_buffer(self.backlog, self.row, self.agent), len(full)
        prices, capacity = plan.bit_price, float(backlog.capacity_bits)
        service = PricedService(backlog, self._effort, plan.joule_price[None, :, None])
        terms, battery = SlotTerms.at(backlog, service, prices[None, :, None]), service.battery_terms()
        slots = np.where(full, terms.ending[0, :, 0], terms.inner[0, :, 0])
        after = np.append(prices[1:], backlog.final_price)
        constants = [float(backlog.start_bits[0, 0]) * prices[0], float(backlog.fixed_cost[0, 0])]
        constants += [float(each) * capacity for each in after[full]]
        magnitude = np.sum(np.abs(constants)) + np.sum(terms.magnitude + np.abs(battery))
        margin = EPS * (2 * horizon + ULPS_PER_TERM) * magnitude
        return float(np.sum(constants) + np.sum(slots) + np.sum(battery) - margin)
