"""Partial offloading of one task: what it costs to split it between a device and a share of a server's CPU.

Cost is relative to computing all of it on the device: ``bt T / T0 + be E / E0`` with ``bt + be = 1``. For a share
``r`` that is offloaded, ``T = max((1 - r) T0, r q)`` with ``q = S + C/F`` (sending and computing all of it), and ``E =
(1 - r) E0 + r (E_s + kappa F^2 C)``. This is convex and piecewise linear in r, so that the best share is 0, the
*balanced* one at which both parts end together, ``T0 / (T0 + q)``, or 1:

* balanced: ``(q + be T0 e) / (T0 + q)`` with ``e = (E_s + kappa F^2 C) / E0``; 1 at ``F = 0``;
* all: ``bt q / T0 + be e``.

Each is convex in F; their minimum is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from offloadopt.core import FloatArray

STEPS = 60
"""Steps of a root search, at most: as many halvings as float64 resolves."""
LEAST = 1e-9
"""Share of a server's CPU below which nothing is asked for."""


@dataclass(frozen=True)
class Splitting:
    """Tasks with the ways to split them; arrays broadcast to a common shape ``[...]``.

    Attributes
    ----------
    local_s, local_j : arrays
        Time and energy of computing everything on the device, ``T0`` and ``E0``.
    send_s, send_j : arrays
        Time and energy of sending everything, ``S`` and ``E_s``; ``inf`` over a missing link.
    cycles : array
        CPU cycles of the task, ``C``.
    kappa : float
        The server's energy in W s^3: ``kappa F^2`` joule a cycle.
    time_weight : float
        ``bt``.
    cpu_max_hz : float
        Largest share of CPU.
    """

    local_s: FloatArray
    local_j: FloatArray
    send_s: FloatArray
    send_j: FloatArray
    cycles: FloatArray
    kappa: float
    time_weight: float
    cpu_max_hz: float

    def take(self, index: Any) -> Splitting:
        """Part of the tasks, by an index into the common shape."""
        names = ("local_s", "local_j", "send_s", "send_j", "cycles")
        shape = np.broadcast_shapes(*(getattr(self, name).shape for name in names))
        return replace(self, **{name: np.broadcast_to(getattr(self, name), shape)[index] for name in names})

    def cost(self, ratio: FloatArray, cpu_hz: FloatArray) -> FloatArray:
        """Relative cost ``[...]`` of a share offloaded and a share of CPU; 1 where either is 0."""
        away = (ratio > 0) & (cpu_hz > 0)
        time_s, energy_j = self.time_energy(np.where(away, ratio, 0.0), np.where(away, cpu_hz, self.cpu_max_hz))
        return np.asarray(self.time_weight * time_s / self.local_s + (1.0 - self.time_weight) * energy_j / self.local_j)

    def time_energy(self, ratio: FloatArray, cpu_hz: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Time in s and energy in J ``[...]``; ``cpu_hz`` is positive."""
        sent = ratio > 0
        with np.errstate(invalid="ignore"):
            away_s = np.where(sent, ratio * (self.send_s + self.cycles / cpu_hz), 0.0)
            away_j = np.where(sent, ratio * (self.send_j + self.kappa * cpu_hz**2 * self.cycles), 0.0)
        return np.maximum((1.0 - ratio) * self.local_s, away_s), (1.0 - ratio) * self.local_j + away_j

    def balanced_ratio(self, cpu_hz: FloatArray) -> FloatArray:
        """The share at which both parts end together; 0 without CPU or link."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.local_s / (self.local_s + self.send_s + self.cycles / cpu_hz))

    def mode_cost(self, all_of_it: NDArray[np.bool_], cpu_hz: FloatArray) -> FloatArray:
        """Cost ``[...]`` of offloading everything, or the balanced share."""
        return self.cost(np.where(all_of_it, 1.0, self.balanced_ratio(cpu_hz)), cpu_hz)

    def best_cpu(self, all_of_it: NDArray[np.bool_], price: FloatArray) -> FloatArray:
        """The share of CPU in Hz that minimises ``mode_cost + price * cpu`` over ``[0, cpu_max_hz]``.

        Next to nothing, `LEAST`, where CPU is too dear for the balanced mode; 0 over a missing link.
        """
        found = self._each(_responses, all_of_it, price)
        return np.where(np.isfinite(self.send_s), found, 0.0)

    def slope(self, all_of_it: NDArray[np.bool_], cpu_hz: FloatArray) -> FloatArray:
        """Derivative ``[...]`` of `mode_cost` by the CPU in 1/Hz; 0 over a missing link."""
        found = self._each(_slopes, all_of_it, cpu_hz)
        return np.where(np.isfinite(self.send_s), found, 0.0)

    def _each(self, kernel: Any, all_of_it: NDArray[np.bool_], argument: FloatArray) -> FloatArray:
        """A kernel's values over all tasks."""
        shape = np.broadcast_shapes(self.send_s.shape, self.cycles.shape, np.shape(argument), np.shape(all_of_it))
        linked = np.isfinite(self.send_s)
        parts = [
            np.ascontiguousarray(np.broadcast_to(values, shape), dtype=np.float64).ravel()
            for values in (
                argument,
                self.local_s,
                np.where(linked, self.send_s, 0.0),
                np.where(linked, self.send_j, 0.0) / self.local_j,
                self.cycles,
                self.kappa * self.cycles / self.local_j,
            )
        ]
        chosen = np.ascontiguousarray(np.broadcast_to(all_of_it, shape)).ravel()
        found: FloatArray = kernel(chosen, *parts, self.time_weight, self.cpu_max_hz)
        return found.reshape(shape)


@njit(cache=True)
def _slope(
    whole: bool, cpu: float, local_s: float, send_s: float, send: float, cycles: float, k: float, bt: float
) -> Any:
    """Derivative of a mode's cost; energies relative to the local one: ``e = send + k F^2``."""
    be = 1.0 - bt
    falling = -cycles / cpu**2
    rising = 2.0 * k * cpu
    if whole:
        return bt * falling / local_s + be * rising
    total = local_s + send_s + cycles / cpu
    return local_s * (falling * (1.0 - be * (send + k * cpu**2)) + be * rising * total) / total**2


@njit(cache=True)
def response(
    whole: bool,
    price: float,
    local_s: float,
    send_s: float,
    send: float,
    cycles: float,
    k: float,
    bt: float,
    most: float,
) -> Any:
    """The CPU at which the slope is minus the price: regula falsi in ``log F`` with a bisection as safeguard."""
    if _slope(whole, most, local_s, send_s, send, cycles, k, bt) + price <= 0.0:
        return most
    low, high = LEAST * most, most
    at_low = _slope(whole, low, local_s, send_s, send, cycles, k, bt) + price
    at_high = _slope(whole, high, local_s, send_s, send, cycles, k, bt) + price
    if at_low >= 0.0:
        return low
    for step in range(STEPS):
        if step % 3 == 2:
            middle = np.sqrt(low * high)
        else:
            middle = low * (high / low) ** (at_low / (at_low - at_high))
            middle = min(max(middle, low * (1.0 + 1e-15)), high)
        value = _slope(whole, middle, local_s, send_s, send, cycles, k, bt) + price
        if value < 0.0:
            low, at_low, at_high = middle, value, 0.5 * at_high
        else:
            high, at_high, at_low = middle, value, 0.5 * at_low
        if high - low <= 1e-15 * high or value == 0.0:
            break
    return high


@njit(cache=True)
def _responses(
    whole: Any, price: Any, local_s: Any, send_s: Any, send: Any, cycles: Any, k: Any, bt: float, most: float
) -> Any:
    found = np.empty(len(price))
    for i in range(len(price)):
        found[i] = response(whole[i], price[i], local_s[i], send_s[i], send[i], cycles[i], k[i], bt, most)
    return found


@njit(cache=True)
def _slopes(
    whole: Any, cpu: Any, local_s: Any, send_s: Any, send: Any, cycles: Any, k: Any, bt: float, most: float
) -> Any:
    found = np.empty(len(cpu))
    for i in range(len(cpu)):
        found[i] = _slope(whole[i], cpu[i], local_s[i], send_s[i], send[i], cycles[i], k[i], bt)
    return found


@njit(cache=True)
def share_cpu(
    server: Any, whole: Any, local_s: Any, send_s: Any, send: Any, cycles: Any, k: Any, bt: float, most: float, cpu: Any
) -> None:
    """Share each server's CPU ``most`` optimally among the tasks on it, given their modes; fills ``cpu [rows, tasks]``.

    ``server [rows, tasks]`` is -1 for tasks that stay local. A bisection on the price of CPU, whose root is where the
    server is used up, unless free CPU leaves some idle. Shares are scaled down by what the last step left over.
    """
    rows, tasks = server.shape
    for row in range(rows):
        for site in range(server[row].max() + 1):
            low, high = 0.0, 0.0
            for step in range(2 * STEPS):
                # First free of charge, then upwards until CPU is dear enough, then in between.
                price = 0.0 if step == 0 else (high if low == high else 0.5 * (low + high))
                total = 0.0
                for i in range(tasks):
                    if server[row, i] == site:
                        cpu[row, i] = response(
                            whole[row, i], price, local_s[row, i], send_s[row, i], send[row, i],
                            cycles[row, i], k[row, i], bt, most,
                        )  # fmt: skip
                        total += cpu[row, i]
                if step == 0:
                    if total <= most:
                        break
                    high = 1.0 / most / 64.0
                    low = high
                elif low == high:
                    if total > most:
                        high *= 4.0
                        low = high
                    else:
                        low = 0.0
                elif total > most:
                    low = price
                else:
                    high = price
                if total <= most and (total >= most * (1.0 - 1e-13) or high - low <= 1e-15 * high):
                    break
            total = 0.0
            for i in range(tasks):
                if server[row, i] == site:
                    total += cpu[row, i]
            if total > most:
                for i in range(tasks):
                    if server[row, i] == site:
                        cpu[row, i] *= most / total
