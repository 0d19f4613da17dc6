"""Service of a device's buffer in a slot: bits computed locally, bits offloaded, and the energy of both.

Both ways have diminishing returns, so that the best mix equalises their marginal energy in J/bit, the *effort* ``r``.
The effort determines both powers; bits and energy increase with it.

* CPU: ``d_l = tau f / L`` with ``f = (p_l / kappa)^(1/3)``: marginal energy ``3 L kappa^(1/3) p_l^(2/3)``;
* air: ``d_o = tau W log2(1 + g p_o)``: marginal energy ``(ln 2 / W) (p_o + 1/g)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offloadopt.core import FloatArray

MAX_STEPS = 60
"""Bisection steps over the effort's logarithmic range: more than float64 resolves."""
MIN_GAIN_PER_W = 1e-12
"""Gain per watt below which a link counts as missing: a watt would carry a billionth of a bit per slot and hertz."""


@dataclass(frozen=True)
class Device:
    """Constants of a device: slot, bandwidth, CPU and power limits.

    Attributes
    ----------
    slot_s : float
        Length of a slot in s.
    bandwidth_hz : float
        Bandwidth of the uplink in Hz.
    kappa : float
        Effective capacitance in W s^3: the CPU draws ``kappa f^3``.
    cycles_per_bit : float
        CPU cycles needed for a bit.
    local_max_w, offload_max_w : float
        Largest power of the CPU and of the transmitter in W.
    """

    slot_s: float
    bandwidth_hz: float
    kappa: float
    cycles_per_bit: float
    local_max_w: float
    offload_max_w: float

    def local_bits(self, local_w: FloatArray) -> FloatArray:
        """Compute the bits that the CPU processes in a slot at a power in W."""
        return np.asarray(self.slot_s / self.cycles_per_bit * np.cbrt(local_w / self.kappa))

    def local_power(self, bits: FloatArray) -> FloatArray:
        """Compute the CPU power in W that processes the bits in a slot, even above the limit."""
        return np.asarray(self.kappa * (bits * self.cycles_per_bit / self.slot_s) ** 3)

    def offload_bits(self, sinr: FloatArray) -> FloatArray:
        """Compute the bits that the link carries in a slot."""
        return np.asarray(self.slot_s * self.bandwidth_hz / np.log(2.0) * np.log1p(sinr))

    def offload_power(self, bits: FloatArray, gain_per_w: FloatArray) -> FloatArray:
        """Compute the transmit power in W for the bits in a slot, even above the limit; ``inf`` for a missing link."""
        with np.errstate(over="ignore"):
            sinr = np.expm1(np.log(2.0) * bits / (self.slot_s * self.bandwidth_hz))
        missing = gain_per_w < MIN_GAIN_PER_W
        power = sinr / np.where(missing, 1.0, gain_per_w)
        return np.where(missing, np.where(bits > 0, np.inf, 0.0), power)


