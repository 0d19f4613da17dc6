"""Lower bound of task queues: each device schedules alone at prices of tasks and of joules (Lagrangian relaxation).

A task that no device completes fails, at the cost of a failure. Given a reward for each task and a price of each
battery's joules, every device completes the tasks that pay, with all waiting in its queue (`device_schedules`). For any
prices the sum of what this costs, plus the rewards, less the batteries' worth, is a bound, evaluated up to a margin for
rounding; a subgradient ascent raises it. Ageing, whose total is concave in the energy used of a battery, lies above its
secants, of which the least counts: a device schedules at the price of each one. Ascents use one secant between the full
and the empty battery at first, and then several, which matter where batteries are not emptied.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import ROUNDING, FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.solvers.task_queues.device_schedules import Fronts, Prices, cheapest_schedule, fronts, read_schedule
from offloadopt.solvers.task_queues.tables import Tables

STARTS = (0.6, 0.7, 1.0), (0.0, 0.05, 0.2)
"""Where ascents start: price of a joule, in failures per energy of a usual task; prices of tasks, in failures; the
length of the first steps. Batteries may be dear or not, and no single step raises all prices together."""
ROUNDS = 10_000
"""Largest number of steps of one ascent."""
PATIENCE = 100, 30
"""Number of steps without a rise after which steps get shorter, with one secant and with several."""
LEAST_STEP = 1e-5
"""Length of steps at which the ascent ends."""
TARGET = 0.5
"""Rise, relative to the bound, for which steps of length 1 aim."""
LINES = 8
"""Number of secants of each battery's ageing in the end."""
FEW = 100
"""Largest number of tasks with several secants; at the paper's size they raised neither of two bounds in 8 s of CPU."""
SCALE = 30.0
"""Weight of joules beside tasks, in squares of a usual task's energy."""


class Secants(NamedTuple):
    """Lines whose least one is below the ageing of each battery, and the price of ageing by transmissions.

    ``rise`` per joule and ``base [lines, devices]``; ``send [devices]`` is the least rise of ageing.
    """

    rise: FloatArray
    base: FloatArray
    send: FloatArray


@njit(cache=True)
def schedule_all(
    t: Tables, task: FloatArray, joule: FloatArray, s: Secants, w: Fronts, device: IntArray, mode: IntArray,
    times: IntArray, used_j: FloatArray,
) -> float:  # fmt: skip
    """Schedule each device alone at its best secant; returns the sum of the costs less rewards."""
    total, lines = 0.0, len(s.rise)
    for d in range(len(t.link_w)):
        best, least = 0, np.inf
        for k in range(lines):
            value = cheapest_schedule(t, Prices(task, joule + s.rise[k], joule + s.send), w, d) + s.base[k, d]
            if np.isnan(value):
                return np.nan
            if value < least:
                best, least = k, value
        if best < lines - 1:
            cheapest_schedule(t, Prices(task, joule + s.rise[best], joule + s.send), w, d)
        total += least
        read_schedule(t, w, d, w.size[0] - 1, device, mode, times, used_j)
    return total


def ageing_share(t: Tables) -> FloatArray:
    """By device the least ratio of the ageing of jobs and of a continuous discharge of the same energy."""
    capacity_j, rise = t.capacity_j, t.level_stress
    cycles = float(t.cycles[t.arrives].max(initial=0.0))
    sends = np.where(np.isfinite(t.send_s) & t.linked[..., None] & t.arrives[:, :, None, None], t.send_s, 0.0)
    link_j = sends.max(axis=(0, 1, 3), initial=0.0) * t.link_w
    most_j = cycles * (t.power_w / t.speed_hz).max(axis=1)
    link_j, most_j = np.minimum(link_j, capacity_j), np.minimum(most_j, capacity_j)  # no battery holds more
    agents = t.arrives.shape[1]
    # Where slower modes take more power, the mean level over time may be that at the end of the job.
    odd = (t.power_w > t.power_w[:, :1]).any(axis=1)
    late_j = link_j / 2.0 + np.where(odd, most_j, 0.0)
    half = rise * (most_j + link_j) / (2.0 * capacity_j)
    send_half = rise * link_j.max() / (2.0 * capacity_j)
    share = np.exp(-rise * late_j / capacity_j) * half / np.sinh(np.maximum(half, 1e-9))
    share = np.where(half > 1e-9, share, 1.0)
    share[:agents] = np.minimum(share[:agents], send_half / np.sinh(send_half) if send_half > 1e-9 else 1.0)
    return share


def ageing_of(t: Tables, used_j: FloatArray) -> FloatArray:
    """Ageing cost of a continuous discharge of each battery by ``used_j [..., devices]``."""
    capacity_j, whole, rise = t.capacity_j, t.life_cost, t.level_stress
    level = t.start_j / capacity_j - 0.5
    if rise == 0.0:
        return np.asarray(whole * used_j / capacity_j)
    return np.asarray(whole / rise * np.exp(rise * level) * -np.expm1(-rise * used_j / capacity_j))


