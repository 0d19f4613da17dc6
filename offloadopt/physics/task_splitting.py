"""Partial offloading: cost of splitting a task between a device and a share of a server's CPU.

Cost is relative to local computing: ``bt T / T0 + be E / E0`` with ``bt + be = 1`` (the weights).
For an offloaded share ``r``, ``T = max((1 - r) T0, r q)`` with ``q = S + C/F`` (sending and computing the whole task),
and ``E = (1 - r) E0 + r (E_s + kappa F^2 C)``. This is convex and piecewise linear in r, so that the best share is 0,
the *balanced* one at which both parts end together, ``T0 / (T0 + q)``, or 1. With ``e = E_s / E0``, ``k = kappa C /
E0``:

* balanced: ``(A F + C + D F^3) / (B F + C)`` with ``A = S + be T0 e``, ``B = T0 + S``, ``D = be T0 k``; 1 at ``F = 0``;
* full: ``bt (S + C/F) / T0 + be (e + k F^2)``.

Each is convex in F (balanced: where ``be e <= 1``; otherwise it increases); their minimum is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.kernels import njit

MAX_STEPS = 60
"""Steps of a root search, at most: as many halvings as float64 resolves."""
MIN_CPU_SHARE = 1e-30
"""Smallest positive share of a server's CPU, far below what any task uses on a CPU of any size."""
NEAR, NEGLIGIBLE = 1e-7, 1e-12
"""Relative distance to the best CPU share that is tried if the cost of an inexact one may exceed the second value."""
CPU_TOLERANCE = 1e-13
"""Relative part of a server's CPU that may remain unallocated."""


