"""Partial offloading of one task: what it costs to split it between a device and a share of a server's CPU.

Cost is relative to computing all of it on the device: ``bt T / T0 + be E / E0`` with ``bt + be = 1``. For a share
``r`` that is offloaded, ``T = max((1 - r) T0, r q)`` with ``q = S + C/F`` (sending and computing all of it), and ``E =
(1 - r) E0 + r (E_s + kappa F^2 C)``. This is convex and piecewise linear in r, so that the best share is 0, the
*balanced* one at which both parts end together, ``T0 / (T0 + q)``, or 1. With ``e = E_s / E0``, ``k = kappa C / E0``:

* balanced: ``(A F + C + D F^3) / (B F + C)`` with ``A = S + be T0 e``, ``B = T0 + S``, ``D = be T0 k``; 1 at ``F = 0``;
* all: ``bt (S + C/F) / T0 + be (e + k F^2)``.

Each is convex in F (balanced: where ``be e <= 1``; otherwise it only rises); their minimum is not.
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
SETTLED = 1e-13
"""Relative part of a server's CPU that may stay unused."""


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
        rows = self.packed()
        shape = np.broadcast_shapes(rows.shape[:-1], np.shape(all_of_it), np.shape(price))
        flat = np.ascontiguousarray(np.broadcast_to(rows, (*shape, 5))).reshape(-1, 5)
        whole = np.broadcast_to(all_of_it, shape).ravel()
        prices = np.broadcast_to(np.asarray(price, dtype=np.float64), shape).ravel()
        found: FloatArray = _responses(whole, prices, flat, self.time_weight, self.cpu_max_hz)
        return found.reshape(shape)

    def packed(self) -> FloatArray:
        """``[..., 5]`` what the kernels below take as ``task``: ``T0``, ``S``, ``e``, ``C``, ``k``."""
        scaled = self.kappa * self.cycles / self.local_j
        parts = (self.local_s, self.send_s, self.send_j / self.local_j, self.cycles, scaled)
        return np.ascontiguousarray(np.stack(np.broadcast_arrays(*parts), axis=-1), dtype=np.float64)


@njit(cache=True, inline="always")
def mode_cost(whole: bool, cpu: float, task: Any, bt: float) -> Any:
    """Cost of a mode at a share of CPU, `Splitting.mode_cost`; ``inf`` over a missing link."""
    local_s, send_s, send, cycles, k = task[0], task[1], task[2], task[3], task[4]
    be = 1.0 - bt
    if not np.isfinite(send_s):
        return np.inf
    if whole:
        return bt * (send_s + cycles / cpu) / local_s + be * (send + k * cpu * cpu)
    wait = send_s * cpu + cycles
    return (wait + be * local_s * cpu * (send + k * cpu * cpu)) / (local_s * cpu + wait)


@njit(cache=True)
def mode_slope(whole: bool, cpu: float, task: Any, bt: float) -> Any:
    """Derivative of a mode's cost by the share of CPU; 0 over a missing link."""
    local_s, send_s, send, cycles, k = task[0], task[1], task[2], task[3], task[4]
    be = 1.0 - bt
    if not np.isfinite(send_s):
        return 0.0
    if whole:
        return -bt * cycles / (local_s * cpu * cpu) + 2.0 * be * k * cpu
    b, d = local_s + send_s, be * local_s * k
    gain = cycles * local_s * (1.0 - be * send)
    return ((3.0 * cycles + 2.0 * b * cpu) * d * cpu * cpu - gain) / (b * cpu + cycles) ** 2


@njit(cache=True)
def response(whole: bool, price: float, task: Any, bt: float, most: float) -> float:
    """The share of CPU at which a mode's slope is minus the price, within ``[LEAST, 1] most``; 0 without a link.

    Multiplied out, the slope is a cubic without negative coefficients, all but the constant. Every one of its terms
    alone gives an upper bound of the root; Newton's method descends from the least of them.
    """
    local_s, send_s, send, cycles, k = task[0], task[1], task[2], task[3], task[4]
    be = 1.0 - bt
    if not np.isfinite(send_s):
        return 0.0
    if whole:  # 2 be k F^3 + price F^2 = bt C / T0
        cubic, square, linear = 2.0 * be * k, price, 0.0
        constant = bt * cycles / local_s
    else:  # D (2 B F^3 + 3 C F^2) + price (B F + C)^2 = C (B - A)
        b, d = local_s + send_s, be * local_s * k
        cubic, square, linear = 2.0 * b * d, 3.0 * cycles * d + price * b * b, 2.0 * price * b * cycles
        constant = cycles * (local_s * (1.0 - be * send) - price * cycles)
    least = LEAST * most
    if constant <= 0.0:
        return least
    cpu = most
    if linear > 0.0:
        cpu = min(cpu, constant / linear)
    if square > 0.0:
        cpu = min(cpu, np.sqrt(constant / square))
    if cubic > 0.0 and cubic * cpu**3 > constant:
        cpu = (constant / cubic) ** (1.0 / 3.0)
    if cpu <= least:
        return least
    for _ in range(STEPS):
        above = ((cubic * cpu + square) * cpu + linear) * cpu - constant
        if above <= 0.0:  # at the root, or at `most` with more wanted
            break
        step = above / ((3.0 * cubic * cpu + 2.0 * square) * cpu + linear)
        cpu -= step
        if step <= 1e-15 * cpu:
            break
    return max(cpu, least)


