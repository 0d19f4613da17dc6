"""CPUs and bands shared optimally among given tasks, and what tasks ask for at prices: the kernels of `exact`.

A server's tasks share its CPU and its band. Given who they are this is convex; priced, it falls apart into tasks
(`edge_inference.best_shares`), so that two prices settle it: where no time limit binds, each resource by
itself; else the price of the band is settled anew for every price of CPU. A user's own CPU has one price. Whatever
prices are found, the least costs at them less the prices are a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.edge_inference import InferenceTasks, best_band, best_cpu, best_shares, send_factor
from offloadopt.structures.inference import CostWeights

SETTLED = 1e-12
"""Relative part of a resource that may stay unused, or be asked for too much."""
STEPS = 120
FIRST = 1.0
PATIENT, DEAREST = 12, 1e12
"""Steps after which a price that is still too low grows eightfold; beyond the dearest, sums would lose their digits."""


@dataclass(frozen=True)
class Slot:
    """One slot's tasks as compiled code takes them, in the order of users and places.

    Attributes
    ----------
    user, place : array [tasks]
    first : array [users + 1]
        Each user's first task.
    local : array [tasks, 5]
        Options, see `offloadopt.physics.edge_inference`; energies are charged at the joule's price, and the user's own.
    away : array [tasks, servers, 5]
    second, limit_s, failure : float
    failing : array [tasks]
        What a task counts for that fails: ``failure`` and the price of its user's failures.
    """

    user: IntArray
    place: IntArray
    first: IntArray
    local: FloatArray
    away: FloatArray
    second: float
    limit_s: float
    failure: float
    failing: FloatArray

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.user)

    @property
    def servers(self) -> int:
        """Number of servers."""
        return int(self.away.shape[1])


def slot_of(
    tasks: InferenceTasks,
    prices: CostWeights,
    drain_price: FloatArray,
    looseness: float,
    failure_price: FloatArray | None = None,
) -> Slot:
    """A slot of tasks ``[users, places]`` whose batteries charge ``drain_price [users]`` for a joule.

    The time limit is relaxed by the relative ``looseness``. Failures can be dearer by ``failure_price [users]``.
    """
    user, place = np.nonzero(tasks.present)
    own = prices.per_joule + drain_price[user]
    server = prices.per_joule + (drain_price[user] if prices.drains else np.zeros(len(user)))
    nothing = np.zeros(len(user))
    local = np.stack([tasks.local_s[user, place], own * tasks.local_j[user, place], nothing, nothing, nothing], axis=-1)
    sent = np.broadcast_to((own * tasks.power_w[user])[:, None], (len(user), tasks.snr.shape[-1]))
    away = np.stack(
        [
            tasks.server_s[user, place],
            server[:, None] * tasks.server_j[user, place],
            tasks.send_s[user, place],
            tasks.snr[user],
            sent,
        ],
        axis=-1,
    )
    first = np.searchsorted(user, np.arange(len(tasks.present) + 1))
    limit_s = prices.limit_s * (1.0 + looseness)
    failing = np.full(len(user), prices.failure) if failure_price is None else prices.failure + failure_price[user]
    return Slot(
        user, place, first, local, np.ascontiguousarray(away), prices.per_second, limit_s, prices.failure, failing
    )


@njit(cache=True)
def _narrow(bracket: Any, price: float, total: float, step: int) -> float:
    """The next price in the search of the one at which 1 is asked for; 0 when it is found.

    ``bracket`` holds a price that is too low with what is asked for there, and one that is too high.
    """
    if abs(total - 1.0) <= SETTLED:
        return 0.0
    if total > 1.0:
        bracket[0], bracket[1] = price, total
    else:
        bracket[2], bracket[3] = price, total
    if bracket[2] == 0.0:
        # Where tasks cannot be in time no price is enough: only a steep one proves it.
        if price > DEAREST:
            return 0.0
        return price * (8.0 if total > 4.0 or step >= PATIENT else max(total * total, 1.0 + 1e-9) * 1.01)
    if bracket[0] == 0.0:
        return price * max(total * total / 1.01, 1e-3)
    if bracket[2] <= bracket[0] * (1.0 + 4e-16):
        return 0.0
    part = 0.5
    if step % 4 != 3 and bracket[3] > 0.0 and bracket[1] > bracket[3]:
        part = np.log(bracket[1]) / np.log(bracket[1] / bracket[3])
    return float(bracket[0] * (bracket[2] / bracket[0]) ** min(max(part, 1e-3), 0.999))


@njit(cache=True)
def settle_device(number: int, rows: Any, second: float, limit: float, cpu: Any) -> tuple[float, float]:
    """A user's own CPU shared among the first ``number`` rows: the least cost, never above it, and the price.

    Fills ``cpu``. ``inf`` if the tasks cannot all meet the limit.
    """
    needed = 0.0
    for i in range(number):
        needed += rows[i, 0] / limit
    if needed > 1.0:
        return np.inf, 0.0
    price, bracket = 0.0, np.zeros(4)
    value = 0.0
    for step in range(STEPS):
        total, value = 0.0, -price
        for i in range(number):
            share = max(best_cpu(second * rows[i, 0], rows[i, 1], price), rows[i, 0] / limit)
            cpu[i] = share
            total += share
            value += second * rows[i, 0] / share + rows[i, 1] * share * share + price * share
        if price == 0.0:
            if total <= 1.0:
                break
            price = FIRST
            continue
        following = _narrow(bracket, price, total, step)
        if following == 0.0:
            break
        price = following
        if price > 1e18:
            break
    return value, price


@njit(cache=True)
def _cpu_alone(number: int, rows: Any, weight: Any, second: float, start: float, cpu: Any) -> float:
    """The price of CPU where no limit binds."""
    price, bracket = 0.0, np.zeros(4)
    for step in range(STEPS):
        total = 0.0
        for i in range(number):
            cpu[i] = best_cpu(second * rows[i, 0], rows[i, 1], price)
            total += weight[i] * cpu[i]
        if price == 0.0:
            if total <= 1.0:
                break
            price = start
            continue
        following = _narrow(bracket, price, total, step)
        if following == 0.0:
            break
        price = following
    return price


@njit(cache=True)
def _band_alone(number: int, rows: Any, weight: Any, second: float, start: float, band: Any) -> float:
    """The price of the band where no limit binds: all of it is always used."""
    whole = 0.0
    for i in range(number):
        whole += weight[i]
    if whole <= 1.0:
        for i in range(number):
            band[i] = 1.0
        return 0.0
    price, bracket = start, np.zeros(4)
    for step in range(STEPS):
        total = 0.0
        for i in range(number):
            band[i] = best_band((second + rows[i, 4]) * rows[i, 2], price, rows[i, 3])
            total += weight[i] * band[i]
        following = _narrow(bracket, price, total, step)
        if following == 0.0:
            break
        price = following
    return price


@njit(cache=True)
def _priced(
    number: int, rows: Any, weight: Any, second: float, limit: float, q: float, w: float, cpu: Any, band: Any
) -> tuple[float, float, float]:
    """Lower bound at prices, and what is asked for of CPU and band."""
    value, asked_cpu, asked_band = -q - w, 0.0, 0.0
    for i in range(number):
        least, u, v = best_shares(rows[i], second, limit, q, w)
        cpu[i], band[i] = u, v
        value += weight[i] * least
        asked_cpu += weight[i] * u
        asked_band += weight[i] * v
    return value, asked_cpu, asked_band


@njit(cache=True)
def _band_within(
    number: int, rows: Any, weight: Any, second: float, limit: float, q: float, w: float, most: float, cpu: Any,
    band: Any,
) -> tuple[float, float, float]:  # fmt: skip
    """The band settled at a price of CPU, within the limit: value, price of the band, what is asked for of CPU."""
    value, asked_cpu, asked_band = _priced(number, rows, weight, second, limit, q, 0.0, cpu, band)
    if asked_band <= 1.0 or value > most:
        return value, 0.0, asked_cpu
    price, bracket = w if w > 0.0 else FIRST, np.zeros(4)
    for step in range(STEPS):
        value, asked_cpu, asked_band = _priced(number, rows, weight, second, limit, q, price, cpu, band)
        following = _narrow(bracket, price, asked_band, step)
        if following == 0.0 or value > most:
            break
        price = following
    return value, price, asked_cpu


@njit(cache=True)
def settle_server(
    number: int, rows: Any, weight: Any, second: float, limit: float, most: float, prices: Any, cpu: Any, band: Any
) -> float:
    """A server shared among the first ``number`` rows: the least cost, never above it; ``inf`` if beyond ``most``.

    Fills the shares and ``prices`` of CPU and band; ``prices`` also say where to begin. A ``weight`` other than 1
    counts a task in part.
    """
    if number == 0:
        prices[0] = prices[1] = 0.0
        return 0.0
    for i in range(number):
        fastest = rows[i, 0] + rows[i, 2] * send_factor(1.0, rows[i, 3])
        if not fastest <= limit:
            return np.inf
    q = _cpu_alone(number, rows, weight, second, prices[0] if prices[0] > 0.0 else FIRST, cpu)
    w = _band_alone(number, rows, weight, second, prices[1] if prices[1] > 0.0 else FIRST, band)
    meets = True
    value = -q - w
    for i in range(number):
        send = rows[i, 2] * send_factor(band[i], rows[i, 3])
        meets = meets and rows[i, 0] / cpu[i] + send <= limit
        cost = second * rows[i, 0] / cpu[i] + rows[i, 1] * cpu[i] ** 2 + (second + rows[i, 4]) * send
        value += weight[i] * (cost + q * cpu[i] + w * band[i])
    if meets:
        prices[0], prices[1] = q, w
        return value if value <= most else np.inf
    # Within the limit: the value at the best price of the band is concave in the price of CPU.
    value, w, asked = _band_within(number, rows, weight, second, limit, 0.0, w, most, cpu, band)
    price = 0.0
    if asked > 1.0 and value <= most:
        price, bracket = q if q > 0.0 else FIRST, np.zeros(4)
        for step in range(STEPS):
            value, w, asked = _band_within(number, rows, weight, second, limit, price, w, most, cpu, band)
            following = _narrow(bracket, price, asked, step)
            if following == 0.0 or value > most:
                break
            price = following
    prices[0], prices[1] = price, w
    return value if value <= most else np.inf


@njit(cache=True)
def local_costs(first: Any, local: Any, second: float, limit: float, sets: int) -> Any:
    """``[users, sets]`` what each set of a user's tasks costs at home, sets numbered by bits; ``inf`` for too many."""
    users = len(first) - 1
    costs = np.full((users, sets), np.inf)
    rows, cpu = np.empty((32, local.shape[1])), np.empty(32)
    for i in range(users):
        size = first[i + 1] - first[i]
        for chosen in range(1 << size):
            number = 0
            for j in range(size):
                if chosen >> j & 1:
                    rows[number] = local[first[i] + j]
                    number += 1
            costs[i, chosen], _ = settle_device(number, rows, second, limit, cpu)
    return costs


