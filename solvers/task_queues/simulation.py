"""Simulation of whole instances of task queues: the cost of a decision, and of changes of a few of its tasks.

A change affects the queues and batteries of few devices. They are followed from the changed slot on, others keep what
was stored. Once a queue is as it was before the change, only its battery's level differs. Until the battery may end,
the device then does what it did, and its ageing (15) changes by one factor, since it is exponential in the level. The
costs are the problem's own up to rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.dvfs import execution_times
from offloadopt.solvers.task_queues.tables import Tables

NOTHING = -1
"""Device of a slot's agent without a task."""
MARGIN_J = 1e-9
"""Energy that a battery must hold in the end so that it surely does not end before."""


class Course(NamedTuple):
    """Decision of one instance, and what follows from it.

    Attributes
    ----------
    device, mode : int array [horizon, agents]
    was_device, was_mode : int array [horizon, agents]
        The decision before the changes that have not been followed yet.
    senders : int array [horizon, devices]
        Number of transmitters to each device.
    battery_j, free_s : array [devices, horizon + 1]
        Energy of each battery, and time from which each queue is free, at the begin of each slot and at the end.
    base_cost : array [2, horizon, agents]
        Cost of each task's transmission, and its other costs, without ageing.
    cut : bool array [horizon, agents]
        Whether the sender's battery ended the transmission.
    aged, aged_from : array [devices, horizon + 1]
        Ageing cost of each battery in the slot, and from the slot on.
    ends_in : int array [devices]
        First slot in which the battery may be too small for a job or a transmission; the horizon for none.
    """

    device: IntArray
    mode: IntArray
    was_device: IntArray
    was_mode: IntArray
    senders: IntArray
    battery_j: FloatArray
    free_s: FloatArray
    base_cost: FloatArray
    cut: NDArray[np.bool_]
    aged: FloatArray
    aged_from: FloatArray
    ends_in: IntArray


class Room(NamedTuple):
    """Working space of `follow`.

    By device: whether it is followed; whether a battery ended in the slot; its level, queue and ageing; in a device
    that was left since slot ``left`` the missing energy ``shift_j``, and the slot ``wake`` from which it is to be
    followed again; the first slot in which its battery ended; transmitters. By agent: jobs in their order with their
    arrivals; whether the transmission is cut.
    """

    followed: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    level_j: FloatArray
    free_s: FloatArray
    aged: FloatArray
    shift_j: FloatArray
    left: IntArray
    wake: IntArray
    ends_in: IntArray
    senders: IntArray
    jobs: IntArray
    arrival_s: FloatArray
    cut: NDArray[np.bool_]


def course(t: Tables, device: IntArray, mode: IntArray) -> Course:
    """Simulate the decision ``device``, ``mode [horizon, agents]`` from the first slot on."""
    (horizon, agents), devices = t.arrives.shape, len(t.link_w)
    made = Course(
        device=np.where(t.arrives, device, NOTHING).astype(np.int64),
        mode=np.array(mode, dtype=np.int64),
        was_device=np.full((horizon, agents), NOTHING),
        was_mode=np.zeros((horizon, agents), dtype=np.int64),
        senders=np.zeros((horizon, devices), dtype=np.int64),
        battery_j=np.zeros((devices, horizon + 1)),
        free_s=np.zeros((devices, horizon + 1)),
        base_cost=np.zeros((2, horizon, agents)),
        cut=np.zeros((horizon, agents), dtype=np.bool_),
        aged=np.zeros((devices, horizon + 1)),
        aged_from=np.zeros((devices, horizon + 1)),
        ends_in=np.zeros(devices, dtype=np.int64),
    )
    made.battery_j[:, 0] = t.start_j
    space = room(t)
    space.followed[:] = True
    follow(t, made, space, 0, horizon - 1, True)
    return made


def room(t: Tables) -> Room:
    """Make the working space of `follow`."""
    agents, devices = t.arrives.shape[1], len(t.link_w)
    followed, ended, cut = (np.zeros(number, dtype=np.bool_) for number in (devices, devices, agents))
    level_j, free_s, aged, shift_j, arrival_s = (np.zeros(number) for number in (*[devices] * 4, agents))
    left, wake, ends_in, senders, jobs = (np.zeros(number, dtype=np.int64) for number in (*[devices] * 4, agents))
    return Room(
        followed, ended, level_j, free_s, aged, shift_j, left, wake, ends_in, senders, jobs, arrival_s, cut
    )  # fmt: skip


