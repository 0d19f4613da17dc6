"""Optimal shares of CPUs and bands for given tasks, by clearing prices (compiled kernels).

A server's tasks share its CPU and its band. For a given set of tasks the problem is convex; with prices of the two
resources it separates into tasks (`edge_inference.best_shares`), so that two clearing prices solve it: where no time
limit binds, each resource has its own price search; otherwise the price of the band is searched for every price of
CPU. A user's own CPU has one price. At any prices, the least priced costs less the prices are a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.edge_inference import InferenceTasks, best_band, best_cpu, best_shares, send_factor
from offloadopt.structures.inference import CostWeights

CLEARING_TOLERANCE = 1e-12
"""Relative excess of supply or demand of a resource at which its price counts as clearing."""
STEPS = 120
"""Largest number of prices tried in a search."""
FIRST_PRICE = 1.0
"""First positive price of a search."""
PATIENCE, LARGEST_PRICE = 12, 1e12
"""Steps after which a price that is still too low or too high changes eightfold; price above which sums lose their
digits."""


@dataclass(frozen=True)
class SlotTasks:
    """Tasks of one slot as arrays for compiled code, in the order of users and places.

    Attributes
    ----------
    user, place : array [tasks]
        User and place of each task.
    first_task : array [users + 1]
        Index of each user's first task.
    local : array [tasks, 5]
        Rows of the own CPU, see `offloadopt.physics.edge_inference`; energies are multiplied by the cost of a joule
        plus the price of the user's battery.
    remote : array [tasks, servers, 5]
        Rows of the servers.
    second_price, limit_s, failure : float
        Cost of a second, time limit, cost of a failure.
    failure_costs : array [tasks]
        Cost of each task's failure: ``failure`` plus the price of its user's failures.
    """

    user: IntArray
    place: IntArray
    first_task: IntArray
    local: FloatArray
    remote: FloatArray
    second_price: float
    limit_s: float
    failure: float
    failure_costs: FloatArray

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return len(self.user)

    @property
    def servers(self) -> int:
        """Number of servers."""
        return int(self.remote.shape[1])


def slot_tasks(
    tasks: InferenceTasks,
    weights: CostWeights,
    drain_price: FloatArray,
    limit_tolerance: float,
    failure_price: FloatArray | None = None,
) -> SlotTasks:
    """Build a slot from tasks ``[users, places]``, with prices ``drain_price [users]`` of a joule of each battery.

    The time limit is relaxed by the relative ``limit_tolerance``; ``failure_price [users]`` is added to the cost of
    failures.
    """
    user, place = np.nonzero(tasks.present)
    own_joule_price = weights.per_joule + drain_price[user]
    server_joule_price = weights.per_joule + (drain_price[user] if weights.server_drains else np.zeros(len(user)))
    zeros = np.zeros(len(user))
    local = np.stack(
        [tasks.local_s[user, place], own_joule_price * tasks.local_j[user, place], zeros, zeros, zeros], axis=-1
    )
    sending_price = np.broadcast_to((own_joule_price * tasks.power_w[user])[:, None], (len(user), tasks.snr.shape[-1]))
    remote = np.stack(
        [
            tasks.server_s[user, place],
            server_joule_price[:, None] * tasks.server_j[user, place],
            tasks.send_s[user, place],
            tasks.snr[user],
            sending_price,
        ],
        axis=-1,
    )
    first_task = np.searchsorted(user, np.arange(len(tasks.present) + 1))
    limit_s = weights.limit_s * (1.0 + limit_tolerance)
    failure_costs = (
        np.full(len(user), weights.failure) if failure_price is None else weights.failure + failure_price[user]
    )
    return SlotTasks(
        user,
        place,
        first_task,
        local,
        np.ascontiguousarray(remote),
        weights.per_second,
        limit_s,
        weights.failure,
        failure_costs,
    )


@njit(cache=True)
def _next_price(bracket: Any, price: float, total: float, step: int) -> float:
    """Next price in the search for the clearing price, at which the total demand is 1; 0 when it is found.

    ``bracket`` holds a price that is too low with its demand, and one that is too high with its demand.
    """
    if abs(total - 1.0) <= CLEARING_TOLERANCE:
        return 0.0
    if total > 1.0:
        bracket[0], bracket[1] = price, total
    else:
        bracket[2], bracket[3] = price, total
    if bracket[2] == 0.0:
        # Where tasks cannot meet the limit no price clears: a very large one proves it.
        if price > LARGEST_PRICE:
            return 0.0
        return price * (8.0 if total > 4.0 or step >= PATIENCE else max(total * total, 1.0 + 1e-9) * 1.01)
    if bracket[0] == 0.0:
        # Where a resource is nearly enough without a price, the demand says little about how low the price must be.
        return price * (0.125 if step >= PATIENCE else max(total * total / 1.01, 1e-3))
    if bracket[2] <= bracket[0] * (1.0 + 4e-16):
        return 0.0
    part = 0.5
    if step % 4 != 3 and bracket[3] > 0.0 and bracket[1] > bracket[3]:
        part = np.log(bracket[1]) / np.log(bracket[1] / bracket[3])
    return float(bracket[0] * (bracket[2] / bracket[0]) ** min(max(part, 1e-3), 0.999))


@njit(cache=True)
def share_local_cpu(number: int, rows: Any, second_price: float, limit: float, cpu: Any) -> tuple[float, float]:
    """Share a user's own CPU among the first ``number`` rows: a lower bound that meets the least cost, and the price.

    Writes the shares to ``cpu``. The cost is ``inf`` if the tasks cannot all meet the limit.
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
            share = max(best_cpu(second_price * rows[i, 0], rows[i, 1], price), rows[i, 0] / limit)
            cpu[i] = share
            total += share
            value += second_price * rows[i, 0] / share + rows[i, 1] * share * share + price * share
        if price == 0.0:
            if total <= 1.0:
                break
            price = FIRST_PRICE
            continue
        next_price = _next_price(bracket, price, total, step)
        if next_price == 0.0:
            break
        price = next_price
        if price > 1e18:
            break
    return value, price


