"""Optimal plans of a buffer that must lose bits: a shortest path over the slots that it ends full.

A buffer loses bits only when it is full, so that after a loss it holds its capacity, whatever was decided before: a
plan is a sequence of segments without loss, each from a full buffer (the first one from the start) to the next slot in
which bits are lost, or to the end. A segment is convex. The taut string plans it and gives its prices, and these a
lower bound as in `dual_bound`, without the slots' case of loss but for the last one, which must end full. The path of
least bounds is a lower bound of all plans, and its plan meets it.

A bound of a segment is valid for any prices; segments are left out only where no power keeps the buffer from losing
bits, or none of its bits could fill it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.solvers.backlog.dual_bound import EPS, ULPS_PER_TERM, PricedService
from offloadopt.solvers.backlog.taut_string import (
    device_constants,
    served_bits,
    slots_of_buffer,
    taut_string_kernel,
)
from offloadopt.structures.backlog import Backlog

TOLERANCE = 1e-9
"""Relative excess of bits by which a segment must miss a limit to be left out."""


def plan_with_losses(backlog: Backlog, green_effort: FloatArray, row: int, agent: int) -> tuple[FloatArray, float]:
    """Bits to serve ``[horizon]`` and a lower bound of one buffer's cost, for a buffer with a capacity, no battery.

    Parameters
    ----------
    backlog : Backlog
    green_effort : array [count, horizon, agents]
        Effort in J/bit at which the slot's green energy is used up.
    row, agent : int
        Indices of the buffer.
    """
    slots, device = slots_of_buffer(backlog, green_effort, row, agent), device_constants(backlog.service.device)
    holding, overflow = float(backlog.holding_price), float(backlog.overflow_price)
    top = top_price(backlog, slots)
    start, capacity = float(backlog.start_bits[row, agent]), float(backlog.capacity_bits)
    arguments = slots, device, start, capacity, holding, overflow, float(backlog.final_price), top
    first, last, served, prices = _segments(*arguments)
    of_buffer = single_buffer(backlog, row, agent)
    bounds = _segment_bounds(of_buffer, green_effort[row, :, agent], first, last, prices)
    full_at_the_end = float(backlog.final_price) * capacity
    plan, bound = _shortest_path(first, last, bounds, served, full_at_the_end)
    fixed = float(backlog.fixed_cost[row, agent])
    return plan, bound + fixed - EPS * ULPS_PER_TERM * (abs(fixed) + full_at_the_end)


def top_price(backlog: Backlog, slots: FloatArray) -> float:
    """Price of a bit, with that of keeping it to the end, at which all slots have full power."""
    keeping = (backlog.holding_price + backlog.final_price) * (slots.shape[1] + 1)
    return float(backlog.overflow_price + keeping + np.max(slots[2] * np.maximum(slots[4], 0.0)))


@njit(cache=True)
def possible(
    slots: FloatArray, device: FloatArray, bits: float, first: int, last: int, capacity: float, top: float
) -> bool:
    """Whether powers exist with which no bit is lost before the last slot, and the buffer is full after it.

    The last slot's number is that of the horizon for segments that end there without loss.
    """
    idle, busy, scale = bits, bits, TOLERANCE * (bits + capacity)
    for t in range(first, min(last + 1, slots.shape[1])):
        scale += TOLERANCE * slots[5, t]
        idle += slots[5, t]
        busy = max(busy - served_bits(slots[:, t], device, top), 0.0) + slots[5, t]
        if t < last and busy > capacity + scale:
            return False
        if t == last and idle < capacity - scale:
            return False
        if t < last:
            idle = min(idle, capacity)
    return True


@njit(cache=True)
def _segments(
    slots: FloatArray, device: FloatArray, start: float, capacity: float, holding: float, overflow: float, final: float,
    top: float,
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:  # fmt: skip
    """Segments: their first and last slots, the latter the horizon for one without loss, and their bits and prices."""
    horizon = slots.shape[1]
    number = (horizon + 1) * (horizon + 2) // 2
    first, last = np.empty(number, np.int64), np.empty(number, np.int64)
    all_served, all_prices = np.zeros((number, horizon)), np.zeros((number, horizon))
    found = 0
    for begin in range(horizon):
        if begin > 0 and slots[5, begin - 1] <= 0.0:  # nothing to lose
            continue
        bits = start if begin == 0 else capacity
        for end in range(begin, horizon + 1):
            if end < horizon and slots[5, end] <= 0.0:
                continue
            if not possible(slots, device, bits, begin, end, capacity, top):
                continue
            length = min(end + 1, horizon) - begin
            least, most = np.zeros(length), np.full(length, capacity)
            final_level = final + holding * length
            if end < horizon:
                least[length - 1], most[length - 1] = max(capacity - slots[5, end], 0.0), np.inf
                final_level = overflow + holding * (length - 1)
            part = np.ascontiguousarray(slots[:, begin : begin + length])
            served, prices, _ = taut_string_kernel(
                part, device, bits, least, most, holding, np.inf, final_level, top + holding * length
            )
            first[found], last[found] = begin, end
            all_served[found, begin : begin + length] = np.maximum(served, 0.0)
            all_prices[found, begin : begin + length] = prices
            found += 1
    return first[:found], last[:found], all_served[:found], all_prices[:found]


def single_buffer(backlog: Backlog, row: int, agent: int) -> Backlog:
    """One buffer, with arrays ``[1, horizon, 1]``."""
    rows, agents = slice(row, row + 1), slice(agent, agent + 1)
    return replace(
        backlog,
        service=backlog.service.take((rows, slice(None), agents)),
        start_bits=backlog.start_bits[rows, agents],
        arrival_bits=backlog.arrival_bits[rows, :, agents],
        fixed_cost=backlog.fixed_cost[rows, agents],
    )


@dataclass(frozen=True)
class SlotTerms:
    """Least priced costs of slots, ``[..., horizon, 1]``: no bit is lost (``inner``), or the buffer ends full.

    ``magnitude`` is that of their terms, for the margin for rounding.
    """

    inner: FloatArray
    ending: FloatArray
    magnitude: FloatArray

    @classmethod
    def at(cls, backlog: Backlog, service: PricedService, prices: FloatArray) -> SlotTerms:
        """Terms of one buffer, with arrays ``[1, horizon, 1]``, at prices ``[..., horizon, 1]`` of waiting bits.

        A full buffer is left to the next slot at no price: its value is to be added where it begins a segment.
        """
        capacity, overflow, holding = backlog.capacity_bits, backlog.overflow_price, backlog.holding_price
        arrivals = backlog.arrival_bits
        full_limit = service.service_limit(np.full_like(arrivals, capacity))
        arrival_limit = service.service_limit(np.minimum(arrivals, capacity))
        keep = holding + np.concatenate([prices[:, 1:], np.full_like(prices[:, :1], backlog.final_price)], axis=1)
        at_price, magnitude = service.least_cost(prices, full_limit)
        at_keep, keep_magnitude = service.least_cost(keep, full_limit)
        at_price_of_arrivals, _ = service.least_cost(prices, arrival_limit)
        at_loss, loss_magnitude = service.least_cost(np.full_like(prices, overflow), arrival_limit)
        # W = B - s + A <= capacity bits are kept: emptied, exactly filled, or full before service with s >= A.
        emptied = at_price + keep * arrivals
        filled = keep * capacity - prices * (capacity - arrivals)
        full = np.maximum(at_keep + keep * arrivals + (keep - prices) * capacity, at_price + filled)
        inner = np.where(prices <= keep, emptied, np.minimum(at_price_of_arrivals + filled, full))
        # W >= capacity bits, of which those beyond are lost: exactly filled, or full before service with s <= A.
        beyond = np.maximum(arrivals - capacity, 0.0)
        least_full = at_price_of_arrivals - prices * np.maximum(capacity - arrivals, 0.0) + overflow * beyond
        most_full = at_loss + overflow * arrivals - prices * capacity
        ending = np.where(prices <= overflow, least_full, np.minimum(least_full, most_full)) + holding * capacity
        magnitude = magnitude + keep_magnitude + loss_magnitude
        magnitude += (np.abs(keep) + np.abs(prices) + overflow + holding) * (capacity + arrivals)
        return cls(inner, ending, magnitude)


def _segment_bounds(
    backlog: Backlog, green_effort: FloatArray, first: IntArray, last: IntArray, prices: FloatArray
) -> FloatArray:
    """Lower bounds ``[segments]`` of the segments' costs at prices ``[segments, horizon]`` of waiting bits."""
    horizon = prices.shape[1]
    terms = SlotTerms.at(backlog, PricedService(backlog, green_effort[None, :, None], None), prices[..., None])
    slot, begins, ends = np.arange(horizon)[None, :, None], first[:, None, None], last[:, None, None]
    within = (slot >= begins) & (slot <= ends)
    least = np.where(within, np.where(slot == ends, terms.ending, terms.inner), 0.0)
    bits = np.where(first == 0, backlog.start_bits[0, 0], backlog.capacity_bits)
    begin = bits * prices[np.arange(len(first)), first]
    magnitude = np.abs(begin) + np.sum(np.where(within, terms.magnitude, 0.0), axis=(1, 2))
    return np.asarray(begin + np.sum(least, axis=(1, 2)) - EPS * (horizon + ULPS_PER_TERM) * magnitude)


def _shortest_path(
    first: IntArray, last: IntArray, bounds: FloatArray, served: FloatArray, full_at_the_end: float
) -> tuple[FloatArray, float]:
    """Bits and bound of the path of least bounds from slot 0 to the end of the horizon."""
    horizon = served.shape[1]
    # Least cost of what follows a full buffer before a slot, and the segment with which it begins.
    least, by = np.full(horizon + 2, np.inf), np.full(horizon, -1)
    least[horizon:] = full_at_the_end, 0.0
    for begin in reversed(range(horizon)):
        for k in np.flatnonzero(first == begin):
            after = least[last[k] + 1]
            if bounds[k] + after < least[begin]:
                least[begin], by[begin] = bounds[k] + after, k
    plan, begin = np.zeros(horizon), 0
    while begin < horizon and by[begin] >= 0:
        plan += served[by[begin]]
        begin = int(last[by[begin]]) + 1
    return plan, float(least[0])
