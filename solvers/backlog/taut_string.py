"""Taut-string algorithm for the cheapest service of one buffer whose arrivals and links are known in advance.

In an optimal plan the price of a bit, ``price_t``, equals the marginal energy cost of its service. While the buffer is
neither empty nor full, bits can be moved between slots, so that the price falls by the holding cost of a slot:
``price_t = level - holding * t``. The level changes only where the buffer reaches one of its limits:

* it may rise after a slot that empties the buffer (later bits cannot be served earlier);
* it may fall after a slot that fills the buffer (earlier bits cannot be kept);
* where bits are lost, the price is the overflow price.

Segments of constant level are found from left to right, each level by bisection: too low a level fills the buffer
first, too high a level empties it first, and at the optimal level both happen in the same slot. The earlier of the two
contacts ends the segment. This is the
nested resource allocation of Vidal, Gribel, Jaillet: "Separable convex optimization with nested lower and upper
constraints", INFORMS J. Optim. 2019, with bits that are lost only while the buffer is full. This condition makes the
problem nonconvex: the plan is optimal where no bit is lost; for plans with losses see `overflow_paths`.
"""

from __future__ import annotations

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.kernels import njit
from offloadopt.physics.device import MIN_GAIN_PER_W, Device
from offloadopt.structures.backlog import Backlog

TOO_LOW, TOO_HIGH = -1, 1
EMPTY, FULL, END = 0, 1, 2
LEAST_PRICE = float(np.finfo(np.float64).tiny)
"""What a joule is counted at least, so that a grid without carbon has an effort, too."""


def taut_string(backlog: Backlog, green_effort: FloatArray, row: int, agent: int) -> tuple[FloatArray, FloatArray]:
    """Compute the bits to serve and the price of a bit, ``[horizon]`` each, for one buffer.

    Parameters
    ----------
    backlog : Backlog
        Its battery is ignored.
    edge_j_per_bit : array [count, horizon, agents]
        Effort in J/bit at which the slot's green energy is used up.
    row, agent : int
        Indices of the buffer.
    """
    slots = slots_of_buffer(backlog, green_effort, row, agent)
    horizon, holding, overflow = slots.shape[1], float(backlog.holding_price), float(backlog.overflow_price)
    # The level at which bits are equally well left at the end of the horizon, and the highest one.
    final_level, top_level = backlog.final_price + holding * horizon, overflow + holding * horizon
    least, most = np.zeros(horizon), np.full(horizon, float(backlog.capacity_bits))
    served, prices, _ = taut_string_kernel(
        slots, device_constants(backlog.service.device), float(backlog.start_bits[row, agent]), least, most, holding,
        overflow, float(final_level), top_level,
    )  # fmt: skip
    return served, prices


def slots_of_buffer(backlog: Backlog, green_effort: FloatArray, row: int, agent: int) -> FloatArray:
    """Numbers of a buffer's slots for `taut_string_kernel`, ``[6, horizon]``; the arguments are its callers'."""
    service = backlog.service.take((row, slice(None), agent))
    return np.stack(
        [
            service.gain_per_w,
            green_effort[row, :, agent],
            service.full_effort,
            service.green_price,
            service.grid_price,
            backlog.arrival_bits[row, :, agent],
        ]
    )


def device_constants(device: Device) -> FloatArray:
    """Constants of the device in the form that the kernels use."""
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
def served_bits(slot: FloatArray, device: FloatArray, price: float) -> float:
    """Bits served in a slot when a bit has the value ``price``: `Service.powers` in closed form."""
    gain, green_effort, full, green_price, grid_price = slot[0], slot[1], slot[2], slot[3], slot[4]
    if price < 0.0:
        return 0.0
    effort = price / max(grid_price, LEAST_PRICE)
    if effort < green_effort:
        # Green energy would be left over: its price, or the point where it is used up, sets the effort.
        effort = max(effort, min(green_effort, price / green_price)) if green_price > 0.0 else green_effort
    effort = min(effort, full)
    local = device[1] * min(np.sqrt(effort / device[0]), device[2])
    gain_floor = max(gain, MIN_GAIN_PER_W)
    sinr = gain_floor * min(max(effort * device[3] - 1.0 / gain_floor, 0.0), device[5])
    return float(local + device[4] * np.log1p(sinr))


@njit(cache=True)
def _first_contact(
    slots: FloatArray, device: FloatArray, bits: float, begin: int, level: float, least: FloatArray, most: FloatArray,
    holding: float, overflow: float, final_level: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Whether ``level`` is too high or too low from slot ``begin`` on, and the slot and limit of the first contact."""
    horizon = slots.shape[1]
    for t in range(begin, horizon):
        price = level - holding * t
        bits -= served_bits(slots[:, t], device, price)
        if bits < least[t]:
            return TOO_HIGH, t, EMPTY
        bits += slots[5, t]
        if bits > most[t]:  # above the overflow price losing the bit is optimal: the level is not too low
            return (TOO_HIGH if price >= overflow else TOO_LOW), t, FULL
    return (TOO_HIGH if level >= final_level else TOO_LOW), horizon - 1, END


@njit(cache=True)
def taut_string_kernel(
    slots: FloatArray, device: FloatArray, start: float, least: FloatArray, most: FloatArray, holding: float,
    overflow: float, final_level: float, top_level: float,
) -> tuple[FloatArray, FloatArray, bool]:  # fmt: skip
    """Served bits and prices, ``[horizon]`` each, and whether the limits of the buffer are kept.

    At least ``least [horizon]`` bits remain after service, at most ``most [horizon]`` after the arrivals; what exceeds
    these is lost at the overflow price, ``inf`` where no bit may be lost. Prices end at ``final_level``, at which bits
    are as well left at the end, and never exceed ``top_level``.
    """
    horizon = slots.shape[1]
    served, prices, kept = np.zeros(horizon), np.zeros(horizon), True
    limits = (least, most, holding, overflow, final_level)
    begin, bits = 0, start
    while begin < horizon:
        if bits <= 0.0:  # nothing to serve
            kept = kept and least[begin] <= 0.0
            bits = min(slots[5, begin], most[begin])
            begin += 1
            continue
        side, end, contact = _first_contact(slots, device, bits, begin, final_level, *limits)
        level = final_level
        if contact != END:
            if side == TOO_LOW:
                low, high = final_level, top_level
            else:
                low, high = holding * begin, final_level
            high_side, high_end, high_contact = _first_contact(slots, device, bits, begin, high, *limits)
            low_side, low_end, low_contact = _first_contact(slots, device, bits, begin, low, *limits)
            kept = kept and high_side == TOO_HIGH
            if low_side == TOO_HIGH:  # bits that cost nothing to serve
                high, high_end, high_contact = low, low_end, low_contact
            while low_side == TOO_LOW:
                middle = 0.5 * (low + high)
                if not low < middle < high:
                    break
                side, end, contact = _first_contact(slots, device, bits, begin, middle, *limits)
                if side == TOO_HIGH:
                    high, high_end, high_contact = middle, end, contact
                else:
                    low, low_end, low_contact = middle, end, contact
            level = high
            end, contact = (low_end, low_contact) if low_end < high_end else (high_end, high_contact)
        for t in range(begin, end + 1):
            prices[t] = level - holding * t
            served[t] = min(served_bits(slots[:, t], device, prices[t]), bits)
            if t == end and contact == EMPTY:
                served[t] = bits - least[t]
            bits = min(bits - served[t] + slots[5, t], most[t])
        if contact == FULL:
            bits = most[end]
        begin = end + 1
    return served, prices, kept