@dataclass(frozen=True)
class Service:
    """Power control of devices in one or many slots, with the prices of energy.

    Energy is taken from the green supply first, at ``green_price``, and from the grid beyond it, at ``grid_price``. A
    negative green price means that unused green energy is charged, so that using it up is optimal.

    Attributes
    ----------
    device : Device
    gain_per_w : array [...]
        SINR per watt of transmit power.
    green_j : array [...]
        Green energy that can be used in the slot.
    green_price, grid_price : arrays that broadcast to [...]
        Cost of a joule, ``green_price <= grid_price``, ``grid_price >= 0``.
    """

    device: Device
    gain_per_w: FloatArray
    green_j: FloatArray
    green_price: FloatArray
    grid_price: FloatArray

    def take(self, index: Any) -> Service:
        """Select devices or slots by an index into the arrays."""
        shape = self.gain_per_w.shape
        parts = ("gain_per_w", "green_j", "green_price", "grid_price")
        return replace(self, **{name: np.broadcast_to(getattr(self, name), shape)[index] for name in parts})

    def bits(self, local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
        """Compute the bits ``[...]`` that the powers can serve."""
        return self.device.local_bits(local_w) + self.device.offload_bits(self.gain_per_w * offload_w)

    def energy_j(self, local_w: FloatArray, offload_w: FloatArray) -> FloatArray:
        """Compute the energy ``[...]`` of the slot in J."""
        return np.asarray(self.device.slot_s * (local_w + offload_w))

    def energy_cost(self, energy_j: FloatArray) -> FloatArray:
        """Compute the cost ``[...]`` of energy in J, relative to using none."""
        green = np.minimum(energy_j, self.green_j)
        return np.asarray(self.green_price * green + self.grid_price * (energy_j - green))

    def powers(self, effort: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Compute CPU and transmit power in W ``[...]`` whose marginal energy is ``effort`` J/bit."""
        d = self.device
        local_w = np.minimum((effort / (3.0 * d.cycles_per_bit * np.cbrt(d.kappa))) ** 1.5, d.local_max_w)
        offload_w = np.clip(effort * (d.bandwidth_hz / np.log(2.0)) - self._inverse_gain_w, 0.0, d.offload_max_w)
        return local_w, offload_w

    @property
    def full_effort(self) -> FloatArray:
        """Effort ``[...]`` in J/bit from which both powers are at their limits; a missing link transmits nothing."""
        d = self.device
        full = np.log(2.0) / d.bandwidth_hz * (d.offload_max_w + self._inverse_gain_w)
        return np.maximum(self._full_local_effort, np.where(np.isfinite(full), full, 0.0))

    @property
    def _inverse_gain_w(self) -> FloatArray:
        """Inverse gain ``1/g`` in W, ``inf`` for a missing link, which is never used."""
        missing = self.gain_per_w < MIN_GAIN_PER_W
        return np.where(missing, np.inf, 1.0 / np.where(missing, 1.0, self.gain_per_w))

    @property
    def _full_local_effort(self) -> float:
        """Effort in J/bit from which the CPU's power is at its limit."""
        d = self.device
        return float(3.0 * d.cycles_per_bit * np.cbrt(d.kappa) * d.local_max_w ** (2.0 / 3.0))

    def effort_for_bits(self, bits: FloatArray) -> FloatArray:
        """Compute the least effort at which ``bits [...]`` are served; `full_effort` where that is impossible."""
        return self._effort_at(lambda r: self.bits(*self.powers(r)), bits)

    def effort_for_energy(self, energy_j: FloatArray) -> FloatArray:
        """Compute the least effort at which ``energy_j [...]`` is used; `full_effort` where that is impossible."""
        return self._effort_at(lambda r: self.energy_j(*self.powers(r)), energy_j)

    def best(self, bit_value: FloatArray, max_bits: FloatArray | float = np.inf) -> tuple[FloatArray, FloatArray]:
        """Compute the powers that minimise ``energy_cost - bit_value * min(bits, max_bits)``.

        Parameters
        ----------
        bit_value : array [...]
            Value of a served bit, at least 0.
        max_bits : array [...]
            Bits in the buffer; service beyond them has no value.

        Returns
        -------
        local_w, offload_w : arrays [...]
        """
        shape = np.broadcast_shapes(self.gain_per_w.shape, np.shape(bit_value))
        full = np.broadcast_to(self.full_effort, shape)
        grid_price, green_price = (np.maximum(p, np.finfo(float).tiny) for p in (self.grid_price, self.green_price))
        with np.errstate(over="ignore"):
            grid_effort = np.minimum(bit_value / grid_price, full)
            green_effort = np.where(self.green_price > 0, np.minimum(bit_value / green_price, full), full)
        green_effort = np.maximum(green_effort, grid_effort)
        # Between the two prices the green supply is used up exactly, and its last joule sets the price.
        edge = np.clip(self.effort_for_energy(np.broadcast_to(self.green_j, shape)), grid_effort, green_effort)
        needed = np.where(np.isfinite(max_bits), self.effort_for_bits(np.minimum(max_bits, 1e300)), full)
        worthless = (np.asarray(bit_value) <= 0) & (self.green_price >= 0)
        local_w, offload_w = self.powers(np.where(worthless, 0.0, np.minimum(edge, needed)))
        return self._use_up_green(local_w, offload_w)

    def _use_up_green(self, local_w: FloatArray, offload_w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Raise powers so that the remaining green energy is used where unused green energy is charged."""
        idle_w = np.maximum(self.green_j / self.device.slot_s - local_w - offload_w, 0.0)
        idle_w = np.where(self.green_price < 0, idle_w, 0.0)
        more_local = np.minimum(idle_w, self.device.local_max_w - local_w)
        more_offload = np.minimum(idle_w - more_local, self.device.offload_max_w - offload_w)
        return local_w + more_local, offload_w + more_offload

    def _effort_at(self, increasing: Callable[[FloatArray], FloatArray], target: FloatArray) -> FloatArray:
        """Compute by bisection the least effort at which an increasing function reaches ``target``, from above."""
        high = np.array(np.broadcast_to(self.full_effort, np.broadcast_shapes(self.gain_per_w.shape, target.shape)))
        # The lower end is relative to the CPU's scale: a weak link's full effort lies far above it, and at a fixed part
        # of that the CPU would already be running.
        top, low = high.copy(), np.full_like(high, 1e-12 * self._full_local_effort)
        for _ in range(MAX_STEPS):
            middle = np.sqrt(low * high)
            enough = increasing(middle) >= target
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return np.where(target > 0, np.minimum(high, top), 0.0)