@njit(cache=True)
def _cpu_clearing_price(number: int, rows: Any, weight: Any, second_price: float, start: float, cpu: Any) -> float:
    """Clearing price of the CPU where no time limit binds."""
    price, bracket = 0.0, np.zeros(4)
    for step in range(STEPS):
        total = 0.0
        for i in range(number):
            cpu[i] = best_cpu(second_price * rows[i, 0], rows[i, 1], price)
            total += weight[i] * cpu[i]
        if price == 0.0:
            if total <= 1.0:
                break
            price = start
            continue
        next_price = _next_price(bracket, price, total, step)
        if next_price == 0.0:
            break
        price = next_price
    return price


@njit(cache=True)
def _band_clearing_price(number: int, rows: Any, weight: Any, second_price: float, start: float, band: Any) -> float:
    """Clearing price of the band where no time limit binds; the whole band is always used."""
    weight_sum = 0.0
    for i in range(number):
        weight_sum += weight[i]
    if weight_sum <= 1.0:
        for i in range(number):
            band[i] = 1.0
        return 0.0
    price, bracket = start, np.zeros(4)
    for step in range(STEPS):
        total = 0.0
        for i in range(number):
            band[i] = best_band((second_price + rows[i, 4]) * rows[i, 2], price, rows[i, 3])
            total += weight[i] * band[i]
        next_price = _next_price(bracket, price, total, step)
        if next_price == 0.0:
            break
        price = next_price
    return price


@njit(cache=True)
def _lagrangian(
    number: int, rows: Any, weight: Any, second_price: float, limit: float, q: float, w: float, cpu: Any, band: Any
) -> tuple[float, float, float]:
    """Lower bound at prices q and w, and the demand for CPU and band."""
    value, asked_cpu, asked_band = -q - w, 0.0, 0.0
    for i in range(number):
        least, u, v = best_shares(rows[i], second_price, limit, q, w)
        cpu[i], band[i] = u, v
        value += weight[i] * least
        asked_cpu += weight[i] * u
        asked_band += weight[i] * v
    return value, asked_cpu, asked_band


@njit(cache=True)
def _band_price_within_limit(
    number: int, rows: Any, weight: Any, second_price: float, limit: float, q: float, w: float, cost_limit: float,
    cpu: Any, band: Any,
) -> tuple[float, float, float]:  # fmt: skip
    """Clearing price of the band at a price q of CPU, within the time limit: bound, price, and demand for CPU."""
    value, asked_cpu, asked_band = _lagrangian(number, rows, weight, second_price, limit, q, 0.0, cpu, band)
    if asked_band <= 1.0 or value > cost_limit:
        return value, 0.0, asked_cpu
    price, bracket = w if w > 0.0 else FIRST_PRICE, np.zeros(4)
    for step in range(STEPS):
        value, asked_cpu, asked_band = _lagrangian(number, rows, weight, second_price, limit, q, price, cpu, band)
        next_price = _next_price(bracket, price, asked_band, step)
        if next_price == 0.0 or value > cost_limit:
            break
        price = next_price
    return value, price, asked_cpu


