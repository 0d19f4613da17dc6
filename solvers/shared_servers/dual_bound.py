"""Lagrangian dual bound for shared servers: dual prices of the tasks and of each server's CPU.

Let ``u_i <= 1`` (1 is the local cost) be the dual price of computing task i, and ``y_jn >= 0`` that of the CPU of
server j with n users. Then every assignment costs at least

    sum_i u_i + sum_j min(0, min_n (sum of the n least of phi_ijn(y_jn) - u_i) - y_jn F)

where ``phi`` is the least cost of a task plus the price of its CPU: for each n the minimum is attained by the n tasks
of least ``phi - u``. The bound is as strong as the linear relaxation over sets of tasks per server. It is maximised by
subgradient ascent in ``u``, while the CPU price of each (server, number of users) is the best one of a grid: its term
is concave in the price, and the derivative is the demand for CPU beyond the server's capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.task_splitting import cheaper_mode

EPS = float(np.finfo(float).eps)
"""Machine epsilon of float64."""
PATIENCE = 12
"""Subgradient steps without progress after which the step size is halved."""
DEFLECTION = 0.5
"""Weight of the previous direction in a step."""
MIN_SCALE = 1e-5
"""Factor of the step size below which the ascent ends."""
MAX_STEPS, BLOCK = 1000, 20
"""Largest number of subgradient steps, and the most between two checks of the deadline."""
BLOCK_TASKS = 10_000_000
"""How often tasks are priced or sorted between two checks of the deadline, at most: about 0.4 s."""
RATIO, LEVELS = 1.1, 30
"""Grid of CPU prices: ratio of neighbours, and number of levels on either side of the start."""
RUN_RATIO, RUN_PRICE_RATIO = 1.15, 1.5
"""Where time is short: ratio of the numbers of users that have one price, and final bracket of that price."""
PRICE_STEPS, PRICE_TOLERANCE = 60, 1e-5
"""Bisection of the logarithm of a price: limit of steps, and final bracket; the bound's error is quadratic in it."""


@dataclass(frozen=True)
class SlotTasks:
    """The tasks of one slot as arrays for the compiled kernels.

    Attributes
    ----------
    tasks : array [tasks, sites, numbers, 5]
        `offloadopt.physics.task_splitting.Splitting.packed`, by server and number of its users.
    time_weight : float
        Weight of time in the cost; that of energy is ``1 - time_weight``.
    cpu_max_hz : float
        CPU of each server in Hz.
    """

    tasks: FloatArray
    time_weight: float
    cpu_max_hz: float

    @property
    def sites(self) -> int:
        """Number of servers."""
        return int(self.tasks.shape[1])


@dataclass(frozen=True)
class DualBound:
    """A valid lower bound with its dual prices.

    Attributes
    ----------
    value : float
        Lower bound of every assignment's cost.
    task_price : array [tasks]
        ``u``.
    cpu_price : array [sites, numbers]
        ``y``, per Hz.
    priced_cost : array [tasks, sites, numbers]
        ``phi`` at these prices.
    terms : array [sites, numbers]
        Term of the bound for each server and number of users.
    """

    value: float
    task_price: FloatArray
    cpu_price: FloatArray
    priced_cost: FloatArray
    terms: FloatArray


@njit(cache=True)
def _term(
    priced_cost: Any, cpu_demand: Any, task_price: Any, number: int, price: float, cpu_max: float, buffer: Any
) -> tuple[float, float]:
    """Term of the bound of a server with ``number`` users at a CPU price, and their CPU demand beyond ``cpu_max``."""
    count = len(task_price)
    for i in range(count):
        buffer[i] = priced_cost[i] - task_price[i]
    ordered = np.sort(buffer)
    total = 0.0
    for place in range(number):
        total += ordered[place]
    last, left, demand = ordered[number - 1], number, 0.0
    for i in range(count):
        if buffer[i] < last:
            demand += cpu_demand[i]
            left -= 1
    for i in range(count):
        if left > 0 and buffer[i] == last:
            demand += cpu_demand[i]
            left -= 1
    return total - price * cpu_max, demand - cpu_max