@njit(cache=True)
def total_cost(c: Course) -> float:
    """Cost of all tasks."""
    return float(c.base_cost.sum() + c.aged.sum())


@njit(cache=True, _nrt=False, forceinline=True)
def ageing(
    t: Tables, level_j: float, receive_j: float, chosen_j: float, full_j: float, receive_s: float, wait_s: float,
    chosen_s: float, full_s: float,
) -> float:  # fmt: skip
    """Ageing cost of a battery that holds ``level_j`` before the pieces of one job, equations (12) to (15)."""
    level_j -= t.overdraft_j
    total_s = receive_s + wait_s + chosen_s + full_s
    used_j = receive_j + chosen_j + full_j
    if total_s <= 0.0 or used_j <= 0.0:
        return 0.0
    capacity_j = t.capacity_j
    receiving = level_j - receive_j / 2.0
    waiting = level_j - receive_j
    doing = waiting - chosen_j / 2.0
    hurrying = waiting - chosen_j - full_j / 2.0
    mean = (receiving * receive_s + waiting * wait_s + doing * chosen_s + hurrying * full_s) / total_s
    square = (receiving - mean) ** 2 * receive_s + (waiting - mean) ** 2 * wait_s
    square += (doing - mean) ** 2 * chosen_s + (hurrying - mean) ** 2 * full_s
    deviation = 2.0 * np.sqrt(3.0 * square / total_s) / capacity_j
    stress = deviation * t.deviation_stress + (mean / capacity_j - 0.5) * t.level_stress
    return float(t.life_cost * used_j / capacity_j * np.exp(stress))


@njit(cache=True, _nrt=False, forceinline=True)
def overdraft_cost(t: Tables, held_j: float) -> float:
    """Cost of the energy that a battery lacks in the end, where it may be overdrawn."""
    return float(t.overdraft_price * max(t.overdraft_j - held_j, 0.0))


@njit(cache=True, _nrt=False)
def follow(t: Tables, c: Course, w: Room, first: int, last: int, keep: bool) -> float:
    """Follow what changes by decisions of the slots ``first`` to ``last``, and return the change of cost.

    Without ``keep`` what is stored stays, and unless all devices are marked in ``w``, each is followed until its queue
    is as before. The result is nan where a transmission to a device that is not followed is cut, or no longer is: all
    are then to be marked, and nothing has been stored but what will be stored again.
    """
    horizon, devices = t.arrives.shape[0], len(t.link_w)
    change, whole, slot = 0.0, True, first
    for d in range(devices):
        whole &= w.followed[d]
        w.wake[d], w.left[d], w.ends_in[d], w.shift_j[d] = horizon, -1, horizon, 0.0
    for d in range(devices):
        if whole:
            change += _begin(t, c, w, first, d, keep)
    while slot < horizon:
        for d in range(devices):
            if w.wake[d] == slot:
                change += _begin(t, c, w, slot, d, keep)
        _count_senders(t, c, w, slot)
        if slot <= last and not whole:
            change += _mark_changes(t, c, w, slot, keep)
        change += _do(t, c, w, slot, keep)
        if np.isnan(change):
            break
        slot += 1
        if not whole:
            _leave(t, c, w, slot)
        if slot > last:
            slot = _next_slot(w, slot)
    for d in range(devices):
        if w.left[d] >= 0 and not np.isnan(change):
            held_j = w.level_j[d] if w.followed[d] else c.battery_j[d, horizon] - w.shift_j[d]
            change += overdraft_cost(t, held_j) - overdraft_cost(t, c.battery_j[d, horizon])
            change += _settle(t, c, w, horizon, d, keep)
            if keep:
                _conclude(t, c, w, d)
    if keep and not np.isnan(change):
        for slot in range(first, last + 1):
            for a in range(t.arrives.shape[1]):
                c.was_device[slot, a], c.was_mode[slot, a] = c.device[slot, a], c.mode[slot, a]
    for d in range(devices):
        w.followed[d] = False
    return change


