"""Lower bounds where servers are shared by number: pay for serving each task, and a price of each server's CPU.

Let task i be paid ``u_i <= 1`` for being served at all, 1 being its local cost, and let server j with n users charge
``y_jn`` for CPU. Then every assignment costs at least

    sum_i u_i + sum_j min(0, min_n (sum of the n least of phi_ijn(y_jn) - u_i) - y_jn F)

where ``phi`` is a task's least cost plus what its CPU is charged: for each n a server picks the n tasks that it gains
most from. This holds for all such ``u`` and all ``y >= 0``. The bound is as strong as the relaxation of the choice of
sets. It is climbed by subgradients in ``u``, while every (server, number) that counts keeps the best of a grid of
prices: its term is concave in the price, with the CPU asked for beyond the server's as the derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.task_splitting import cheaper_mode

EPS = float(np.finfo(float).eps)
PATIENCE = 12
"""Subgradient steps without progress after which the step is halved."""
DEFLECTION = 0.5
"""How much of the last direction a step keeps."""
LEAST_SCALE = 1e-5
MOST_STEPS, BLOCK = 1000, 20
"""Subgradient steps in all, and between two looks at the clock."""
RATIO, LEVELS = 1.1, 30
"""Grid of prices."""
PRICE_STEPS, PRICE_EXACT = 60, 1e-5
"""Halvings of a bracket of a price, in its logarithm, and the bracket that ends them: errors count squared."""


@dataclass(frozen=True)
class Slot:
    """One slot's tasks as compiled code takes them.

    Attributes
    ----------
    tasks : array [tasks, sites, numbers, 5]
        `offloadopt.physics.task_splitting.Splitting.packed`, by server and number of users there.
    time_weight : float
    cpu_max_hz : float
    """

    tasks: FloatArray
    time_weight: float
    cpu_max_hz: float

    @property
    def sites(self) -> int:
        """Number of servers."""
        return int(self.tasks.shape[1])


@dataclass(frozen=True)
class Bound:
    """A valid bound with what proves it.

    Attributes
    ----------
    value : float
    pay : array [tasks]
    price : array [sites, numbers]
    charged : array [tasks, sites, numbers]
        ``phi`` at these prices.
    terms : array [sites, numbers]
        The least cost of a server with so many users, each paid.
    """

    value: float
    pay: FloatArray
    price: FloatArray
    charged: FloatArray
    terms: FloatArray


@njit(cache=True)
def _term(
    charged: Any, asked: Any, pay: Any, number: int, price: float, most: float, buffer: Any
) -> tuple[float, float]:
    """A server's least cost with ``number`` users at a price, and the CPU that they ask for beyond ``most``."""
    count = len(pay)
    for i in range(count):
        buffer[i] = charged[i] - pay[i]
    ordered = np.sort(buffer)
    total = 0.0
    for place in range(number):
        total += ordered[place]
    last, left, demand = ordered[number - 1], number, 0.0
    for i in range(count):
        if buffer[i] < last:
            demand += asked[i]
            left -= 1
    for i in range(count):
        if left > 0 and buffer[i] == last:
            demand += asked[i]
            left -= 1
    return total - price * most, demand - most


@njit(cache=True)
def _charge(tasks: Any, site: int, number: int, price: float, bt: float, most: float, charged: Any, asked: Any) -> None:
    """``phi`` of every task, and the CPU that it would ask for, on a server with ``number`` users at a price."""
    for i in range(len(tasks)):
        charged[i], asked[i], _ = cheaper_mode(price, tasks[i, site, number - 1], bt, most)


