"""What can become of each task of one instance: the ways to send it, and bounds of when and at what energy it is done.

A *way* is a device and how many send to it in that slot, with what nature makes of it. A task that is done runs in a
*mode* of the device's processor; cycles left at the deadline run in the fastest one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.physics.dvfs import hurry
from offloadopt.structures.task_queues import HindsightData


class SendOutcome(Enum):
    """How a way ends."""

    DONE = "it reaches a queue"
    LOST = "it is sent and does not arrive"
    UNSENT = "nothing is sent"
    CUT = "the sender's battery ends"


@dataclass(frozen=True)
class Way:
    """A device, how many send to it (0 at home), the seconds on air and the sender's energy."""

    device: int
    senders: int
    fate: SendOutcome
    send_s: float = 0.0
    send_j: float = 0.0

    @property
    def sends(self) -> bool:
        """Whether the sender's battery gives anything."""
        return self.send_j > 0


@dataclass(frozen=True)
class Span:
    """Bounds of what a task does at a device: its arrival, its start, its end and the energy of its reception."""

    first_s: float
    last_start_s: float
    last_end_s: float
    least_receive_j: float
    most_receive_j: float


@dataclass(frozen=True)
class Task:
    """A task of agent ``agent`` in slot ``slot``; instants are absolute, ``spans`` by device."""

    slot: int
    agent: int
    begin_s: float
    deadline_s: float
    cycles: float
    joule_price: float
    ways: tuple[Way, ...]
    spans: dict[int, Span]

    def mode_s(self, view: HindsightData, device: int, mode: int) -> float:
        """Seconds in a mode without any hurry."""
        return float(self.cycles / view.speed_hz[device, mode])

    def seconds(self, view: HindsightData, device: int, mode: int, start_s: float) -> tuple[float, float]:
        """Seconds in the chosen and in the fastest mode, by start."""
        speed = view.speed_hz[device]
        chosen_s, full_s = hurry(self.cycles, speed[mode], speed[0], self.deadline_s - start_s)
        return float(chosen_s), float(full_s)

    def energy_j(self, view: HindsightData, device: int, mode: int, start_s: float) -> float:
        """Of the execution."""
        chosen_s, full_s = self.seconds(view, device, mode, start_s)
        return float(chosen_s * view.power_w[device, mode] + full_s * view.power_w[device, 0])

    def most_j(self, view: HindsightData, device: int) -> float:
        """The most that the device can spend on the task."""
        span = self.spans[device]
        modes = range(view.speed_hz.shape[1])
        execution = max(
            self.energy_j(view, device, mode, at) for mode in modes for at in (span.first_s, span.last_start_s)
        )
        return execution + span.most_receive_j


def tasks_of(view: HindsightData, row: int) -> list[Task]:
    """The tasks of one instance in the order (slot, agent), with their ways and bounds."""
    tasks = []
    for slot, agent in np.argwhere(view.arrives[row]):
        place = row, slot, agent
        tasks.append(
            Task(
                slot=int(slot),
                agent=int(agent),
                begin_s=float(view.begin_s[slot]),
                deadline_s=float(view.deadline_s[place]),
                cycles=float(view.cycles[place]),
                joule_price=float(view.joule_price[place]),
                ways=_ways(view, row, int(slot), int(agent)),
                spans={},
            )
        )
    tasks = _bounded(view, tasks)
    empties = [horizon_use(view, tasks, device).sum() > view.start_j[row, device] for device in range(view.num_agents)]
    return [_with_cuts(task) if empties[task.agent] else task for task in tasks]


def _with_cuts(task: Task) -> Task:
    """A sender whose battery can end has a second way to send anything."""
    cut = tuple(replace(way, fate=SendOutcome.CUT) for way in task.ways if way.sends)
    return replace(task, ways=task.ways + cut)


def _ways(view: HindsightData, row: int, slot: int, agent: int) -> tuple[Way, ...]:
    ways, linked = [Way(agent, 0, SendOutcome.DONE)], view.linked[row, slot]
    others = np.flatnonzero(~linked[agent])
    others = others[others != agent]
    if len(others):
        ways.append(Way(int(others[0]), 0, SendOutcome.UNSENT))
    for device in np.flatnonzero(linked[agent]):
        rivals = int(np.sum(linked[:, device] & view.arrives[row, slot]))
        for senders in range(1, rivals + 1):
            seconds = float(view.send_s[row, slot, agent, device, senders - 1])
            if not np.isfinite(seconds):
                ways.append(Way(int(device), senders, SendOutcome.UNSENT))
                continue
            arrives = bool(view.received[row, slot, agent, device, senders - 1])
            fate = SendOutcome.DONE if arrives else SendOutcome.LOST
            ways.append(Way(int(device), senders, fate, seconds, seconds * float(view.link_w[device])))
    return tuple(ways)