@dataclass(frozen=True)
class Splitting:
    """Tasks and their options of partial offloading; arrays broadcast to a common shape ``[...]``.

    Attributes
    ----------
    local_s, local_j : arrays
        Time in s and energy in J of local computing, ``T0`` and ``E0``.
    send_s, send_j : arrays
        Time in s and energy in J of sending the whole task, ``S`` and ``E_s``; ``inf`` for a missing link.
    cycles : array
        CPU cycles of the task, ``C``.
    kappa : float
        Effective capacitance of the server's CPU in W s^3: ``kappa F^2`` joule a cycle.
    time_weight : float
        Weight ``bt`` of time; ``1 - bt`` is that of energy.
    cpu_max_hz : float
        Largest share of a server's CPU in Hz.
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
        """Select tasks by an index into the common shape."""
        names = ("local_s", "local_j", "send_s", "send_j", "cycles")
        shape = np.broadcast_shapes(*(getattr(self, name).shape for name in names))
        return replace(self, **{name: np.broadcast_to(getattr(self, name), shape)[index] for name in names})

    def cost(self, ratio: FloatArray, cpu_hz: FloatArray) -> FloatArray:
        """Compute the relative cost ``[...]`` of an offloading ratio and a CPU share; 1 where either is 0."""
        away = (ratio > 0) & (cpu_hz > 0)
        time_s, energy_j = self.time_energy(np.where(away, ratio, 0.0), np.where(away, cpu_hz, self.cpu_max_hz))
        return np.asarray(self.time_weight * time_s / self.local_s + (1.0 - self.time_weight) * energy_j / self.local_j)

    def time_energy(self, ratio: FloatArray, cpu_hz: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Compute time in s and energy in J ``[...]``; ``cpu_hz`` is positive."""
        sent = ratio > 0
        with np.errstate(invalid="ignore"):
            away_s = np.where(sent, ratio * (self.send_s + self.cycles / cpu_hz), 0.0)
            away_j = np.where(sent, ratio * (self.send_j + self.kappa * cpu_hz**2 * self.cycles), 0.0)
        return np.maximum((1.0 - ratio) * self.local_s, away_s), (1.0 - ratio) * self.local_j + away_j

    def balanced_ratio(self, cpu_hz: FloatArray) -> FloatArray:
        """Compute the offloading ratio at which both parts end together; 0 without CPU or link."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.local_s / (self.local_s + self.send_s + self.cycles / cpu_hz))

    def mode_cost(self, full: NDArray[np.bool_], cpu_hz: FloatArray) -> FloatArray:
        """Compute the cost ``[...]`` of full offloading, or of the balanced ratio."""
        return self.cost(np.where(full, 1.0, self.balanced_ratio(cpu_hz)), cpu_hz)

    def best_cpu(self, full: NDArray[np.bool_], price: FloatArray) -> FloatArray:
        """Compute the CPU share in Hz that minimises ``mode_cost + price * cpu`` over ``[0, cpu_max_hz]``.

        It is `MIN_CPU_SHARE` times the largest where CPU is too expensive for the balanced mode; 0 for a missing link.
        """
        rows = self.packed()
        shape = np.broadcast_shapes(rows.shape[:-1], np.shape(full), np.shape(price))
        flat = np.ascontiguousarray(np.broadcast_to(rows, (*shape, 5))).reshape(-1, 5)
        full = np.broadcast_to(full, shape).ravel()
        prices = np.broadcast_to(np.asarray(price, dtype=np.float64), shape).ravel()
        found: FloatArray = _responses(full, prices, flat, self.time_weight, self.cpu_max_hz)
        return found.reshape(shape)

    def packed(self) -> FloatArray:
        """Stack the numbers of a ``task`` for the kernels below, ``[..., 5]``: ``T0``, ``S``, ``e``, ``C``, ``k``."""
        scaled = self.kappa * self.cycles / self.local_j
        parts = (self.local_s, self.send_s, self.send_j / self.local_j, self.cycles, scaled)
        rows = np.empty((*np.broadcast_shapes(*(np.shape(part) for part in parts)), len(parts)))
        for column, part in enumerate(parts):
            rows[..., column] = part
        return rows


@njit(cache=True, inline="always")
def mode_cost(full: bool, cpu: float, task: Any, time_weight: float) -> Any:
    """Compute the cost of a mode at a CPU share, see `Splitting.mode_cost`; ``inf`` for a missing link."""
    local_s, send_s, send, cycles, k = task[0], task[1], task[2], task[3], task[4]
    energy_weight = 1.0 - time_weight
    if not np.isfinite(send_s):
        return np.inf
    if full:
        return time_weight * (send_s + cycles / cpu) / local_s + energy_weight * (send + k * cpu * cpu)
    wait = send_s * cpu + cycles
    return (wait + energy_weight * local_s * cpu * (send + k * cpu * cpu)) / (local_s * cpu + wait)


@njit(cache=True)
def mode_slope(full: bool, cpu: float, task: Any, time_weight: float) -> Any:
    """Compute the derivative of a mode's cost by the CPU share; 0 for a missing link."""
    local_s, send_s, send, cycles, k = task[0], task[1], task[2], task[3], task[4]
    energy_weight = 1.0 - time_weight
    if not np.isfinite(send_s):
        return 0.0
    if full:
        return -time_weight * cycles / (local_s * cpu * cpu) + 2.0 * energy_weight * k * cpu
    b, d = local_s + send_s, energy_weight * local_s * k
    gain = cycles * local_s * (1.0 - energy_weight * send)
    return ((3.0 * cycles + 2.0 * b * cpu) * d * cpu * cpu - gain) / (b * cpu + cycles) ** 2


@njit(cache=True)
def response(full: bool, price: float, task: Any, time_weight: float, cpu_max: float) -> float:
    """Compute the CPU share at which a mode's slope is minus the price, in ``[MIN_CPU_SHARE, 1] cpu_max``.

    It is 0 without a link. Multiplied out, the slope is a cubic whose coefficients but the constant are non-negative.
    Each of its terms alone gives an upper bound of the root; Newton's method descends from the least of them.
    """
    local_s, send_s, send, cycles, k = task[0], task[1], task[2], task[3], task[4]
    energy_weight = 1.0 - time_weight
    if not np.isfinite(send_s):
        return 0.0
    if full:  # 2 be k F^3 + price F^2 = bt C / T0
        cubic, square, linear = 2.0 * energy_weight * k, price, 0.0
        constant = time_weight * cycles / local_s
    else:  # D (2 B F^3 + 3 C F^2) + price (B F + C)^2 = C (B - A)
        b, d = local_s + send_s, energy_weight * local_s * k
        cubic, square, linear = 2.0 * b * d, 3.0 * cycles * d + price * b * b, 2.0 * price * b * cycles
        constant = cycles * (local_s * (1.0 - energy_weight * send) - price * cycles)
    least = MIN_CPU_SHARE * cpu_max
    if constant <= 0.0:
        return least
    cpu = cpu_max
    if linear > 0.0:
        cpu = min(cpu, constant / linear)
    if square > 0.0:
        cpu = min(cpu, np.sqrt(constant / square))
    if cubic > 0.0 and cubic * cpu**3 > constant:
        cpu = (constant / cubic) ** (1.0 / 3.0)
    if cpu <= least:
        return least
    for _ in range(MAX_STEPS):
        above = ((cubic * cpu + square) * cpu + linear) * cpu - constant
        if above <= 0.0:  # at the root, or limited by `cpu_max`
            break
        step = above / ((3.0 * cubic * cpu + 2.0 * square) * cpu + linear)
        cpu -= step
        if step <= 1e-15 * cpu:
            break
    return max(cpu, least)


