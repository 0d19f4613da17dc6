"""Devices that live on batteries and compute first come, first served: event times in seconds, not in slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.dvfs import hurry

RECEIVE, WAIT, CHOSEN, FULL = range(4)
"""The pieces of a job, in order: reception, waiting, execution in the chosen mode, and at full speed."""
PIECES = 4


@dataclass(frozen=True)
class Jobs:
    """Work that reaches devices, arrays ``[count, jobs]``.

    Attributes
    ----------
    device : int array
        Where the job is done; -1 for none.
    arrival_s : array
        Instant at which it has been received.
    deadline_s : array
        Instant from which on it is hurried.
    cycles : array
    speed_hz, power_w : array
        Of the device's processor in the chosen mode.
    full_hz, full_w : array
        In its fastest mode.
    receive_s, receive_w : array
        Duration and power of the reception, 0 where there is none.
    """

    device: IntArray
    arrival_s: FloatArray
    deadline_s: FloatArray
    cycles: FloatArray
    speed_hz: FloatArray
    power_w: FloatArray
    full_hz: FloatArray
    full_w: FloatArray
    receive_s: FloatArray
    receive_w: FloatArray


@dataclass(frozen=True)
class Runs:
    """What became of jobs.

    Attributes
    ----------
    before_j : array [count, jobs]
        What the device's battery held before the job.
    seconds : array [count, jobs, PIECES]
        How long each piece lasted.
    energy_j : array [count, jobs, PIECES]
        What each piece took.
    exhausted : bool array [count, jobs]
        Whether the battery was empty before the job was done.
    finish_s : array [count, jobs]
        Instant at which the job was done, or given up.
    free_s, battery_j : array [count, devices]
        When each queue is free, and what each battery holds, after all jobs.
    """

    before_j: FloatArray
    seconds: FloatArray
    energy_j: FloatArray
    exhausted: NDArray[np.bool_]
    finish_s: FloatArray
    free_s: FloatArray
    battery_j: FloatArray


def serve(jobs: Jobs, free_s: FloatArray, battery_j: FloatArray) -> Runs:
    """Book all jobs in the order of their arrival, those that arrive together in the order of their index.

    A job takes its place in its device's queue after all that were booked before, and the energy at once. A battery
    that holds too little is emptied: the job stops where the energy ends, and the queue is free again. A job whose
    reception is not completed takes no place.

    Parameters
    ----------
    jobs : Jobs
    free_s, battery_j : array [count, devices]
        When each queue is free, and what each battery holds.
    """
    count, number = jobs.device.shape
    free, battery = np.array(free_s), np.array(battery_j)
    before, finish = np.zeros((count, number)), np.zeros((count, number))
    seconds, exhausted = np.zeros((count, number, PIECES)), np.zeros((count, number), dtype=np.bool_)
    order = np.argsort(jobs.arrival_s, axis=-1, kind="stable")
    numbers = (jobs.arrival_s, jobs.deadline_s, jobs.cycles, jobs.speed_hz, jobs.power_w, jobs.full_hz, jobs.full_w)
    table = np.stack([*numbers, jobs.receive_s, jobs.receive_w], axis=-1)
    _book(order, np.array(jobs.device), table, free, battery, before, seconds, exhausted, finish)
    power = np.stack([jobs.receive_w, np.zeros((count, number)), jobs.power_w, jobs.full_w], axis=-1)
    return Runs(before, seconds, seconds * power, exhausted, finish, free, battery)


@njit(cache=True)
def _book(
    order: IntArray,
    device: IntArray,
    table: FloatArray,
    free: FloatArray,
    battery: FloatArray,
    before: FloatArray,
    seconds: FloatArray,
    exhausted: NDArray[np.bool_],
    finish: FloatArray,
) -> None:
    """`serve`, one job after the other; everything from ``free`` on is written."""
    for row in range(order.shape[0]):
        for job in order[row]:
            place = device[row, job]
            if place < 0:
                continue
            arrival, deadline, cycles, speed, power, full_speed, full_power, receive_s, receive_w = table[row, job]
            left = battery[row, place]
            before[row, job] = left
            if receive_s * receive_w > left:
                seconds[row, job, RECEIVE] = left / receive_w
                finish[row, job] = arrival - receive_s + left / receive_w
                exhausted[row, job] = True
                battery[row, place] = 0.0
                continue
            left -= receive_s * receive_w
            seconds[row, job, RECEIVE] = receive_s

            start = max(free[row, place], arrival)  # (8)
            chosen_s, full_s = hurry(cycles, speed, full_speed, deadline - start)  # (9)
            if chosen_s * power + full_s * full_power > left:
                exhausted[row, job] = True
                chosen_s = min(chosen_s, left / power)
                full_s = min(full_s, max(left - chosen_s * power, 0.0) / full_power)
                left = 0.0
            else:
                left -= chosen_s * power + full_s * full_power
            battery[row, place] = left
            seconds[row, job, WAIT] = start - arrival
            seconds[row, job, CHOSEN] = chosen_s
            seconds[row, job, FULL] = full_s
            finish[row, job] = start + chosen_s + full_s  # (10)
            free[row, place] = finish[row, job]