@njit(cache=True)
def _price_tasks(
    tasks: Any, site: int, number: int, price: float, time_weight: float, cpu_max: float, priced_cost: Any,
    cpu_demand: Any,
) -> None:  # fmt: skip
    """Fill ``phi`` and the CPU demand of every task on a server with ``number`` users at a CPU price."""
    for i in range(len(tasks)):
        priced_cost[i], cpu_demand[i], _ = cheaper_mode(price, tasks[i, site, number - 1], time_weight, cpu_max)


@njit(cache=True)
def _term_on_grid(
    tasks: Any, task_price: Any, prices: Any, time_weight: float, cpu_max: float, at: int, site: int, n: int,
    priced_cost: Any, cpu_demand: Any, known: Any, buffer: Any,
) -> tuple[float, float]:  # fmt: skip
    """`_term` of a server with ``n + 1`` users at level ``at`` of the grid, from the cache of `_evaluate`."""
    price = prices[at, site, n]
    cost, demand = priced_cost[site, n, at], cpu_demand[site, n, at]
    if not known[site, n, at]:
        _price_tasks(tasks, site, n + 1, price, time_weight, cpu_max, cost, demand)
        known[site, n, at] = True
    return _term(cost, demand, task_price, n + 1, price, cpu_max, buffer)


@njit(cache=True)
def _serve_least(priced_cost: Any, task_price: Any, number: int, buffer: Any, served: Any) -> None:
    """Add 1 to ``served [tasks]`` for the ``number`` tasks of least ``phi - u``."""
    count = len(task_price)
    for i in range(count):
        buffer[i] = priced_cost[i] - task_price[i]
    last, left = np.sort(buffer)[number - 1], number
    for i in range(count):
        if buffer[i] < last:
            served[i] += 1.0
            left -= 1
    for i in range(count):
        if left > 0 and buffer[i] == last:
            served[i] += 1.0
            left -= 1


@njit(cache=True)
def _evaluate(
    tasks: Any, task_price: Any, prices: Any, time_weight: float, cpu_max: float, level: Any, priced_cost: Any,
    cpu_demand: Any, known: Any, served: Any,
) -> Any:  # fmt: skip
    """Compute the bound at ``task_price``, with the CPU price of every server's least term maximised over its grid.

    ``prices [levels, sites, numbers]`` is the grid and ``level [sites, numbers]`` the present index, which changes.
    ``priced_cost`` and ``cpu_demand [sites, numbers, levels, tasks]`` are a cache, filled where ``known [sites,
    numbers, levels]`` is false. ``served [tasks]`` receives the number of servers that choose each task.
    """
    count, sites = tasks.shape[0], tasks.shape[1]
    terms, beyond, settled = np.empty(count), np.empty(count), np.empty(count, np.bool_)
    buffer = np.empty(count)
    served[:] = 0.0
    value = task_price.sum()
    for site in range(sites):
        for n in range(count):
            terms[n], beyond[n] = _term_on_grid(
                tasks, task_price, prices, time_weight, cpu_max, level[site, n], site, n,
                priced_cost, cpu_demand, known, buffer,
            )  # fmt: skip
            settled[n] = False
        least = int(np.argmin(terms))
        while not settled[least] and terms[least] < 0.0:
            step = 1 if beyond[least] > 0.0 else -1
            at = level[site, least] + step
            if at < 0 or at >= len(prices):
                settled[least] = True
                break
            term, more = _term_on_grid(
                tasks, task_price, prices, time_weight, cpu_max, at, site, least,
                priced_cost, cpu_demand, known, buffer,
            )  # fmt: skip
            if term > terms[least]:
                terms[least], beyond[least], level[site, least] = term, more, at
            else:
                settled[least] = True
            least = int(np.argmin(terms))
        if terms[least] < 0.0:
            value += terms[least]
            _serve_least(priced_cost[site, least, level[site, least]], task_price, least + 1, buffer, served)
    return value