@njit(cache=True, _nrt=False, forceinline=True)
def _next_slot(w: Room, slot: int) -> int:
    """The slot, if a device is followed in it; otherwise the next one in which one is to be."""
    for d in range(len(w.followed)):
        if w.followed[d]:
            return slot
    slot = w.wake[0]
    for d in range(1, len(w.wake)):
        slot = min(slot, w.wake[d])
    return slot


@njit(cache=True, _nrt=False, forceinline=True)
def _do(t: Tables, c: Course, w: Room, slot: int, keep: bool) -> float:
    """Do a slot's transmissions and jobs at followed devices, and return the change of cost."""
    for d in range(len(w.ended)):
        w.aged[d], w.ended[d] = 0.0, False
        if keep and w.followed[d]:
            c.battery_j[d, slot], c.free_s[d, slot] = w.level_j[d], w.free_s[d]
    change = _send(t, c, w, slot, keep)
    if np.isnan(change):
        return change
    for place in range(_queue_up(t, c, w, slot)):
        a = w.jobs[place]
        cost = _execute(t, c, w, slot, a, w.arrival_s[place])
        change += cost - c.base_cost[1, slot, a]
        if keep:
            c.base_cost[1, slot, a] = cost
    change += _count_undelivered(t, c, w, slot, keep)
    if keep:
        for d in range(len(w.senders)):
            c.senders[slot, d] = w.senders[d]
    for d in range(len(w.followed)):
        if not w.followed[d]:
            continue
        change += w.aged[d] - c.aged[d, slot]
        if w.ended[d]:
            w.ends_in[d] = min(w.ends_in[d], slot)
        if keep:
            c.aged[d, slot] = w.aged[d]
    return change


@njit(cache=True, _nrt=False, forceinline=True)
def _begin(t: Tables, c: Course, w: Room, slot: int, d: int, keep: bool) -> float:
    """Begin to follow a device; returns the change of its cost since it was left."""
    change = 0.0
    if w.left[d] >= 0:
        change = _settle(t, c, w, slot, d, keep)
    elif c.ends_in[d] < slot:
        w.ends_in[d] = c.ends_in[d]
    w.level_j[d], w.free_s[d] = c.battery_j[d, slot] - w.shift_j[d], c.free_s[d, slot]
    w.followed[d], w.left[d], w.wake[d] = True, slot, len(t.begin_s)
    return change


@njit(cache=True, _nrt=False, forceinline=True)
def _settle(t: Tables, c: Course, w: Room, slot: int, d: int, keep: bool) -> float:
    """Change of cost of a device that was left, up to a slot: it does what it did at another level."""
    if w.followed[d]:
        if keep and slot == len(t.begin_s):
            c.battery_j[d, slot], c.free_s[d, slot] = w.level_j[d], w.free_s[d]
        return 0.0
    if w.shift_j[d] == 0.0:
        return 0.0
    factor, left = np.exp(-t.level_stress * w.shift_j[d] / t.capacity_j), w.left[d]
    change = (c.aged_from[d, left] - c.aged_from[d, slot]) * (factor - 1.0)
    if keep:
        for place in range(left, slot):
            c.aged[d, place] *= factor
            c.battery_j[d, place] -= w.shift_j[d]
        if slot == len(t.begin_s):
            c.battery_j[d, slot] -= w.shift_j[d]
    return float(change)


@njit(cache=True, _nrt=False, forceinline=True)
def _conclude(t: Tables, c: Course, w: Room, d: int) -> None:
    """Store the sums of a device's ageing, and when its battery ends."""
    for slot in range(len(t.begin_s) - 1, -1, -1):
        c.aged_from[d, slot] = c.aged_from[d, slot + 1] + c.aged[d, slot]
    c.ends_in[d] = w.ends_in[d]