def secants(t: Tables, lines: int) -> Secants:
    """Make secants between so many levels of each battery, the closer to each other the fuller."""
    share = ageing_share(t)
    used_j = np.linspace(0.0, 1.0, lines + 1)[:, None] ** 2 * t.start_j
    cost = share * ageing_of(t, used_j)
    rise = np.diff(cost, axis=0) / np.maximum(np.diff(used_j, axis=0), 1e-12)
    # Used energy adds to ageing at least what it would at the end of the battery.
    last = share * t.life_cost / t.capacity_j * np.exp(-t.level_stress / 2.0)
    return Secants(rise, cost[:-1] - rise * used_j[:-1], np.minimum(last, rise[-1]))


class Relaxation:
    """Prices of one instance, and the bound at them."""

    def __init__(self, t: Tables) -> None:
        self.t, self.space, self.secants = t, fronts(t), secants(t, 1)
        self.failure = float(t.failure_cost)
        # Subgradients of tasks are numbers of tasks, those of batteries joules: a task takes some of them.
        least_j = np.min(t.cycles[..., None, None] * (t.power_w / t.speed_hz), axis=(-2, -1))
        self.usual_j = max(float(np.median(least_j[t.arrives])), 1e-9) if t.arrives.any() else 1.0
        self.best, self.kept = -np.inf, (np.zeros(t.arrives.shape), np.zeros(len(t.link_w)))

    def value(self, task: FloatArray, joule: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Bound and slopes at prices ``task [horizon, agents]``, at most a failure's cost, and ``joule [devices]``."""
        t, s = self.t, self.secants
        device, mode = np.full(t.arrives.shape, -1), np.zeros(t.arrives.shape, dtype=np.int64)
        times, used_j = np.zeros(t.arrives.shape, dtype=np.int64), np.zeros(len(t.link_w))
        total = schedule_all(t, task, joule, s, self.space, device, mode, times, used_j)
        rewards, worth = float(task[t.arrives].sum()), float(joule @ t.start_j)
        margin = ROUNDING * (abs(total) + rewards + worth + float(s.base.sum()))
        return total + rewards - worth - margin, np.where(t.arrives, 1.0 - times, 0.0), used_j - t.start_j

    def ascend(self, deadline: Deadline) -> float:
        """Raise the bound by subgradient ascents from all `STARTS`, then with more secants; the best, at least 0."""
        several = self.t.level_stress > 0.0 and self.t.arrives.sum() <= FEW
        for number, (joule, task, step) in enumerate(STARTS):
            prices = (
                np.where(self.t.arrives, task * self.failure, 0.0),
                np.full(len(self.t.link_w), joule * self.failure / self.usual_j),
            )
            self._ascend(*prices, step, deadline.part(1.0 / (len(STARTS) + several - number)))
        if several:
            self.secants = secants(self.t, LINES)
            self._ascend(*self.kept, STARTS[-1][2], deadline)
        return max(self.best, 0.0)

    def _ascend(self, task: FloatArray, joule: FloatArray, step: float, deadline: Deadline) -> None:
        """Deflected subgradient ascent from some prices until it no longer rises; keeps the best bound and prices."""
        t, scale, best = self.t, SCALE * self.usual_j**2, -np.inf
        kept, stalled, momentum = (task, joule), 0, (np.zeros_like(task), np.zeros_like(joule))
        patience = PATIENCE[len(self.secants.rise) > 1]
        for _ in range(ROUNDS):
            if deadline.passed or step < LEAST_STEP:
                break
            value, of_task, of_joule = self.value(task, joule)
            stalled = patience + 1 if np.isnan(value) else stalled + 1
            if value > best:
                stalled = 0 if value > best + 1e-4 * abs(value) else stalled
                best, kept = value, (task, joule)
            if value > self.best:
                self.best, self.kept = value, kept
            if stalled > patience:
                step, stalled, (task, joule) = 0.7 * step, 0, kept
                momentum = np.zeros_like(task), np.zeros_like(joule)
                continue
            momentum = of_task + 0.5 * momentum[0], of_joule + 0.5 * momentum[1]
            up = np.where((task >= self.failure) & (momentum[0] > 0), 0.0, momentum[0])
            dear = np.where((joule <= 0.0) & (momentum[1] < 0), 0.0, momentum[1])
            norm = float((up**2).sum() + (dear**2).sum() / scale)
            if norm == 0.0:
                break
            length = step * TARGET * max(abs(value), self.failure) / norm
            task = np.where(t.arrives, np.clip(task + length * up, 0.0, self.failure), 0.0)
            joule = np.maximum(joule + length * dear / scale, 0.0)
