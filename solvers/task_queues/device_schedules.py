"""Cheapest schedule of one device at given prices: which tasks it completes, and in which modes.

Tasks queue in their real order, and each start follows from those chosen before. Among partial schedules that end with
the same task, one that is neither cheaper nor free earlier than another is never better: cycles left at the deadline
run in the fastest mode, so that a later start neither saves energy nor ends earlier. The rest is a front of pairs
(time at which the queue is free, cost), which is merged task by task. For each number of transmitters of a slot, those
whose tasks are completed are any of at most that number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.dvfs import execution_times
from offloadopt.solvers.task_queues.tables import Tables

UNTIL_S = 1e-9
"""Seconds by which a disconnection is taken to be later, so that rounding excludes no schedule."""


class Prices(NamedTuple):
    """Prices of a relaxation.

    Attributes
    ----------
    task : array [horizon, agents]
        Reward for the completion of a task.
    joule, send : array [devices]
        Price of a joule from a battery, that of ageing included: for receptions and executions, for transmissions.
    """

    task: FloatArray
    joule: FloatArray
    send: FloatArray


class Fronts(NamedTuple):
    """Working space of `cheapest_schedule`: fronts by number of senders, and the tree of choices.

    ``front_s``, ``value`` and ``node [numbers, labels]`` with ``size [numbers]``; the last rows are scratch. Node n of
    the tree adds ``choice[n]`` (slot, agent, mode, senders) to node ``parent[n]``; ``used[0]`` nodes are in use.
    """

    free_s: FloatArray
    value: FloatArray
    node: IntArray
    size: IntArray
    parent: IntArray
    choice: IntArray
    used: IntArray


def fronts(t: Tables, labels: int = 4096, nodes: int = 2_000_000) -> Fronts:
    """Make the working space."""
    numbers = 2 * t.arrives.shape[1] + 6
    return Fronts(
        np.zeros((numbers, labels)),
        np.zeros((numbers, labels)),
        np.zeros((numbers, labels), dtype=np.int64),
        np.zeros(numbers, dtype=np.int64),
        np.zeros(nodes, dtype=np.int64),
        np.zeros((nodes, 4), dtype=np.int64),
        np.zeros(1, dtype=np.int64),
    )


@njit(cache=True, _nrt=False, forceinline=True)
def _execution_j(t: Tables, slot: int, a: int, d: int, k: int, start_s: float) -> tuple[float, float]:
    """Least energy of an execution that starts at a time or later, and its end for a start at that time."""
    speed, power, full_speed, full_power = t.speed_hz[d, k], t.power_w[d, k], t.speed_hz[d, 0], t.power_w[d, 0]
    chosen_s, full_s = execution_times(t.cycles[slot, a], speed, full_speed, t.deadline_s[slot, a] - start_s)
    if power * full_speed > full_power * speed:  # the fastest mode saves energy
        return t.cycles[slot, a] * full_power / full_speed, start_s + chosen_s + full_s
    return chosen_s * power + full_s * full_power, start_s + chosen_s + full_s


@njit(cache=True, _nrt=False)
def _extend(
    t: Tables, p: Prices, w: Fronts, source: int, into: int, slot: int, a: int, d: int, senders: int
) -> None:  # fmt: skip
    """Merge schedules of front ``source`` with one task more into front ``into``."""
    scratch, arrival_s, fixed = len(w.size) - 1, t.begin_s[slot], -p.task[slot, a]
    until_s = np.inf
    rate = t.joule_price[slot, a] + p.joule[d]
    if d != a:
        seconds = t.send_s[slot, a, d, senders - 1]
        arrival_s += seconds
        fixed += seconds * t.link_w[d] * (rate + t.joule_price[slot, a] + p.send[a])
        until_s = t.until_s[slot, a, d] + UNTIL_S
    for k in range(t.speed_hz.shape[1]):
        least_j, end_s = _execution_j(t, slot, a, d, k, arrival_s)
        if fixed + rate * least_j >= 0.0 or end_s > until_s:
            continue
        number = 0
        for label in range(w.size[source]):
            least_j, end_s = _execution_j(t, slot, a, d, k, max(w.free_s[source, label], arrival_s))
            cost = fixed + rate * least_j
            if cost >= 0.0 or end_s > until_s:
                break  # later starts cost no less and end no earlier
            value = w.value[source, label] + cost
            if number > 0 and value >= w.value[scratch, number - 1]:
                continue
            if number > 0 and end_s <= w.free_s[scratch, number - 1]:
                number -= 1
            w.free_s[scratch, number], w.value[scratch, number] = end_s, value
            w.node[scratch, number] = -1 - w.node[source, label]  # its choice is still to be added
            number += 1
        w.size[scratch] = number
        if number > 0:
            _choose(w, into, slot, a, k, senders)


@njit(cache=True, _nrt=False, forceinline=True)
def _join(w: Fronts, source: int, into: int) -> None:
    """Merge a front into another one."""
    made = len(w.size) - 2
    i, j, number, least = 0, 0, 0, np.inf
    while i < w.size[into] or j < w.size[source]:
        old = j >= w.size[source] or (i < w.size[into] and w.free_s[into, i] <= w.free_s[source, j])
        if old:
            free_s, value, node = w.free_s[into, i], w.value[into, i], w.node[into, i]
            i += 1
        else:
            free_s, value, node = w.free_s[source, j], w.value[source, j], w.node[source, j]
            j += 1
        if value >= least:
            continue
        if number >= w.free_s.shape[1] - 1:
            w.used[0] = len(w.parent) + 1  # no space
            break
        if number > 0 and w.free_s[made, number - 1] == free_s:
            number -= 1
        least = value
        w.free_s[made, number], w.value[made, number], w.node[made, number] = free_s, value, node
        number += 1
    for label in range(number):
        w.free_s[into, label] = w.free_s[made, label]
        w.value[into, label] = w.value[made, label]
        w.node[into, label] = w.node[made, label]
    w.size[into] = number


@njit(cache=True, _nrt=False, forceinline=True)
def _choose(w: Fronts, into: int, slot: int, a: int, k: int, senders: int) -> None:
    """Merge the last front into another one; schedules that are kept get a node with their new choice."""
    _join(w, len(w.size) - 1, into)
    for label in range(w.size[into]):
        if w.node[into, label] >= 0:
            continue
        n = w.used[0]
        w.used[0] += 1
        if n < len(w.parent):
            w.parent[n] = -1 - w.node[into, label]
            w.choice[n, 0], w.choice[n, 1], w.choice[n, 2], w.choice[n, 3] = slot, a, k, senders
        w.node[into, label] = n


@njit(cache=True, _nrt=False, forceinline=True)
def _copy(w: Fronts, source: int, into: int) -> None:
    w.size[into] = w.size[source]
    for label in range(w.size[source]):
        w.free_s[into, label], w.value[into, label] = w.free_s[source, label], w.value[source, label]
        w.node[into, label] = w.node[source, label]


@njit(cache=True, _nrt=False, forceinline=True)
def _advance(w: Fronts, begin_s: float) -> None:
    """Of schedules whose queue is free before a slot keep the cheapest."""
    first = 0
    while first + 1 < w.size[0] and w.free_s[0, first + 1] <= begin_s:
        first += 1
    if first > 0:
        for label in range(w.size[0] - first):
            w.free_s[0, label], w.value[0, label] = w.free_s[0, label + first], w.value[0, label + first]
            w.node[0, label] = w.node[0, label + first]
        w.size[0] -= first


@njit(cache=True, _nrt=False, forceinline=True)
def _useful(t: Tables, p: Prices, slot: int, a: int, d: int, senders: int) -> bool:
    """Whether a task that is received may be worth its completion."""
    seconds = t.send_s[slot, a, d, senders - 1]
    if not np.isfinite(seconds) or not t.received[slot, a, d, senders - 1]:
        return False
    rate = t.joule_price[slot, a] + p.joule[d]
    fixed = seconds * t.link_w[d] * (rate + t.joule_price[slot, a] + p.send[a]) - p.task[slot, a]
    for k in range(t.speed_hz.shape[1]):
        least_j, end_s = _execution_j(t, slot, a, d, k, t.begin_s[slot] + seconds)
        if fixed + rate * least_j < 0.0 and end_s <= t.until_s[slot, a, d] + UNTIL_S:
            return True
    return False


@njit(cache=True, _nrt=False)
def _receive(t: Tables, p: Prices, w: Fronts, slot: int, d: int) -> None:
    """Extend the first front by tasks that are sent to the device in a slot."""
    agents = t.arrives.shape[1]
    rivals = 0
    for a in range(agents):
        rivals += a != d and t.arrives[slot, a] and t.linked[slot, a, d]
    result, tried = agents + 2, False
    for senders in range(1, rivals + 1):
        useful, more = 0, False
        for a in range(agents):
            if a != d and t.arrives[slot, a] and t.linked[slot, a, d] and _useful(t, p, slot, a, d, senders):
                useful += 1
                more |= senders == 1 or not t.received[slot, a, d, senders - 2]
        if useful == 0 or (senders > useful and not more):
            continue  # fewer senders deliver the same tasks earlier
        if not tried:
            _copy(w, 0, result)
            tried = True
        most = min(senders, useful)
        _copy(w, 0, 1)
        for number in range(1, most + 1):
            w.size[number + 1] = 0
        last_s, last_a = -1.0, -1
        for _ in range(useful):  # in the order of arrival
            next_s, following = np.inf, -1
            for a in range(agents):
                if a == d or not t.arrives[slot, a] or not t.linked[slot, a, d]:
                    continue
                s = t.send_s[slot, a, d, senders - 1]
                if (s > last_s or (s == last_s and a > last_a)) and s < next_s and _useful(t, p, slot, a, d, senders):
                    next_s, following = s, a
            last_s, last_a = next_s, following
            for number in range(most, 0, -1):
                if w.size[number] > 0:
                    _extend(t, p, w, number, number + 1, slot, following, d, senders)
        for number in range(1, most + 1):
            _join(w, number + 1, result)
    if tried:
        _copy(w, result, 0)


@njit(cache=True, _nrt=False)
def cheapest_schedule(t: Tables, p: Prices, w: Fronts, d: int) -> float:
    """Least cost of the tasks that a device completes, less their rewards; `w` then holds the schedule.

    The label of least cost is the last one of the first front. The result is nan where the space does not suffice.
    """
    horizon, agents = t.arrives.shape
    w.used[0] = 1
    w.parent[0] = -1
    w.size[0], w.free_s[0, 0], w.value[0, 0], w.node[0, 0] = 1, 0.0, 0.0, 0
    for slot in range(horizon):
        _advance(w, t.begin_s[slot])
        if d < agents and t.arrives[slot, d]:
            _copy(w, 0, 1)
            _extend(t, p, w, 1, 0, slot, d, d, 0)
        _receive(t, p, w, slot, d)
    if w.used[0] > len(w.parent):
        return np.nan
    return float(w.value[0, w.size[0] - 1])


@njit(cache=True)
def read_schedule(
    t: Tables, w: Fronts, d: int, label: int, device: IntArray, mode: IntArray, times: IntArray, used_j: FloatArray
) -> None:
    """Read a schedule found: which tasks it completes, and energies used of batteries.

    ``device`` and ``mode [horizon, agents]`` are set for its tasks, 1 is added to their ``times``, and the energies are
    added to ``used_j [devices]``.
    """
    number, node = 0, w.node[0, label]
    while node > 0:
        number, node = number + 1, w.parent[node]
    nodes, node = np.empty(number, dtype=np.int64), w.node[0, label]
    for place in range(number - 1, -1, -1):
        nodes[place], node = node, w.parent[node]
    free_s = 0.0
    for node in nodes:
        slot, a, k, senders = w.choice[node]
        arrival_s = t.begin_s[slot]
        if d != a:
            seconds = t.send_s[slot, a, d, senders - 1]
            arrival_s += seconds
            used_j[d] += seconds * t.link_w[d]
            used_j[a] += seconds * t.link_w[d]
        least_j, free_s = _execution_j(t, slot, a, d, k, max(free_s, arrival_s))
        used_j[d] += least_j
        times[slot, a] += 1
        device[slot, a], mode[slot, a] = d, k
