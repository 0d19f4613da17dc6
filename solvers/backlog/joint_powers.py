"""Powers of all users of a slot, set together by the base station: successive convex approximation.

Users that disturb each other on the uplink minimise the sum of ``energy cost - value min(bits, buffer)``, which is not
convex in the powers. Each round approximates it at the present powers: a user's own rate is kept, with the gain that
the others' powers leave, and what its power takes from the others' rates is a price per joule of transmission, the
slope of these rates (Papandriopoulos and Evans, "SCALE: a low-complexity distributed protocol for spectrum balancing",
IEEE Trans. Inf. Theory 55(8), 2009, have the same step with the same property: a fixed point is a stationary point).
Rounds that overshoot are shortened; the best powers of all rounds are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    shape = service.gain_per_w.shape
    slot = _Slot(service, uplink, np.broadcast_to(bit_value, shape), np.broadcast_to(max_bits, shape))
    local_w, offload_w = service.best(slot.bit_value, slot.max_bits)
    least, step = slot.cost(local_w, offload_w), np.ones((shape[0], 1))
    for _ in range(ROUNDS):
        new_local_w, new_offload_w = slot.responses(local_w, offload_w)
        moved = np.max(np.abs(step * (new_offload_w - offload_w)), initial=0.0)
        new_local_w = local_w + step * (new_local_w - local_w)
        new_offload_w = offload_w + step * (new_offload_w - offload_w)
        cost = slot.cost(new_local_w, new_offload_w)
        better = (cost < least)[:, None]
        least = np.minimum(cost, least)
        local_w, offload_w = np.where(better, new_local_w, local_w), np.where(better, new_offload_w, offload_w)
        step = np.where(better, np.minimum(2.0 * step, 1.0), 0.5 * step)
        if moved <= SETTLED * service.device.offload_max_w:
            break
    return local_w, offload_w


@dataclass(frozen=True)
class _Slot:
    """One slot's problem; arrays ``[count, users]``."""

    service: Service
    uplink: Uplink
    bit_value: FloatArray
    max_bits: FloatArray

    def bits(self, local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
        """Bits that the powers can serve."""
        device = self.service.device
        return np.asarray(device.local_bits(local_w) + device.offload_bits(self.uplink.sinr(offload_w)))

    def cost(self, local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
        """Cost of energy less value of the bits served, ``[count]``."""
        served = np.minimum(self.bits(local_w, offload_w), self.max_bits)
        energy_cost = self.service.energy_cost(self.service.energy_j(local_w, offload_w))
        return np.asarray(np.sum(energy_cost - self.bit_value * served, axis=-1))

    def harm(self, local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
        """Value per watt of what a user's transmission takes from the others whose buffers still have bits."""
        counts = self.bits(local_w, offload_w) <= self.max_bits
        nat = self.service.device.offload_bits(np.expm1(np.ones(())))  # bits
        value = nat * np.where(counts, self.bit_value, 0.0)
        slopes = self.uplink.rate_slopes(offload_w) * ~np.eye(value.shape[-1], dtype=np.bool_)
        return np.asarray(np.maximum(-np.sum(slopes * value[:, None, :], axis=-1), 0.0))

    def responses(self, local_w: FloatArray, offload_w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Each user's best powers while the others keep theirs, with the harm as a toll."""
        service, d, shape = self.service, self.service.device, self.max_bits.shape
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
        toll = self.harm(local_w, offload_w) / d.slot_s
        parts = (toll, self.bit_value, self.max_bits, service.green_j, service.green_price, service.grid_price)
        toll, value, most, green_j, green_price, grid_price = (
            np.ascontiguousarray(np.broadcast_to(part, shape)) for part in parts
        )
        gain, local, offload = self.uplink.gain_per_w(offload_w), np.empty(shape), np.empty(shape)
        _respond(gain, toll, value, most, green_j, green_price, grid_price, constants, local, offload)
        return local, offload


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