@njit(cache=True)
def _ascend(
    tasks: Any, prices: Any, time_weight: float, cpu_max: float, upper: float, tolerance: float, steps: int,
    tables: Any, ascent: Any,
) -> bool:  # fmt: skip
    """Take ``steps`` subgradient steps of Polyak's size towards ``upper``; return whether the ascent has ended.

    ``tables`` are the arrays that `_evaluate` updates. ``ascent`` is the state between calls: ``task_price``,
    ``best_task_price``, ``direction``, ``served`` ``[tasks]``, and an array of value, best value, scale of the step and
    number of steps without progress.
    """
    level, priced_cost, cpu_demand, known = tables
    task_price, best_task_price, direction, served, numbers = ascent
    value, best, scale, stalled = numbers
    ended = False
    for _ in range(steps):
        ended = upper - best <= tolerance or scale < MIN_SCALE
        for i in range(len(task_price)):
            subgradient = 1.0 - served[i]
            direction[i] = DEFLECTION * direction[i] + (min(subgradient, 0.0) if task_price[i] >= 1.0 else subgradient)
        length = np.sum(direction * direction)
        ended = ended or length == 0.0
        if ended:
            break
        step_size = scale * max(upper - value, tolerance) / length
        for i in range(len(task_price)):
            task_price[i] = min(1.0, task_price[i] + step_size * direction[i])
        value = _evaluate(
            tasks, task_price, prices, time_weight, cpu_max, level, priced_cost, cpu_demand, known, served
        )
        stalled = 0.0 if value > best + 1e-3 * (upper - best) else stalled + 1.0
        if value > best:
            best = value
            best_task_price[:] = task_price
        if stalled >= PATIENCE:
            scale, stalled = 0.5 * scale, 0.0
            task_price[:] = best_task_price
            direction[:] = 0.0
            value = _evaluate(
                tasks, task_price, prices, time_weight, cpu_max, level, priced_cost, cpu_demand, known, served
            )
    numbers[:] = value, best, scale, stalled
    return ended


@njit(cache=True)
def _best_prices(
    tasks: Any, task_price: Any, time_weight: float, cpu_max: float, first: int, last: int, price: Any, out: Any,
    terms: Any,
) -> None:  # fmt: skip
    """Maximise terms over their CPU prices, by bisection on the logarithm of the price.

    Of the pairs of a server and a number of users those from ``first`` to ``last - 1``, server by server. ``price
    [sites, numbers]`` holds initial prices and receives the best ones; ``out [tasks, sites, numbers]`` receives ``phi``
    there, ``terms [sites, numbers]`` the terms.
    """
    count = tasks.shape[0]
    priced_cost, cpu_demand, buffer = np.empty(count), np.empty(count), np.empty(count)
    for pair in range(first, last):
        site, n = pair // count, pair % count
        best = 0.0
        _price_tasks(tasks, site, n + 1, best, time_weight, cpu_max, priced_cost, cpu_demand)
        top, beyond = _term(priced_cost, cpu_demand, task_price, n + 1, best, cpu_max, buffer)
        out[:, site, n] = priced_cost
        if beyond > 0.0:
            low, high = 0.0, 0.0
            at = price[site, n] if price[site, n] > 0.0 else 1.0 / cpu_max
            for _ in range(PRICE_STEPS):
                if low > 0.0 and high > 0.0:
                    if high <= low * (1.0 + PRICE_TOLERANCE):
                        break
                    at = np.sqrt(low * high)
                _price_tasks(tasks, site, n + 1, at, time_weight, cpu_max, priced_cost, cpu_demand)
                term, beyond = _term(priced_cost, cpu_demand, task_price, n + 1, at, cpu_max, buffer)
                if term > top:
                    top, best = term, at
                    out[:, site, n] = priced_cost
                if beyond > 0.0:
                    low = at
                    at *= 4.0
                else:
                    high = at
                    at /= 4.0
        price[site, n], terms[site, n] = best, top