@njit(cache=True, _nrt=False, forceinline=True)
def _leave(t: Tables, c: Course, w: Room, slot: int) -> None:
    """From a slot on follow no longer devices with a queue as before, until their batteries may end."""
    horizon = len(t.begin_s)
    for d in range(len(w.followed)):
        if not w.followed[d] or slot == horizon:
            continue
        if max(w.free_s[d], t.begin_s[slot]) != max(c.free_s[d, slot], t.begin_s[slot]):
            continue
        shift_j, wake = c.battery_j[d, slot] - w.level_j[d], horizon
        if shift_j == 0.0:
            w.ends_in[d] = min(w.ends_in[d], c.ends_in[d])
        else:
            wake = min(c.ends_in[d], horizon)
            while wake > slot and c.battery_j[d, wake] - shift_j < MARGIN_J:
                wake -= 1
        if wake > slot:
            w.followed[d], w.left[d], w.wake[d], w.shift_j[d] = False, slot, wake, shift_j


@njit(cache=True, _nrt=False, forceinline=True)
def _count_senders(t: Tables, c: Course, w: Room, slot: int) -> None:
    """Count each device's transmitters of the slot."""
    for d in range(len(w.senders)):
        w.senders[d] = 0
    for a in range(t.arrives.shape[1]):
        d = c.device[slot, a]
        if d >= 0 and d != a and t.linked[slot, a, d]:
            w.senders[d] += 1


@njit(cache=True, _nrt=False, forceinline=True)
def _mark_changes(t: Tables, c: Course, w: Room, slot: int, keep: bool) -> float:
    """Follow the devices of changed tasks, and of those who send to a device whose number of senders has changed.

    Returns the change of their cost since they were left.
    """
    change = 0.0
    for a in range(t.arrives.shape[1]):
        d, was = c.device[slot, a], c.was_device[slot, a]
        if d != was or c.mode[slot, a] != c.was_mode[slot, a]:
            for place in (d, was, a):
                if not w.followed[place]:
                    change += _begin(t, c, w, slot, place, keep)
        elif d >= 0 and d != a and w.senders[d] != c.senders[slot, d] and not w.followed[a]:
            change += _begin(t, c, w, slot, a, keep)
    return change


@njit(cache=True, _nrt=False, forceinline=True)
def _seconds(t: Tables, c: Course, w: Room, slot: int, a: int) -> float:
    """Time of the transmission in s; inf where nothing is sent."""
    d = c.device[slot, a]
    return float(t.send_s[slot, a, d, w.senders[d] - 1]) if t.linked[slot, a, d] else np.inf


@njit(cache=True, _nrt=False, forceinline=True)
def _send(t: Tables, c: Course, w: Room, slot: int, keep: bool) -> float:
    """Book the transmissions of the slot by devices that are followed, and return the change of their cost."""
    change = 0.0
    for a in range(t.arrives.shape[1]):
        d = c.device[slot, a]
        w.cut[a] = c.cut[slot, a]
        if d < 0 or not w.followed[a]:
            continue
        cost, w.cut[a] = 0.0, False
        seconds = _seconds(t, c, w, slot, a) if d != a else np.inf
        if np.isfinite(seconds):
            held_j = w.level_j[a]
            w.cut[a] = seconds * t.link_w[d] > held_j
            sent_j = min(seconds * t.link_w[d], held_j)
            aged = ageing(t, held_j, 0.0, sent_j, 0.0, 0.0, 0.0, seconds, 0.0)
            cost = t.joule_price[slot, a] * sent_j
            w.level_j[a] = held_j - sent_j
            w.aged[a] += aged
            w.ended[a] |= w.cut[a]
        change += cost - c.base_cost[0, slot, a]
        if w.cut[a] != c.cut[slot, a] and not w.followed[d]:
            return np.nan
        if keep:
            c.base_cost[0, slot, a], c.cut[slot, a] = cost, w.cut[a]
    return change


@njit(cache=True, _nrt=False, forceinline=True)
def _delivered(t: Tables, c: Course, w: Room, slot: int, a: int) -> bool:
    """Whether a task reaches the queue of its device."""
    d = c.device[slot, a]
    if d == a:
        return True
    there = t.linked[slot, a, d] and np.isfinite(t.send_s[slot, a, d, w.senders[d] - 1])
    return bool(there and t.received[slot, a, d, w.senders[d] - 1] and not w.cut[a])