@njit(cache=True)
def cheaper_mode(price: float, task: Any, time_weight: float, cpu_max: float) -> tuple[float, float, bool]:
    """Compute a lower bound of cost plus price times CPU over both modes, exact up to rounding, with CPU and mode.

    The error of an inexact CPU share is bounded by the slope there times the distance to the best share, as both modes
    are convex: it lies within `NEAR` where the slope changes its sign there, otherwise anywhere on its side.
    """
    least, share, chosen = np.inf, 0.0, False
    if not np.isfinite(task[1]):
        return least, share, chosen
    for full in (False, True):
        cpu = response(full, price, task, time_weight, cpu_max)
        slope = mode_slope(full, cpu, task, time_weight) + price
        value = mode_cost(full, cpu, task, time_weight) + price * cpu
        distance = cpu if slope > 0.0 else cpu_max - cpu
        if abs(slope) * distance > NEGLIGIBLE:
            near = cpu * (1.0 - NEAR if slope > 0.0 else 1.0 + NEAR)
            if near < cpu_max and (mode_slope(full, near, task, time_weight) + price) * slope < 0.0:
                distance = abs(near - cpu)
        value -= abs(slope) * distance
        if value < least:
            least, share, chosen = value, cpu, full
    return least, share, chosen


@njit(cache=True)
def _responses(full: Any, price: Any, tasks: Any, time_weight: float, cpu_max: float) -> Any:
    found = np.empty(len(price))
    for i in range(len(price)):
        found[i] = response(full[i], price[i], tasks[i], time_weight, cpu_max)
    return found


@njit(cache=True)
def share_server_cpu(number: int, full: Any, tasks: Any, time_weight: float, cpu_max: float, cpu: Any) -> float:
    """Compute optimal shares of one server's CPU ``cpu_max`` for the first ``number`` tasks in given modes.

    The shares are written to ``cpu``. Returned is the price of CPU at which demand meets ``cpu_max``, 0 where demand at
    no price is below it. The price is found on a logarithmic scale, by secant and bisection steps in turn.
    """
    total = 0.0
    for i in range(number):
        cpu[i] = response(full[i], 0.0, tasks[i], time_weight, cpu_max)
        total += cpu[i]
    if total <= cpu_max:
        return 0.0
    low, below, high, above = 0.0, total, 0.0, 0.0  # prices and the total demand at them
    price = 1.0 / cpu_max
    for step in range(6 * MAX_STEPS):
        if low > 0.0 and high > 0.0:
            part = 0.5 if step % 3 == 2 else (below - cpu_max) / (below - above)
            price = low * (high / low) ** min(max(part, 0.02), 0.98)
        total = 0.0
        for i in range(number):
            cpu[i] = response(full[i], price, tasks[i], time_weight, cpu_max)
            total += cpu[i]
        if total > cpu_max:
            low, below = price, total
            if high == 0.0:
                price *= 8.0
        else:
            high, above = price, total
            if total >= cpu_max * (1.0 - CPU_TOLERANCE) or (low > 0.0 and high <= low * (1.0 + 4e-16)):
                break
            if low == 0.0:
                price /= 8.0
    if total > cpu_max:
        for i in range(number):
            cpu[i] *= cpu_max / total
    return price


@njit(cache=True)
def share_cpu(server: Any, full: Any, tasks: Any, time_weight: float, cpu_max: float) -> Any:
    """Compute optimal shares ``[rows, tasks]`` of each server's CPU ``cpu_max`` for its tasks in given modes.

    ``server [rows, tasks]`` is -1 for local tasks; ``tasks [rows, tasks, 5]`` as packed.
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
                    members[number], modes[number], here[number] = i, full[row, i], tasks[row, i]
                    number += 1
            share_server_cpu(number, modes, here, time_weight, cpu_max, cpu)
            for place in range(number):
                shares[row, members[place]] = cpu[place]
    return shares
