"""Powers of all users of a slot, set together by the base station: successive convex approximation.

Users that disturb each other on the uplink minimise the sum of ``energy cost - value min(bits, buffer)``, which is not
convex in the powers. Each round approximates it at the present powers: a user's own rate is kept, with the gain that
the others' powers leave, and what its power takes from the others' rates is a price per joule of transmission, the
slope of these rates (Papandriopoulos and Evans, "SCALE: a low-complexity distributed protocol for spectrum balancing",
IEEE Trans. Inf. Theory 55(8), 2009, have the same step with the same property: a fixed point is a stationary point).
Rounds that overshoot are shortened; the best powers of all rounds are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.kernels import njit
from offloadopt.physics.device import Service
from offloadopt.physics.mimo import Uplink

ROUNDS = 12
SETTLED = 1e-4
"""Change of a power, relative to the limit, at which a slot is solved."""
BISECTIONS = 45


def joint_powers(
    service: Service, uplink: Uplink, bit_value: FloatArray, max_bits: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Compute powers of little ``sum_u energy_cost - bit_value * min(bits, max_bits)``, together for all users.

    Parameters
    ----------
    service : Service
        Arrays ``[count, users]``; its gains are those to start with.
    uplink : Uplink
        Channels ``[count, users, antennas]``.
    bit_value : array [count, users]
        Value of a served bit, at least 0.
    max_bits : array [count, users]
        Bits in the buffers; service beyond them has no value.

    Returns
    -------
    local_w, offload_w : arrays [count, users]
    """
    d = service.device
    shape = service.gain_per_w.shape
    bit_value, max_bits = np.broadcast_to(bit_value, shape), np.broadcast_to(max_bits, shape)
    green_price, grid_price = (
        np.ascontiguousarray(np.broadcast_to(p, shape)) for p in (service.green_price, service.grid_price)
    )
    green_j = np.ascontiguousarray(np.broadcast_to(service.green_j, shape))
    constants = np.array(
        [
            3.0 * d.cycles_per_bit * np.cbrt(d.kappa),  # J/bit of the CPU over W^(2/3)
            d.slot_s / (d.cycles_per_bit * np.cbrt(d.kappa)),  # bits of the CPU over W^(1/3)
            d.slot_s * d.bandwidth_hz / np.log(2.0),  # bits of the link over ln(1 + SINR)
            d.slot_s,
            d.local_max_w,
            d.offload_max_w,
        ]
    )
    local_w, offload_w = service.best(bit_value, max_bits)
    best_local_w, best_offload_w = local_w, offload_w
    least = _objective(service, uplink, bit_value, max_bits, local_w, offload_w)
    step = np.ones((shape[0], 1))
    for _ in range(ROUNDS):
        gain = uplink.gain_per_w(offload_w)
        harm = _harm(service, uplink, bit_value, max_bits, local_w, offload_w)
        new_local_w, new_offload_w = np.empty(shape), np.empty(shape)
        _respond(
            gain, harm / d.slot_s, np.ascontiguousarray(bit_value), np.ascontiguousarray(max_bits), green_j,
            green_price, grid_price, constants, new_local_w, new_offload_w,
        )  # fmt: skip
        new_local_w = local_w + step * (new_local_w - local_w)
        new_offload_w = offload_w + step * (new_offload_w - offload_w)
        cost = _objective(service, uplink, bit_value, max_bits, new_local_w, new_offload_w)
        better = cost < least
        moved = np.max(np.abs(new_offload_w - offload_w), initial=0.0)
        least = np.where(better, cost, least)
        best_local_w = np.where(better[:, None], new_local_w, best_local_w)
        best_offload_w = np.where(better[:, None], new_offload_w, best_offload_w)
        local_w, offload_w = best_local_w, best_offload_w
        step = np.where(better[:, None], np.minimum(2.0 * step, 1.0), 0.5 * step)
        if moved <= SETTLED * d.offload_max_w:
            break
    return best_local_w, best_offload_w