@njit(cache=True, _nrt=False, forceinline=True)
def _queue_up(t: Tables, c: Course, w: Room, slot: int) -> int:
    """Arrange the slot's jobs of devices that are followed by arrival, then agent; returns their number."""
    number = 0
    for a in range(t.arrives.shape[1]):
        d = c.device[slot, a]
        if d < 0 or not w.followed[d] or not _delivered(t, c, w, slot, a):
            continue
        arrival_s, place = t.begin_s[slot], number
        if d != a:
            arrival_s += t.send_s[slot, a, d, w.senders[d] - 1]
        while place > 0 and w.arrival_s[place - 1] > arrival_s:
            w.arrival_s[place], w.jobs[place] = w.arrival_s[place - 1], w.jobs[place - 1]
            place -= 1
        w.arrival_s[place], w.jobs[place] = arrival_s, a
        number += 1
    return number


@njit(cache=True, _nrt=False, forceinline=True)
def _execute(t: Tables, c: Course, w: Room, slot: int, a: int, arrival_s: float) -> float:
    """Execute one job, as `offloadopt.physics.fifo` does; returns its cost without ageing."""
    d, k = c.device[slot, a], c.mode[slot, a]
    speed, power, full_speed, full_power = t.speed_hz[d, k], t.power_w[d, k], t.speed_hz[d, 0], t.power_w[d, 0]
    held_j, price, home = w.level_j[d], t.joule_price[slot, a], d == a
    receive_s = 0.0 if home else arrival_s - t.begin_s[slot]
    if not home:
        receive_s = t.send_s[slot, a, d, w.senders[d] - 1]
    receive_j = receive_s * t.link_w[d]
    if receive_j > held_j:
        aged = ageing(t, held_j, held_j, 0.0, 0.0, held_j / t.link_w[d], 0.0, 0.0, 0.0)
        w.level_j[d], w.ended[d] = 0.0, True
        w.aged[d] += aged
        return float(price * held_j + t.failure_cost)
    left_j = held_j - receive_j
    start_s = max(w.free_s[d], arrival_s)
    chosen_s, full_s = execution_times(t.cycles[slot, a], speed, full_speed, t.deadline_s[slot, a] - start_s)
    failed = False
    if chosen_s * power + full_s * full_power > left_j:
        chosen_s = min(chosen_s, left_j / power)
        full_s = min(full_s, max(left_j - chosen_s * power, 0.0) / full_power)
        left_j, failed, w.ended[d] = 0.0, True, True
    else:
        left_j -= chosen_s * power + full_s * full_power
    wait_s = 0.0 if home else start_s - arrival_s
    aged = ageing(t, held_j, receive_j, chosen_s * power, full_s * full_power, receive_s, wait_s, chosen_s, full_s)
    w.level_j[d], w.free_s[d] = left_j, start_s + chosen_s + full_s
    w.aged[d] += aged
    failed = failed or (not home and w.free_s[d] > t.until_s[slot, a, d])
    used_j = receive_j + chosen_s * power + full_s * full_power
    return float(price * used_j + (t.failure_cost if failed else 0.0))


@njit(cache=True, _nrt=False, forceinline=True)
def _count_undelivered(t: Tables, c: Course, w: Room, slot: int, keep: bool) -> float:
    """Charge tasks that do not reach a device that is followed, and return the change of cost."""
    change = 0.0
    for a in range(t.arrives.shape[1]):
        d = c.device[slot, a]
        if d < 0 or not w.followed[d] or _delivered(t, c, w, slot, a):
            continue
        cost = t.failure_cost + (0.0 if w.cut[a] else t.drop_cost[slot])
        change += cost - c.base_cost[1, slot, a]
        if keep:
            c.base_cost[1, slot, a] = cost
    return change


@njit(cache=True, _nrt=False)
def change_of(t: Tables, c: Course, w: Room, first: int, last: int) -> float:
    """Change of cost by the decisions of slots that were changed; what is stored stays."""
    change = follow(t, c, w, first, last, False)
    if np.isnan(change):
        for d in range(len(w.followed)):
            w.followed[d] = True
        change = follow(t, c, w, first, last, False)
    return change


@njit(cache=True, _nrt=False)
def keep_change(t: Tables, c: Course, w: Room, first: int, last: int) -> None:
    """Store what follows from the decisions of slots that were changed."""
    if np.isnan(follow(t, c, w, first, last, True)):
        for d in range(len(w.followed)):
            w.followed[d] = True
        follow(t, c, w, first, last, True)