@njit(cache=True)
def _quick_terms(
    tasks: Any, task_price: Any, time_weight: float, cpu_max: float, site: int, first: int, price: Any, terms: Any
) -> None:  # fmt: skip
    """Fill valid terms of a server with more than ``first`` users, and their CPU prices, by runs of numbers of users.

    A run has one price, and its tasks send as fast as with the number of users of the run at which they are fastest.
    """
    count = tasks.shape[0]
    rows = np.empty((count, 1, 1, tasks.shape[3]))
    priced_cost, cpu_demand, buffer = np.empty(count), np.empty(count), np.empty(count)
    at, begin = 1.0 / cpu_max, first
    while begin < count:
        end = min(max(begin + 1, int(RUN_RATIO * begin)), count)
        for i in range(count):
            rows[i, 0, 0] = tasks[i, site, begin]
            for n in range(begin + 1, end):
                rows[i, 0, 0, 1] = min(rows[i, 0, 0, 1], tasks[i, site, n, 1])
                rows[i, 0, 0, 2] = min(rows[i, 0, 0, 2], tasks[i, site, n, 2])
        low, high = 0.0, 0.0
        for _ in range(PRICE_STEPS):
            _price_tasks(rows, 0, 1, at, time_weight, cpu_max, priced_cost, cpu_demand)
            _, beyond = _term(priced_cost, cpu_demand, task_price, end, at, cpu_max, buffer)
            if beyond > 0.0:
                low = at
            else:
                high = at
            if low > 0.0 and high > 0.0:
                if high <= low * RUN_PRICE_RATIO:
                    break
                at = np.sqrt(low * high)
            else:
                at *= 2.0 if low > 0.0 else 0.5
                if at * cpu_max < 1e-6:  # the CPU is no bottleneck
                    break
        ordered = np.sort(priced_cost - task_price)
        total = -at * cpu_max
        for n in range(end):
            total += ordered[n]
            if n >= begin:
                terms[n], price[n] = total, at
        begin = end