@njit(cache=True)
def charges(away: Any, second: float, limit: float, q: Any, w: Any) -> Any:
    """``[tasks, servers]`` each task's least cost plus prices on each server; ``inf`` out of reach of the limit."""
    found = np.empty(away.shape[:2])
    for j in range(away.shape[0]):
        for k in range(away.shape[1]):
            found[j, k], _, _ = best_shares(away[j, k], second, limit, q[k], w[k])
    return found


@njit(cache=True)
def allocate(option: Any, first: Any, local: Any, away: Any, second: float, limit: float, failure: float) -> Any:
    """``[tasks, 2]`` shares of CPU and band for options ``[tasks]``: -1 fails, 0 own CPU, j server j.

    They are 0 for who fails, and where tasks together cannot meet their limits.
    """
    tasks, servers = away.shape[0], away.shape[1]
    shares = np.zeros((tasks, 2))
    rows, members = np.empty((tasks, 5)), np.empty(tasks, np.int64)
    cpu, band, weight, prices = np.empty(tasks), np.empty(tasks), np.ones(tasks), np.zeros(2)
    for i in range(len(first) - 1):
        number = 0
        for j in range(first[i], first[i + 1]):
            if option[j] == 0:
                rows[number], members[number] = local[j], j
                number += 1
        cost, _ = settle_device(number, rows, second, limit, cpu)
        for place in range(number):
            shares[members[place], 0] = cpu[place] if np.isfinite(cost) else 0.0
    for k in range(servers):
        number = 0
        for j in range(tasks):
            if option[j] == k + 1:
                rows[number], members[number] = away[j, k], j
                number += 1
        prices[:] = 0.0
        least = settle_server(number, rows, weight, second, limit, 4.0 * failure * number, prices, cpu, band)
        for place in range(number):
            if np.isfinite(least):
                shares[members[place], 0], shares[members[place], 1] = cpu[place], band[place]
    return shares