@njit(cache=True)
def share_server(
    number: int, rows: Any, weight: Any, second_price: float, limit: float, cost_limit: float, prices: Any, cpu: Any,
    band: Any,
) -> float:  # fmt: skip
    """Share a server among the first ``number`` rows; a lower bound that meets the least cost, or ``inf``.

    The result is ``inf`` where the tasks cannot meet the limit or the cost exceeds ``cost_limit``. Writes the shares to
    ``cpu`` and ``band`` and the clearing prices to ``prices``, which also give the first prices tried. A ``weight``
    below 1 counts a fraction of a task.
    """
    if number == 0:
        prices[0] = prices[1] = 0.0
        return 0.0
    for i in range(number):
        if rows[i, 3] <= 0.0:  # a missing link
            return np.inf
        fastest = rows[i, 0] + rows[i, 2] * send_factor(1.0, rows[i, 3])
        if not fastest <= limit:
            return np.inf
    q = _cpu_clearing_price(number, rows, weight, second_price, prices[0] if prices[0] > 0.0 else FIRST_PRICE, cpu)
    w = _band_clearing_price(number, rows, weight, second_price, prices[1] if prices[1] > 0.0 else FIRST_PRICE, band)
    within_limit = True
    value = -q - w
    for i in range(number):
        send = rows[i, 2] * send_factor(band[i], rows[i, 3])
        within_limit = within_limit and rows[i, 0] / cpu[i] + send <= limit
        cost = second_price * rows[i, 0] / cpu[i] + rows[i, 1] * cpu[i] ** 2 + (second_price + rows[i, 4]) * send
        value += weight[i] * (cost + q * cpu[i] + w * band[i])
    if within_limit:
        prices[0], prices[1] = q, w
        return value if value <= cost_limit else np.inf
    # The time limit binds: the bound at the band's clearing price is concave in the price of CPU.
    value, w, asked = _band_price_within_limit(number, rows, weight, second_price, limit, 0.0, w, cost_limit, cpu, band)
    price = 0.0
    if asked > 1.0 and value <= cost_limit:
        price, bracket = q if q > 0.0 else FIRST_PRICE, np.zeros(4)
        for step in range(STEPS):
            value, w, asked = _band_price_within_limit(
                number, rows, weight, second_price, limit, price, w, cost_limit, cpu, band
            )
            next_price = _next_price(bracket, price, asked, step)
            if next_price == 0.0 or value > cost_limit:
                break
            price = next_price
    prices[0], prices[1] = price, w
    return value if value <= cost_limit else np.inf


@njit(cache=True)
def local_set_costs(first_task: Any, local: Any, second_price: float, limit: float, sets: int) -> Any:
    """``[users, sets]`` cost of each set of a user's tasks on its own CPU, numbered by bits; ``inf`` if infeasible."""
    users = len(first_task) - 1
    costs = np.full((users, sets), np.inf)
    rows, cpu = np.empty((32, local.shape[1])), np.empty(32)
    for i in range(users):
        size = first_task[i + 1] - first_task[i]
        for chosen in range(1 << size):
            number = 0
            for j in range(size):
                if chosen >> j & 1:
                    rows[number] = local[first_task[i] + j]
                    number += 1
            costs[i, chosen], _ = share_local_cpu(number, rows, second_price, limit, cpu)
    return costs


@njit(cache=True)
def priced_costs(remote: Any, second_price: float, limit: float, q: Any, w: Any) -> Any:
    """``[tasks, servers]`` least cost plus prices of each task on each server; ``inf`` where it misses the limit."""
    found = np.empty(remote.shape[:2])
    for j in range(remote.shape[0]):
        for k in range(remote.shape[1]):
            found[j, k], _, _ = best_shares(remote[j, k], second_price, limit, q[k], w[k])
    return found


@njit(cache=True)
def allocate(
    option: Any, first_task: Any, local: Any, remote: Any, second_price: float, limit: float, failure: float
) -> Any:
    """Compute optimal shares ``[tasks, 2]`` of CPU and band for options ``[tasks]``: -1 fails, 0 own CPU, j server j.

    Shares are 0 for tasks that fail, and where the tasks of a CPU cannot all meet the limit.
    """
    shares = np.zeros((len(option), 2))
    allocated_cost(option, first_task, local, remote, second_price, limit, 4.0 * failure, shares)
    return shares


@njit(cache=True)
def allocated_cost(
    option: Any, first_task: Any, local: Any, remote: Any, second_price: float, limit: float, most: float, shares: Any
) -> float:
    """Write optimal shares as `allocate` does; a lower bound of the options' cost without failures, or ``inf``.

    The bound meets the least cost. It is ``inf``, with shares of 0, where the tasks of a CPU cannot all meet the limit,
    and where a server's tasks cost more than ``most`` each.
    """
    tasks, servers = remote.shape[0], remote.shape[1]
    rows, members = np.empty((tasks, 5)), np.empty(tasks, np.int64)
    cpu, band, weight, prices = np.empty(tasks), np.empty(tasks), np.ones(tasks), np.zeros(2)
    total = 0.0
    for i in range(len(first_task) - 1):
        number = 0
        for j in range(first_task[i], first_task[i + 1]):
            if option[j] == 0:
                rows[number], members[number] = local[j], j
                number += 1
        cost, _ = share_local_cpu(number, rows, second_price, limit, cpu)
        total += cost
        for position in range(number):
            shares[members[position], 0] = cpu[position] if np.isfinite(cost) else 0.0
    for k in range(servers):
        number = 0
        for j in range(tasks):
            if option[j] == k + 1:
                rows[number], members[number] = remote[j, k], j
                number += 1
        if number == 0:
            continue
        prices[:] = 0.0
        least = share_server(number, rows, weight, second_price, limit, most * number, prices, cpu, band)
        total += least
        for position in range(number):
            if np.isfinite(least):
                shares[members[position], 0], shares[members[position], 1] = cpu[position], band[position]
    return total