def maximise_bound(slot: SlotTasks, start: DualBound, upper: float, tolerance: float, deadline: Deadline) -> DualBound:
    """Improve a bound by subgradient ascent until it is within ``tolerance`` of ``upper``, or makes no progress.

    CPU prices stay on a grid around those of ``start``; those of the result are optimal for its task prices.
    """
    if deadline.passed:
        return start
    time_weight, cpu_max, count = slot.time_weight, slot.cpu_max_hz, len(start.task_price)
    powers = RATIO ** np.arange(-LEVELS, LEVELS + 1, dtype=np.float64)
    prices = np.concatenate([np.zeros((1, *start.cpu_price.shape)), np.multiply.outer(powers, start.cpu_price)])
    shape = (slot.sites, count, len(prices))
    level = np.full(shape[:2], LEVELS + 1, dtype=np.int64)
    tables = (level, np.empty((*shape, count)), np.empty((*shape, count)), np.zeros(shape, np.bool_))
    task_price, served = start.task_price.copy(), np.empty(count)
    value = _evaluate(slot.tasks, task_price, prices, time_weight, cpu_max, *tables, served)
    ascent = (task_price, task_price.copy(), np.zeros(count), served, np.array([value, value, 1.0, 0.0]))
    ended, steps = False, 0
    block = max(1, min(BLOCK, BLOCK_TASKS // (slot.sites * count * count)))
    while not ended and steps < MAX_STEPS and not deadline.passed:
        block = min(block, MAX_STEPS - steps)
        ended = bool(_ascend(slot.tasks, prices, time_weight, cpu_max, upper, tolerance, block, tables, ascent))
        steps += block
    return max(start, bound_at(slot, ascent[1], start.cpu_price, deadline), key=lambda bound: bound.value)


def bound_at(slot: SlotTasks, task_price: FloatArray, price: FloatArray, deadline: Deadline) -> DualBound:
    """Compute the bound at ``task_price [tasks]`` with optimal CPU prices, found from ``price [sites, numbers]``.

    Where there are many, those left when the deadline passes get a lower term, with ``phi`` of ``-inf``: no bound.
    """
    count = len(task_price)
    cpu_price, priced_cost, terms = price.copy(), np.empty(slot.tasks.shape[:3]), np.empty((slot.sites, count))
    pairs, size = slot.sites * count, max(1, BLOCK_TASKS // (PRICE_STEPS * count))
    weights = slot.time_weight, slot.cpu_max_hz
    for first in range(0, pairs, size):
        if pairs > size and deadline.passed:
            for site in range(first // count, slot.sites):
                done = max(first - site * count, 0)
                _quick_terms(slot.tasks, task_price, *weights, site, done, cpu_price[site], terms[site])
                priced_cost[:, site, done:] = -np.inf
            break
        last = min(first + size, pairs)
        _best_prices(slot.tasks, task_price, *weights, first, last, cpu_price, priced_cost, terms)
    value = float(task_price.sum() + np.minimum(0.0, terms.min(axis=1)).sum())
    return DualBound(value, task_price, cpu_price, priced_cost, terms)


def rounding_margin(slot: SlotTasks, bound: DualBound) -> float:
    """Upper bound of the rounding error of the sums in `bound_at`."""
    largest_charge = bound.cpu_price[np.arange(slot.sites), bound.terms.argmin(axis=1)].max() * slot.cpu_max_hz
    tasks = len(bound.task_price)
    magnitude = (float(np.abs(bound.task_price).sum()) + tasks + float(largest_charge)) * (1 + slot.sites)
    return 8.0 * EPS * (tasks + 8) * magnitude


def servers_of_bound(bound: DualBound) -> IntArray:
    """Round the dual solution: for each task the server of least ``phi - u`` that chooses it, -1 if there is none."""
    reduced = bound.priced_cost - bound.task_price[:, None, None]
    best, server = np.zeros(len(bound.task_price)), np.full(len(bound.task_price), -1, dtype=np.int64)
    for site, number in enumerate(bound.terms.argmin(axis=1)):
        if bound.terms[site, number] >= 0:
            continue
        gain = reduced[:, site, number]
        members = np.argsort(gain, kind="stable")[: number + 1]
        better = members[(server[members] < 0) | (gain[members] < best[members])]
        server[better], best[better] = site, gain[better]
    return server


def undecided_options(bound: DualBound, priced_cost: FloatArray, upper: float) -> NDArray[np.bool_]:
    """Mark the options ``[modes, tasks, sites, numbers]`` that an assignment of cost at most ``upper`` may use.

    The bound excludes all others: a task that is forced onto server j with n users replaces the last of its n best
    tasks, and a server that is forced to have n users uses another term; the bound rises accordingly.

    Parameters
    ----------
    bound : DualBound
    priced_cost : array [modes, tasks, sites, numbers]
        ``phi`` of each mode at the CPU prices of ``bound``.
    upper : float
    """
    reduced = bound.priced_cost - bound.task_price[:, None, None]
    numbers = np.arange(reduced.shape[2])
    last = np.sort(reduced, axis=0)[numbers, :, numbers].T  # n-th smallest
    with np.errstate(invalid="ignore"):  # NaN where links are missing, which compares false
        forced = bound.terms + np.maximum(priced_cost - bound.task_price[:, None, None] - last, 0.0)
    usual = np.minimum(0.0, bound.terms.min(axis=1))
    kept: NDArray[np.bool_] = bound.value - usual[:, None] + forced <= upper
    return kept