@njit(cache=True)
def cheaper_mode(price: float, task: Any, bt: float, most: float) -> tuple[float, float, bool]:
    """Least cost plus price times CPU over both modes, never above it but for rounding, with its CPU and mode.

    What a share of CPU that is not quite the best can hide follows from the slope there, as both modes are convex.
    """
    least, share, chosen = np.inf, 0.0, False
    if not np.isfinite(task[1]):
        return least, share, chosen
    for whole in (False, True):
        cpu = response(whole, price, task, bt, most)
        slope = mode_slope(whole, cpu, task, bt) + price
        value = mode_cost(whole, cpu, task, bt) + price * cpu
        value -= slope * cpu if slope > 0.0 else -slope * (most - cpu)
        if value < least:
            least, share, chosen = value, cpu, whole
    return least, share, chosen


@njit(cache=True)
def _responses(whole: Any, price: Any, tasks: Any, bt: float, most: float) -> Any:
    found = np.empty(len(price))
    for i in range(len(price)):
        found[i] = response(whole[i], price[i], tasks[i], bt, most)
    return found


@njit(cache=True)
def settle(number: int, whole: Any, tasks: Any, bt: float, most: float, cpu: Any) -> float:
    """Share one server's CPU ``most`` among the first ``number`` tasks, optimally for their modes; fills ``cpu``.

    The price at which it is just used up is returned, 0 where free CPU leaves some idle. It is found in its logarithm,
    by the secant through the bracket's ends and by halving in turn.
    """
    total = 0.0
    for i in range(number):
        cpu[i] = response(whole[i], 0.0, tasks[i], bt, most)
        total += cpu[i]
    if total <= most:
        return 0.0
    low, below, high, above = 0.0, total, 0.0, 0.0  # prices, and the demand that they lead to
    price = 1.0 / most
    for step in range(6 * STEPS):
        if low > 0.0 and high > 0.0:
            part = 0.5 if step % 3 == 2 else (below - most) / (below - above)
            price = low * (high / low) ** min(max(part, 0.02), 0.98)
        total = 0.0
        for i in range(number):
            cpu[i] = response(whole[i], price, tasks[i], bt, most)
            total += cpu[i]
        if total > most:
            low, below = price, total
            if high == 0.0:
                price *= 8.0
        else:
            high, above = price, total
            if total >= most * (1.0 - SETTLED) or (low > 0.0 and high <= low * (1.0 + 4e-16)):
                break
            if low == 0.0:
                price /= 8.0
    if total > most:
        for i in range(number):
            cpu[i] *= most / total
    return price


@njit(cache=True)
def share_cpu(server: Any, whole: Any, tasks: Any, bt: float, most: float) -> Any:
    """Each server's CPU ``most`` shared optimally among the tasks on it, given their modes: shares ``[rows, tasks]``.

    ``server [rows, tasks]`` is -1 for tasks that stay local; ``tasks [rows, tasks, 5]`` as packed.
    """
    rows, count = server.shape
    shares = np.zeros((rows, count))
    members = np.empty(count, np.int64)
    modes, here, cpu = np.empty(count, np.bool_), np.empty((count, 5)), np.empty(count)
    for row in range(rows):
        for site in range(server[row].max() + 1):
            number = 0
            for i in range(count):
                if server[row, i] == site:
                    members[number], modes[number], here[number] = i, whole[row, i], tasks[row, i]
                    number += 1
            settle(number, modes, here, bt, most, cpu)
            for place in range(number):
                shares[row, members[place]] = cpu[place]
    return shares
