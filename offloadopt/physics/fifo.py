"""First-in-first-out queues of battery-powered devices, with event times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.dvfs import execution_times

RECEIVE, WAIT, CHOSEN, FULL = range(4)
"""The pieces of a job, in order: reception, waiting, execution in the chosen mode, and at full speed."""
PIECES = 4


@dataclass(frozen=True)
class Jobs:
    """Jobs sent to devices, arrays ``[count, jobs]``.

    Attributes
    ----------
    device : int array
        Device that executes the job; -1 for none.
    arrival_s : array
        Time in s at which the job has been received.
    deadline_s : array
        Time in s from which on the job runs in the fastest mode.
    cycles : array
        CPU cycles of the job.
    speed_hz, power_w : array
        Speed in cycles/s and power in W of the device's processor in the chosen mode.
    full_hz, full_w : array
        Speed and power in its fastest mode.
    receive_s, receive_w : array
        Duration in s and power in W of the reception, 0 where there is none.
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
    """Results of jobs: times, energies, and the devices' state afterwards.

    Attributes
    ----------
    before_j : array [count, jobs]
        Energy in the device's battery before the job.
    seconds : array [count, jobs, PIECES]
        Duration of each piece in s.
    energy_j : array [count, jobs, PIECES]
        Energy of each piece in J.
    exhausted : bool array [count, jobs]
        Whether the battery was empty before the job was done.
    finish_s : array [count, jobs]
        Time in s at which the job was completed, or aborted.
    free_s, battery_j : array [count, devices]
        Time in s from which each queue is free, and energy in each battery, after all jobs.
    """

    before_j: FloatArray
    seconds: FloatArray
    energy_j: FloatArray
    exhausted: NDArray[np.bool_]
    finish_s: FloatArray
    free_s: FloatArray
    battery_j: FloatArray


def serve(jobs: Jobs, free_s: FloatArray, battery_j: FloatArray) -> Runs:
    """Process all jobs in the order of their arrival, simultaneous ones in the order of their index.

    A job joins its device's queue behind all jobs processed before, and its energy is deducted at once. A battery that
    holds too little is emptied: the job stops where the energy ends, and the queue is free again. A job whose
    reception is not completed does not join the queue.

    Parameters
    ----------
    jobs : Jobs
    free_s, battery_j : array [count, devices]
        Time in s from which each queue is free, and energy in each battery.
    """
    count, number = jobs.device.shape
    free, battery = np.array(free_s), np.array(battery_j)
    before, finish = np.zeros((count, number)), np.zeros((count, number))
    seconds, exhausted = np.zeros((count, number, PIECES)), np.zeros((count, number), dtype=np.bool_)
    order = np.argsort(jobs.arrival_s, axis=-1, kind="stable")
    numbers = (jobs.arrival_s, jobs.deadline_s, jobs.cycles, jobs.speed_hz, jobs.power_w, jobs.full_hz, jobs.full_w)
    table = np.stack([*numbers, jobs.receive_s, jobs.receive_w], axis=-1)
    _process(order, np.array(jobs.device), table, free, battery, before, seconds, exhausted, finish)
    power = np.stack([jobs.receive_w, np.zeros((count, number)), jobs.power_w, jobs.full_w], axis=-1)
    return Runs(before, seconds, seconds * power, exhausted, finish, free, battery)


@njit(cache=True)
def _process(
    order: IntArray, device: IntArray, table: FloatArray, free: FloatArray, battery: FloatArray, before: FloatArray,
    seconds: FloatArray, exhausted: NDArray[np.bool_], finish: FloatArray,
) -> None:  # fmt: skip
    """Process jobs one by one, see `serve`; ``free`` and the arrays after it are written in place."""
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
            chosen_s, full_s = execution_times(cycles, speed, full_speed, deadline - start)  # (9)
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