def _bits(service: Service, uplink: Uplink, local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
    return np.asarray(service.device.local_bits(local_w) + service.device.offload_bits(uplink.sinr(offload_w)))


def _objective(
    service: Service,
    uplink: Uplink,
    bit_value: FloatArray,
    max_bits: FloatArray,
    local_w: FloatArray,
    offload_w: FloatArray,
) -> FloatArray:
    """[count] energy cost less value of the bits served."""
    served = np.minimum(_bits(service, uplink, local_w, offload_w), max_bits)
    return np.asarray(np.sum(service.energy_cost(service.energy_j(local_w, offload_w)) - bit_value * served, axis=-1))


def _harm(
    service: Service,
    uplink: Uplink,
    bit_value: FloatArray,
    max_bits: FloatArray,
    local_w: FloatArray,
    offload_w: FloatArray,
) -> FloatArray:
    """[count, users] value per watt of what a user's transmission takes from the others, whose buffers have bits."""
    counts = _bits(service, uplink, local_w, offload_w) <= max_bits
    value = service.device.offload_bits(np.expm1(np.ones(()))) * np.where(counts, bit_value, 0.0)  # of a nat
    taken = -np.sum(
        uplink.rate_slopes(offload_w) * value[:, None, :] * ~np.eye(value.shape[-1], dtype=np.bool_), axis=-1
    )
    return np.asarray(np.maximum(taken, 0.0))


@njit(cache=True)
def _respond(
    gain: Any, toll: Any, bit_value: Any, max_bits: Any, green_j: Any, green_price: Any, grid_price: Any,
    constants: Any, local_w: Any, offload_w: Any,
) -> None:  # fmt: skip
    """Each user's best powers with a toll on each joule of transmission; arrays ``[count, users]``."""
    for row in range(gain.shape[0]):
        for u in range(gain.shape[1]):
            slot = (gain[row, u], toll[row, u], green_j[row, u], green_price[row, u], grid_price[row, u])
            value, most = bit_value[row, u], max_bits[row, u]
            local, offload, bits = _served_at(value, slot, constants)
            if bits > most:
                low, high = 0.0, value
                for _ in range(BISECTIONS):
                    middle = 0.5 * (low + high)
                    local, offload, bits = _served_at(middle, slot, constants)
                    if bits >= most:
                        high = middle
                    else:
                        low = middle
                local, offload, bits = _served_at(high, slot, constants)
            if green_price[row, u] < 0.0:  # what is left of the green energy is burnt on the CPU, which disturbs nobody
                idle = green_j[row, u] / constants[3] - local - offload
                local = min(local + max(idle, 0.0), constants[4])
            local_w[row, u], offload_w[row, u] = local, offload


@njit(cache=True)
def _served_at(value: float, slot: Any, constants: Any) -> tuple[float, float, float]:
    """Powers at which a bit is worth its value, and the bits that they serve."""
    green_j, green_price, grid_price = slot[2], slot[3], slot[4]
    slot_s = constants[3]
    price = grid_price
    local, offload = _powers_at(price, value, slot, constants)
    if slot_s * (local + offload) < green_j:
        price = max(green_price, 0.0)
        local, offload = _powers_at(price, value, slot, constants)
        if slot_s * (local + offload) > green_j:
            low, high = price, grid_price
            for _ in range(BISECTIONS):
                middle = 0.5 * (low + high)
                local, offload = _powers_at(middle, value, slot, constants)
                if slot_s * (local + offload) >= green_j:
                    low = middle
                else:
                    high = middle
            local, offload = _powers_at(high, value, slot, constants)
    sinr = slot[0] * offload
    bits = constants[1] * local ** (1.0 / 3.0) + constants[2] * np.log1p(sinr)
    return local, offload, bits


@njit(cache=True)
def _powers_at(price: float, value: float, slot: Any, constants: Any) -> tuple[float, float]:
    """Powers of CPU and transmitter at a price of a joule, with the toll on the transmitter's."""
    gain, toll = slot[0], slot[1]
    if value <= 0.0:
        return 0.0, 0.0
    local = constants[4]
    if price > 0.0:
        local = min((value / price / constants[0]) ** 1.5, constants[4])
    offload = constants[5]
    if price + toll > 0.0:
        wanted = value * constants[2] / ((price + toll) * constants[3])
        offload = min(max(wanted - 1.0 / max(gain, 1e-300), 0.0), constants[5])
    return local, offload
