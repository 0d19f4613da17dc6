"""Edge inference: time and energy of tasks on shares of CPUs and bands, and optimal shares at given prices.

A task of X cycles and D bits on a share u of a CPU of F cycles/s takes ``X / (u F)`` and ``kappa (u F)^2 X``. Sent over
a share v of a band of B Hz with signal-to-noise ratio ``snr`` over the whole band, it takes ``(D / B) h(v)`` with

    h(v) = 1 / (v log2(1 + snr / v)),

which decreases and is convex in v. Four numbers describe an option: time ``a = X / F`` and energy ``kappa F^2 X`` on
the whole CPU, time ``D / B`` at a spectral efficiency of 1 bit/s/Hz, and ``snr``. The compiled functions take an
option as the row ``(a, e, t, snr, g)``. Its cost is ``p a / u + e u^2 + (p + g) t h(v)``, with the price p of a
second; e and g include the prices of energy. An option without a band has ``t = 0``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.kernels import njit

LN2 = float(np.log(2.0))
MAX_STEPS = 60
"""Steps of a root search, at most."""
MIN_SHARE = 1e-12
"""Smallest share of a band, at any price."""
SERIES_BELOW = 1e-2
"""Ratios ``snr / v`` below which the rate's slope is summed as a series, as its closed form loses precision."""
TIME_TOLERANCE = 1e-13
"""Relative difference of time and time limit at which the search for the price of a second ends."""