def _bounded(view: HindsightData, tasks: list[Task]) -> list[Task]:
    """Tasks with spans: a queue is free at the latest when everything that might stand in it took its longest."""
    slowest = view.speed_hz.shape[1] - 1
    free_s = np.zeros(len(view.speed_hz))
    for slot in sorted({task.slot for task in tasks}):
        now = [task for task in tasks if task.slot == slot]
        for device in range(len(free_s)):
            done = {
                number: [way for way in task.ways if way.device == device and way.fate is SendOutcome.DONE]
                for number, task in enumerate(now)
            }
            here = {number: ways for number, ways in done.items() if ways}
            if not here:
                continue
            last_arrival = max(now[n].begin_s + way.send_s for n, ways in here.items() for way in ways)
            longest = {
                n: sum(now[n].seconds(view, device, slowest, now[n].begin_s + min(way.send_s for way in ways)))
                for n, ways in here.items()
            }
            queue_s = max(float(free_s[device]), last_arrival)
            for n, ways in here.items():
                start_s = queue_s + sum(longest.values()) - longest[n]
                receive_j = [way.send_j for way in ways]
                now[n].spans[device] = Span(
                    first_s=now[n].begin_s + min(way.send_s for way in ways),
                    last_start_s=start_s,
                    last_end_s=start_s + sum(now[n].seconds(view, device, slowest, start_s)),
                    least_receive_j=min(receive_j),
                    most_receive_j=max(receive_j),
                )
            free_s[device] = queue_s + sum(longest.values())
    return tasks


def wear(view: HindsightData, start_share: float, receive_j: tuple[float, float], execute_j: float) -> float:
    """A lower bound of what a task's use of a battery costs in ageing, by the least and the most of its reception.

    Equations (12) to (15) with deviation 0 and the level in the middle of the execution, where it is lowest in the
    mean.
    """
    level = start_share - (receive_j[1] + execute_j / 2.0) / view.capacity_j
    return ageing_cost(view, receive_j[0] + execute_j, level)


def grows_concavely(view: HindsightData, most_j: float) -> bool:
    """Whether `wear` grows with the energy of the execution, ever more slowly, as long as the task uses no more."""
    return 2.0 * view.ageing.level * most_j < view.capacity_j


def ageing_cost(view: HindsightData, used_j: float, level: float) -> float:
    """Cost of a use at one level of charge."""
    battery = view.ageing
    stress = np.exp(-1.0 / battery.deviation) * np.exp(4.0 * battery.level * (level - 0.5))
    return float(view.ageing_price * battery.per_cycle * used_j / (2.0 * view.capacity_j) * stress)


def horizon_use(view: HindsightData, tasks: list[Task], device: int) -> FloatArray:
    """[tasks] the most that each task can take from a device's battery."""
    return np.array(
        [
            (task.most_j(view, device) if device in task.spans else 0.0)
            + max((way.send_j for way in task.ways if task.agent == device), default=0.0)
            for task in tasks
        ]
    )


def cut_senders(
    view: HindsightData, start_j: FloatArray, tasks: list[Task], chosen: list[tuple[int, int]]
) -> list[bool]:
    """Which of the tasks are cut off by their sender's battery, given each one's way and mode."""
    held, free, cut = np.array(start_j), np.zeros(view.devices), [False] * len(tasks)
    for slot in sorted({task.slot for task in tasks}):
        now = [n for n, task in enumerate(tasks) if task.slot == slot]
        queued = []
        for n in now:
            way, agent = tasks[n].ways[chosen[n][0]], tasks[n].agent
            cut[n] = way.send_j > held[agent]
            held[agent] -= min(way.send_j, held[agent])
            if not cut[n] and _reaches(tasks[n], way):
                queued.append((way.send_s, agent, n))
        for send_s, _, n in sorted(queued):
            task, (number, mode) = tasks[n], chosen[n]
            way = task.ways[number]
            held[way.device] -= way.send_j
            if held[way.device] < 0:
                held[way.device] = 0.0
                continue
            start_s = max(free[way.device], task.begin_s + send_s)
            free[way.device] = start_s + sum(task.seconds(view, way.device, mode, start_s))
            # Where the battery ends, all later tasks fail whenever they begin.
            held[way.device] = max(held[way.device] - task.energy_j(view, way.device, mode, start_s), 0.0)
    return cut


def _reaches(task: Task, way: Way) -> bool:
    """Whether a task that is not cut off reaches its queue."""
    return any(
        option.fate is SendOutcome.DONE and (option.device, option.senders) == (way.device, way.senders)
        for option in task.ways
    )
