"""The cheapest way to empty a buffer whose whole future is known, found along its price like a taut string.

What a bit's service is worth, ``price_t``, equals its marginal energy cost. While the buffer is neither emptied nor
full a bit may as well wait, so that the price falls by what holding it costs: ``price_t = level - holding * t``. The
level changes only where the string touches its walls:

* it may rise after a slot that empties the buffer (later bits cannot be served earlier);
* it may fall after a slot that fills it (earlier bits cannot be kept);
* where bits are lost, the price is the price of a lost bit.

From left to right each stretch's level is found by bisection: too low a level fills the buffer first, too high a level
empties it first, and at the right one both happen at once. The first of the two touches ends the stretch. This is the
nested resource allocation of Vidal, Gribel, Jaillet: "Separable convex optimization with nested lower and upper
constraints", INFORMS J. Optim. 2019, with bits that are lost only where the buffer is really full. That gate makes the
problem nonconvex: the plan is optimal where no bit is lost, and `dual_bound` proves how good it
is where bits must be.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from offloadopt.core import FloatArray
from offloadopt.physics.device import WEAKEST, Device
from offloadopt.structures.backlog import Backlog

TOO_LOW, TOO_HIGH = -1, 1
EMPTY, FULL, END = 0, 1, 2


def string_plan(backlog: Backlog, edge_j_per_bit: FloatArray, row: int, agent: int) -> tuple[FloatArray, FloatArray]:
    """Bits to serve and what a bit is worth, ``[horizon]`` each, for one buffer.

    Parameters
    ----------
    backlog : Backlog
        Its battery is left out.
    edge_j_per_bit : array [count, horizon, agents]
        The effort that uses up the slot's green energy.
    row, agent : int
        Which buffer.
    """
    service = backlog.service
    mine = service.take((row, slice(None), agent))
    arrivals = backlog.arrival_bits[row, :, agent]
    slots = np.stack(
        [mine.gain_per_w, edge_j_per_bit[row, :, agent], mine.full_effort, mine.green_price, mine.grid_price, arrivals]
    )
    prices = (backlog.holding_price, backlog.overflow_price, backlog.final_price)
    start = float(backlog.start_bits[row, agent])
    return _taut_string(slots, _constants(service.device), start, float(backlog.capacity_bits), *map(float, prices))


def _constants(device: Device) -> FloatArray:
    """The device's numbers as the kernels use them."""
    root = np.cbrt(device.kappa)
    return np.array(
        [
            3.0 * device.cycles_per_bit * root,  # J/bit of the CPU over W^(2/3)
            device.slot_s / (device.cycles_per_bit * root),  # bits of the CPU over W^(1/3)
            np.cbrt(device.local_max_w),
            device.bandwidth_hz / np.log(2.0),
            device.slot_s * device.bandwidth_hz / np.log(2.0),
            device.offload_max_w,
        ]
    )


@njit(cache=True)
def _served(slot: FloatArray, device: FloatArray, price: float) -> float:
    """Bits that it pays to serve in a slot when one is worth ``price``: `Service.powers` in closed form."""
    gain, edge, full, green_price, grid_price = slot[0], slot[1], slot[2], slot[3], slot[4]
    if price < 0.0:
        return 0.0
    effort = price / grid_price
    if effort < edge:  # the green energy would not be used up: it sets the price, or its end does
        effort = max(effort, min(edge, price / green_price)) if green_price > 0.0 else edge
    effort = min(effort, full)
    local = device[1] * min(np.sqrt(effort / device[0]), device[2])
    strong = max(gain, WEAKEST)
    sinr = strong * min(max(effort * device[3] - 1.0 / strong, 0.0), device[5])
    return float(local + device[4] * np.log1p(sinr))


@njit(cache=True)
def _touch(
    slots: FloatArray,
    device: FloatArray,
    bits: float,
    begin: int,
    level: float,
    capacity: float,
    holding: float,
    overflow: float,
    final: float,
) -> tuple[int, int, int]:
    """Whether ``level`` is too high or too low from slot ``begin`` on, and the slot and wall that tell."""
    horizon = slots.shape[1]
    for t in range(begin, horizon):
        price = level - holding * t
        bits -= _served(slots[:, t], device, price)
        if bits < 0.0:
            return TOO_HIGH, t, EMPTY
        bits += slots[5, t]
        if bits > capacity:  # a bit dearer than its loss is lost rightly, and could be cheaper
            return (TOO_HIGH if price >= overflow else TOO_LOW), t, FULL
    return (TOO_HIGH if level >= final else TOO_LOW), horizon - 1, END


@njit(cache=True)
def _taut_string(
    slots: FloatArray,
    device: FloatArray,
    start: float,
    capacity: float,
    holding: float,
    overflow: float,
    final: float,
) -> tuple[FloatArray, FloatArray]:
    """Served bits and prices ``[horizon]``."""
    horizon = slots.shape[1]
    served, prices = np.zeros(horizon), np.zeros(horizon)
    last = final + holding * horizon  # the level at which a bit may as well wait for the end
    rules = (capacity, holding, overflow, last)
    begin, bits = 0, start
    while begin < horizon:
        if bits <= 0.0:  # nothing to serve
            bits = min(slots[5, begin], capacity)
            begin += 1
            continue
        side, end, wall = _touch(slots, device, bits, begin, last, *rules)
        level = last
        if wall != END:
            if side == TOO_LOW:
                low, high = last, overflow + holding * horizon
            else:
                low, high = holding * begin, last
            _, high_end, high_wall = _touch(slots, device, bits, begin, high, *rules)
            low_side, low_end, low_wall = _touch(slots, device, bits, begin, low, *rules)
            if low_side == TOO_HIGH:  # served for nothing
                high, high_end, high_wall = low, low_end, low_wall
            while low_side == TOO_LOW:
                middle = 0.5 * (low + high)
                if not low < middle < high:
                    break
                side, end, wall = _touch(slots, device, bits, begin, middle, *rules)
                if side == TOO_HIGH:
                    high, high_end, high_wall = middle, end, wall
                else:
                    low, low_end, low_wall = middle, end, wall
            level = high
            end, wall = (low_end, low_wall) if low_end < high_end else (high_end, high_wall)
        for t in range(begin, end + 1):
            prices[t] = level - holding * t
            served[t] = min(_served(slots[:, t], device, prices[t]), bits)
            if t == end and wall == EMPTY:
                served[t] = bits
            bits = min(bits - served[t] + slots[5, t], capacity)
        if wall == FULL:
            bits = capacity
        begin = end + 1
    return served, prices