@njit(cache=True)
def _evaluate(
    tasks: Any,
    pay: Any,
    prices: Any,
    bt: float,
    most: float,
    level: Any,
    charged: Any,
    asked: Any,
    known: Any,
    served: Any,
) -> Any:
    """The bound at ``pay``; every server's least term is brought to the top of its grid of prices first.

    ``prices [levels, sites, numbers]``; ``level [sites, numbers]`` moves along. ``charged`` and ``asked [sites,
    numbers, levels, tasks]`` are filled where ``known`` says that they are not yet. ``served [tasks]`` counts who
    serves a task.
    """
    count, sites = tasks.shape[0], tasks.shape[1]
    levels = len(prices)
    terms, beyond, settled = np.empty(count), np.empty(count), np.empty(count, np.bool_)
    buffer = np.empty(count)
    served[:] = 0.0
    value = pay.sum()
    for site in range(sites):
        for n in range(count):
            at = level[site, n]
            if not known[site, n, at]:
                _charge(tasks, site, n + 1, prices[at, site, n], bt, most, charged[site, n, at], asked[site, n, at])
                known[site, n, at] = True
            terms[n], beyond[n] = _term(
                charged[site, n, at], asked[site, n, at], pay, n + 1, prices[at, site, n], most, buffer
            )
            settled[n] = False
        least = int(np.argmin(terms))
        while not settled[least] and terms[least] < 0.0:
            way = 1 if beyond[least] > 0.0 else -1
            at = level[site, least] + way
            if at < 0 or at >= levels:
                settled[least] = True
                break
            if not known[site, least, at]:
                _charge(
                    tasks, site, least + 1, prices[at, site, least], bt, most,
                    charged[site, least, at], asked[site, least, at],
                )  # fmt: skip
                known[site, least, at] = True
            term, more = _term(
                charged[site, least, at], asked[site, least, at], pay, least + 1, prices[at, site, least], most, buffer
            )
            if term > terms[least]:
                terms[least], beyond[least], level[site, least] = term, more, at
            else:
                settled[least] = True
            least = int(np.argmin(terms))
        if terms[least] < 0.0:
            value += terms[least]
            at = level[site, least]
            for i in range(count):
                buffer[i] = charged[site, least, at, i] - pay[i]
            last = np.sort(buffer)[least]
            left = least + 1
            for i in range(count):
                if buffer[i] < last:
                    served[i] += 1.0
                    left -= 1
            for i in range(count):
                if left > 0 and buffer[i] == last:
                    served[i] += 1.0
                    left -= 1
    return value


@njit(cache=True)
def _climb(
    tasks: Any, prices: Any, bt: float, most: float, upper: float, enough: float, steps: int, tables: Any, ascent: Any
) -> bool:
    """Subgradient steps after Polyak, towards ``upper``; whether they are over.

    ``tables`` are the arrays that `_evaluate` keeps, ``ascent`` what the next call goes on with: ``pay``, ``best_pay``,
    ``direction``, ``served`` ``[tasks]``, and ``[value, best value, scale, steps without progress]``.
    """
    level, charged, asked, known = tables
    pay, best_pay, direction, served, numbers = ascent
    value, best, scale, stalled = numbers
    over = False
    for _ in range(steps):
        over = upper - best <= enough or scale < LEAST_SCALE
        for i in range(len(pay)):
            push = 1.0 - served[i]
            direction[i] = DEFLECTION * direction[i] + (min(push, 0.0) if pay[i] >= 1.0 else push)
        length = np.sum(direction * direction)
        over = over or length == 0.0
        if over:
            break
        stride = scale * max(upper - value, enough) / length
        for i in range(len(pay)):
            pay[i] = min(1.0, pay[i] + stride * direction[i])
        value = _evaluate(tasks, pay, prices, bt, most, level, charged, asked, known, served)
        stalled = 0.0 if value > best + 1e-3 * (upper - best) else stalled + 1.0
        if value > best:
            best = value
            best_pay[:] = pay
        if stalled >= PATIENCE:
            scale, stalled = 0.5 * scale, 0.0
            pay[:] = best_pay
            direction[:] = 0.0
            value = _evaluate(tasks, pay, prices, bt, most, level, charged, asked, known, served)
    numbers[:] = value, best, scale, stalled
    return over


@njit(cache=True)
def _best_prices(tasks: Any, pay: Any, bt: float, most: float, price: Any, out: Any) -> Any:
    """The terms [sites, numbers], each at its own best price; ``price [sites, numbers]`` is a start and changes.

    ``out [tasks, sites, numbers]`` gets ``phi`` there.
    """
    count, sites = tasks.shape[0], tasks.shape[1]
    terms = np.empty((sites, count))
    charged, asked, buffer = np.empty(count), np.empty(count), np.empty(count)
    for site in range(sites):
        for n in range(count):
            _charge(tasks, site, n + 1, 0.0, bt, most, charged, asked)
            top, beyond = _term(charged, asked, pay, n + 1, 0.0, most, buffer)
            best = 0.0
            out[:, site, n] = charged
            if beyond > 0.0:
                low, high = 0.0, 0.0
                at = price[site, n] if price[site, n] > 0.0 else 1.0 / most
                for _ in range(PRICE_STEPS):
                    if low > 0.0 and high > 0.0:
                        if high <= low * (1.0 + PRICE_EXACT):
                            break
                        at = np.sqrt(low * high)
                    _charge(tasks, site, n + 1, at, bt, most, charged, asked)
                    term, beyond = _term(charged, asked, pay, n + 1, at, most, buffer)
                    if term > top:
                        top, best = term, at
                        out[:, site, n] = charged
                    if beyond > 0.0:
                        low = at
                        at *= 4.0
                    else:
                        high = at
                        at /= 4.0
            price[site, n], terms[site, n] = best, top
    return terms