@dataclass(frozen=True)
class InferenceTasks:
    """Time and energy of tasks on each whole CPU and band; arrays lead with ``[..., users, places]``.

    Attributes
    ----------
    present : bool array [..., users, places]
        Whether a place holds a task.
    local_s, local_j : array [..., users, places]
        Time in s and energy in J on the user's own CPU.
    server_s, server_j, send_s : array [..., users, places, servers]
        Time in s and energy in J on a server's CPU, and ``D / B`` in s.
    snr : array [..., users, servers]
        Signal-to-noise ratio over the whole band.
    power_w : array [..., users]
        Transmit power in W.
    """

    present: NDArray[np.bool_]
    local_s: FloatArray
    local_j: FloatArray
    server_s: FloatArray
    server_j: FloatArray
    send_s: FloatArray
    snr: FloatArray
    power_w: FloatArray

    def time_energy(
        self, server: NDArray[Any], cpu_share: FloatArray, band_share: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Compute times of computing and sending in s, then their energies in J, each ``[..., users, places]``.

        ``server`` is 0 for the own CPU. Without CPU, or offloaded without a band, a task takes ``inf`` seconds.
        """
        away, which = server > 0, np.maximum(server - 1, 0)[..., None]

        def chosen(values: FloatArray) -> FloatArray:
            return np.asarray(np.take_along_axis(values, which, axis=-1)[..., 0])

        snr = np.broadcast_to(self.snr[..., None, :], self.send_s.shape)
        whole_s = np.where(away, chosen(self.server_s), self.local_s)
        whole_j = np.where(away, chosen(self.server_j), self.local_j)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            compute_s = whole_s / cpu_share
            rate = np.where(band_share > 0, band_share * np.log1p(chosen(snr) / band_share) / LN2, 0.0)  # (1)
            sending_s = np.where(away, chosen(self.send_s) / rate, 0.0)
            sending_j = np.where(away, self.power_w[..., None] * sending_s, 0.0)
        return compute_s, sending_s, whole_j * cpu_share**2, sending_j


@njit(cache=True, inline="always")
def send_factor(share: float, snr: float) -> Any:
    """Compute ``h(v)``, the time of sending relative to ``D / B``."""
    return LN2 / (share * np.log1p(snr / share))


@njit(cache=True)
def send_slope(share: float, snr: float) -> float:
    """Compute ``-h'(v)``, the decrease of `send_factor` per share of the band."""
    z = snr / share
    log = np.log1p(z)
    if z < SERIES_BELOW:
        slope, power = 0.0, z
        for n in range(2, 12):
            power *= -z
            slope -= power * (n - 1) / n
    else:
        slope = log - z / (1.0 + z)
    return float(LN2 * slope / (share * log) ** 2)


@njit(cache=True)
def best_cpu(weight: float, energy: float, price: float) -> float:
    """Compute the CPU share u in (0, 1] that minimises ``weight / u + energy u^2 + price u``: a root of a cubic.

    Each of the cubic's terms alone bounds the root from above; Newton's method descends from the least of the bounds.
    """
    cpu = 1.0
    if price > 0.0:
        cpu = min(cpu, np.sqrt(weight / price))
    if energy > 0.0 and 2.0 * energy * cpu**3 > weight:
        cpu = (0.5 * weight / energy) ** (1.0 / 3.0)
    for _ in range(MAX_STEPS):
        above = (2.0 * energy * cpu + price) * cpu * cpu - weight
        if above <= 0.0:
            break
        step = above / ((6.0 * energy * cpu + 2.0 * price) * cpu)
        cpu -= step
        if step <= 1e-15 * cpu:
            break
    return cpu


@njit(cache=True)
def best_band(weight: float, price: float, snr: float) -> float:
    """Compute the band share v in (0, 1] that minimises ``weight h(v) + price v``, by Newton steps in log v."""
    if price <= weight * send_slope(1.0, snr):
        return 1.0
    low, high = np.log(MIN_SHARE), 0.0
    goal = np.log(price / weight)
    # h is between 1/v (snr small) and 1 / (v log v): its slope decreases nearly as one over the share squared.
    at = max(low, min(-1e-9, 0.5 * (np.log(send_slope(1.0, snr)) - goal)))
    above = np.log(send_slope(np.exp(at), snr)) - goal
    slope = -2.0
    for _ in range(MAX_STEPS):
        if above > 0.0:
            low = at
        else:
            high = at
        step = -above / slope
        following = at + step
        if not low < following < high:
            following = 0.5 * (low + high)
        moved = following - at
        if abs(moved) <= 1e-15 or high - low <= 1e-15:
            break
        value = np.log(send_slope(np.exp(following), snr)) - goal
        secant = (value - above) / moved
        slope = min(max(secant, -4.0), -0.5)
        at, above = following, value
        if abs(above) <= 1e-14:
            break
    return float(np.exp(at))


@njit(cache=True)
def _shares_and_time(
    second_price: float, option: Any, cpu_price: float, band_price: float
) -> tuple[float, float, float]:
    """Compute the optimal shares at a price of a second, and the time in s at these shares."""
    cpu = best_cpu(second_price * option[0], option[1], cpu_price)
    if option[2] <= 0.0:
        return cpu, 0.0, option[0] / cpu
    band = best_band((second_price + option[4]) * option[2], band_price, option[3])
    return cpu, band, option[0] / cpu + option[2] * send_factor(band, option[3])


@njit(cache=True)
def best_shares(
    option: Any, second_price: float, limit: float, cpu_price: float, band_price: float
) -> tuple[float, float, float]:
    """Compute a lower bound of cost plus prices of CPU and band within a time limit, and shares; ``inf`` if infeasible.

    The time limit has a dual price, and the time decreases in it. The bound is valid at any price that is found, and
    exact at the optimal one.
    """
    if option[2] > 0.0 and option[3] <= 0.0:  # a missing link
        return np.inf, 1.0, 1.0
    fastest = option[0] + (option[2] * send_factor(1.0, option[3]) if option[2] > 0.0 else 0.0)
    if not fastest <= limit:
        return np.inf, 1.0, 1.0
    price = second_price
    cpu, band, taken = _shares_and_time(price, option, cpu_price, band_price)
    if taken > limit:
        low, slow, high, fast = price, taken, 0.0, 0.0
        for step in range(4 * MAX_STEPS):
            if high == 0.0:  # the time decreases about as one over the root of the price
                price = low * max((slow / limit) ** 2, 1.0 + 1e-12) * (1.0 if step < 3 else 4.0)
            else:
                part = 0.5 if step % 3 == 2 else np.log(slow / limit) / np.log(slow / fast)
                price = low * (high / low) ** min(max(part, 0.01), 0.99)
            cpu, band, taken = _shares_and_time(price, option, cpu_price, band_price)
            if taken > limit:
                low, slow = price, taken
            else:
                high, fast = price, taken
            if abs(taken - limit) <= TIME_TOLERANCE * limit or price > 1e15 * second_price:
                break
            if high > 0.0 and (high <= low * (1.0 + 1e-15) or slow == fast):
                break
    value = price * option[0] / cpu + option[1] * cpu * cpu + cpu_price * cpu - (price - second_price) * limit
    if option[2] > 0.0:
        value += (price + option[4]) * option[2] * send_factor(band, option[3]) + band_price * band
    return value, cpu, band