def climb(slot: Slot, start: Bound, upper: float, enough: float, deadline: float) -> Bound:
    """Ascent from a bound until it is ``enough`` below ``upper``, or stalls; every price on a grid around its start."""
    bt, most, count = slot.time_weight, slot.cpu_max_hz, len(start.pay)
    powers = RATIO ** np.arange(-LEVELS, LEVELS + 1, dtype=np.float64)
    prices = np.concatenate([np.zeros((1, *start.price.shape)), np.multiply.outer(powers, start.price)])
    shape = (slot.sites, count, len(prices))
    level = np.full(shape[:2], LEVELS + 1, dtype=np.int64)
    tables = (level, np.empty((*shape, count)), np.empty((*shape, count)), np.zeros(shape, np.bool_))
    pay, served = start.pay.copy(), np.empty(count)
    if clock() >= deadline:
        return start
    value = _evaluate(slot.tasks, pay, prices, bt, most, *tables, served)
    ascent = (pay, pay.copy(), np.zeros(count), served, np.array([value, value, 1.0, 0.0]))
    over, steps = False, 0
    while not over and steps < MOST_STEPS and clock() < deadline:
        over = bool(_climb(slot.tasks, prices, bt, most, upper, enough, BLOCK, tables, ascent))
        steps += BLOCK
    return max(start, bound_at(slot, ascent[1], start.price), key=lambda bound: bound.value)


def bound_at(slot: Slot, pay: FloatArray, price: FloatArray) -> Bound:
    """The bound at ``pay``, with the best prices, looked for from ``price [sites, numbers]``."""
    own, charged = price.copy(), np.empty(slot.tasks.shape[:3])
    terms = _best_prices(slot.tasks, pay, slot.time_weight, slot.cpu_max_hz, own, charged)
    value = float(pay.sum() + np.minimum(0.0, terms.min(axis=1)).sum())
    return Bound(value, pay, own, charged, terms)


def rounding(slot: Slot, bound: Bound) -> float:
    """More than the sums of `bound_at` can be wrong by."""
    dearest = bound.price[np.arange(slot.sites), bound.terms.argmin(axis=1)].max() * slot.cpu_max_hz
    magnitude = (float(np.abs(bound.pay).sum()) + len(bound.pay) + float(dearest)) * (1 + slot.sites)
    return 8.0 * EPS * (len(bound.pay) + 8) * magnitude


def served_by(bound: Bound) -> IntArray:
    """[tasks] the server that gains most from a task among those that the bound gives it to; -1 without any."""
    reduced = bound.charged - bound.pay[:, None, None]
    best, server = np.zeros(len(bound.pay)), np.full(len(bound.pay), -1, dtype=np.int64)
    for site, number in enumerate(bound.terms.argmin(axis=1)):
        if bound.terms[site, number] >= 0:
            continue
        gain = reduced[:, site, number]
        members = np.argsort(gain, kind="stable")[: number + 1]
        better = members[(server[members] < 0) | (gain[members] < best[members])]
        server[better], best[better] = site, gain[better]
    return server


def possible(bound: Bound, charged: FloatArray, upper: float) -> NDArray[np.bool_]:
    """[modes, tasks, sites, numbers] what an assignment below ``upper`` may use, at mode's ``phi`` of this shape.

    With the bound's own pay and prices: whoever is forced onto (j, n) replaces the last of its n best, and the bound
    rises by as much; likewise when another number of users is forced onto a server.
    """
    reduced = bound.charged - bound.pay[:, None, None]
    numbers = np.arange(reduced.shape[2])
    last = np.sort(reduced, axis=0)[numbers, :, numbers].T  # the n-th least
    with np.errstate(invalid="ignore"):  # NaN where links are missing, which the comparison leaves out
        forced = bound.terms + np.maximum(charged - bound.pay[:, None, None] - last, 0.0)
    usual = np.minimum(0.0, bound.terms.min(axis=1))
    kept: NDArray[np.bool_] = bound.value - usual[:, None] + forced <= upper
    return kept
