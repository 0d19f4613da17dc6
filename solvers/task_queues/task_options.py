"""Options of each task of one instance: where it can be sent, with what outcome, and bounds on time and energy.

A *send option* is a device together with the number of agents that send to it in the slot, and the outcome that the
instance then gives. A delivered task is executed in a *mode* (speed) of the device's processor; cycles that are left at
the deadline run in the fastest mode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.physics.dvfs import execution_times
from offloadopt.structures.task_queues import HindsightData


class SendOutcome(Enum):
    """Outcome of sending a task."""

    DELIVERED = "the task reaches the device's queue"
    LOST = "the task is sent and not received"
    NOT_SENT = "nothing is sent"
    DEPLETED = "the sender's battery is depleted before the end of the transmission"


@dataclass(frozen=True)
class SendOption:
    """A device, the number of agents that send to it (0 for the own device), and the task's sending time and energy."""

    device: int
    senders: int
    outcome: SendOutcome
    send_s: float = 0.0
    send_j: float = 0.0

    @property
    def uses_energy(self) -> bool:
        """Whether sending takes energy from the sender's battery."""
        return self.send_j > 0


@dataclass(frozen=True)
class ExecutionBounds:
    """Bounds of a task's execution at a device: first and last start, last end, least and largest reception energy."""

    first_start_s: float
    last_start_s: float
    last_end_s: float
    least_receive_j: float
    largest_receive_j: float


@dataclass(frozen=True)
class Task:
    """A task of agent ``agent`` in slot ``slot``; times count from the start of the horizon, ``bounds`` by device."""

    slot: int
    agent: int
    begin_s: float
    deadline_s: float
    cycles: float
    joule_price: float
    options: tuple[SendOption, ...]
    bounds: dict[int, ExecutionBounds]

    def mode_s(self, data: HindsightData, device: int, mode: int) -> float:
        """Execution seconds in one mode, without the change to the fastest mode at the deadline."""
        return float(self.cycles / data.speed_hz[device, mode])

    def seconds(self, data: HindsightData, device: int, mode: int, start_s: float) -> tuple[float, float]:
        """Execution seconds in the chosen and in the fastest mode, for a start at ``start_s``."""
        speed = data.speed_hz[device]
        chosen_s, full_s = execution_times(self.cycles, speed[mode], speed[0], self.deadline_s - start_s)
        return float(chosen_s), float(full_s)

    def energy_j(self, data: HindsightData, device: int, mode: int, start_s: float) -> float:
        """Energy of the execution in J, for a start at ``start_s``."""
        chosen_s, full_s = self.seconds(data, device, mode, start_s)
        return float(chosen_s * data.power_w[device, mode] + full_s * data.power_w[device, 0])

    def largest_energy_j(self, data: HindsightData, device: int) -> float:
        """Largest energy in J that the device can spend on the task."""
        bound = self.bounds[device]
        modes = range(data.speed_hz.shape[1])
        execution = max(
            self.energy_j(data, device, mode, at) for mode in modes for at in (bound.first_start_s, bound.last_start_s)
        )
        return execution + bound.largest_receive_j


def build_tasks(data: HindsightData, row: int) -> list[Task]:
    """Build the tasks of one instance in the order (slot, agent), with their send options and execution bounds."""
    tasks = []
    for slot, agent in np.argwhere(data.arrives[row]):
        index = row, slot, agent
        tasks.append(
            Task(
                slot=int(slot),
                agent=int(agent),
                begin_s=float(data.begin_s[slot]),
                deadline_s=float(data.deadline_s[index]),
                cycles=float(data.cycles[index]),
                joule_price=float(data.joule_price[index]),
                options=_send_options(data, row, int(slot), int(agent)),
                bounds={},
            )
        )
    tasks = _with_execution_bounds(data, tasks)
    can_deplete = [
        largest_uses_j(data, tasks, device).sum() > data.start_j[row, device] for device in range(data.num_agents)
    ]
    return [_with_depletion_outcomes(task) if can_deplete[task.agent] else task for task in tasks]


def _with_depletion_outcomes(task: Task) -> Task:
    """Add the outcome `DEPLETED` to every option that takes energy from the sender's battery."""
    depleted = tuple(replace(option, outcome=SendOutcome.DEPLETED) for option in task.options if option.uses_energy)
    return replace(task, options=task.options + depleted)


def _send_options(data: HindsightData, row: int, slot: int, agent: int) -> tuple[SendOption, ...]:
    options, linked = [SendOption(agent, 0, SendOutcome.DELIVERED)], data.linked[row, slot]
    others = np.flatnonzero(~linked[agent])
    others = others[others != agent]
    if len(others):
        options.append(SendOption(int(others[0]), 0, SendOutcome.NOT_SENT))
    for device in np.flatnonzero(linked[agent]):
        rivals = int(np.sum(linked[:, device] & data.arrives[row, slot]))
        for senders in range(1, rivals + 1):
            seconds = float(data.send_s[row, slot, agent, device, senders - 1])
            if not np.isfinite(seconds):
                options.append(SendOption(int(device), senders, SendOutcome.NOT_SENT))
                continue
            arrives = bool(data.received[row, slot, agent, device, senders - 1])
            outcome = SendOutcome.DELIVERED if arrives else SendOutcome.LOST
            options.append(SendOption(int(device), senders, outcome, seconds, seconds * float(data.link_w[device])))
    return tuple(options)


def _with_execution_bounds(data: HindsightData, tasks: list[Task]) -> list[Task]:
    """Add execution bounds: a queue is free at the latest when each task that may be in it took its longest time."""
    slowest = data.speed_hz.shape[1] - 1
    free_s = np.zeros(len(data.speed_hz))
    for slot in sorted({task.slot for task in tasks}):
        tasks_of_slot = [task for task in tasks if task.slot == slot]
        for device in range(len(free_s)):
            delivered = {
                number: [
                    option
                    for option in task.options
                    if option.device == device and option.outcome is SendOutcome.DELIVERED
                ]
                for number, task in enumerate(tasks_of_slot)
            }
            candidates = {number: options for number, options in delivered.items() if options}
            if not candidates:
                continue
            last_arrival = max(
                tasks_of_slot[n].begin_s + option.send_s for n, options in candidates.items() for option in options
            )
            longest = {
                n: sum(
                    tasks_of_slot[n].seconds(
                        data, device, slowest, tasks_of_slot[n].begin_s + min(option.send_s for option in options)
                    )
                )
                for n, options in candidates.items()
            }
            queue_s = max(float(free_s[device]), last_arrival)
            for n, options in candidates.items():
                start_s = queue_s + sum(longest.values()) - longest[n]
                receive_j = [option.send_j for option in options]
                tasks_of_slot[n].bounds[device] = ExecutionBounds(
                    first_start_s=tasks_of_slot[n].begin_s + min(option.send_s for option in options),
                    last_start_s=start_s,
                    last_end_s=start_s + sum(tasks_of_slot[n].seconds(data, device, slowest, start_s)),
                    least_receive_j=min(receive_j),
                    largest_receive_j=max(receive_j),
                )
            free_s[device] = queue_s + sum(longest.values())
    return tasks


def ageing_lower_bound(
    data: HindsightData, start_level: float, receive_j: tuple[float, float], execute_j: float
) -> float:
    """Lower bound of the ageing cost of one task, from the least and the largest energy of its reception.

    Equations (12) to (15) with deviation 0 and the level in the middle of the execution after the largest reception.
    """
    level = start_level - (receive_j[1] + execute_j / 2.0) / data.capacity_j
    return ageing_cost(data, receive_j[0] + execute_j, level)


def ageing_is_concave(data: HindsightData, largest_energy_j: float) -> bool:
    """Whether `ageing_lower_bound` is increasing and concave in the execution's energy up to ``largest_energy_j``."""
    return 2.0 * data.ageing.level * largest_energy_j < data.capacity_j


def ageing_cost(data: HindsightData, used_j: float, level: float) -> float:
    """Ageing cost of using ``used_j`` joules at one level of charge (a fraction of the capacity)."""
    battery = data.ageing
    stress = np.exp(-1.0 / battery.deviation) * np.exp(4.0 * battery.level * (level - 0.5))
    return float(data.ageing_price * battery.per_cycle * used_j / (2.0 * data.capacity_j) * stress)


def largest_uses_j(data: HindsightData, tasks: list[Task], device: int) -> FloatArray:
    """[tasks] largest energy in J that each task can take from a device's battery, sending included."""
    return np.array(
        [
            (task.largest_energy_j(data, device) if device in task.bounds else 0.0)
            + max((option.send_j for option in task.options if task.agent == device), default=0.0)
            for task in tasks
        ]
    )


def depleted_senders(
    data: HindsightData, start_j: FloatArray, tasks: list[Task], chosen: list[tuple[int, int]]
) -> list[bool]:
    """Simulate which tasks' sending depletes the sender's battery, for the option and mode ``chosen`` of each task."""
    level_j, free_s, depleted = np.array(start_j), np.zeros(data.devices), [False] * len(tasks)
    for slot in sorted({task.slot for task in tasks}):
        tasks_of_slot = [n for n, task in enumerate(tasks) if task.slot == slot]
        delivered = []
        for n in tasks_of_slot:
            option, agent = tasks[n].options[chosen[n][0]], tasks[n].agent
            depleted[n] = option.send_j > level_j[agent]
            level_j[agent] -= min(option.send_j, level_j[agent])
            if not depleted[n] and _can_be_delivered(tasks[n], option):
                delivered.append((option.send_s, agent, n))
        for send_s, _, n in sorted(delivered):
            task, (number, mode) = tasks[n], chosen[n]
            option = task.options[number]
            level_j[option.device] -= option.send_j
            if level_j[option.device] < 0:
                level_j[option.device] = 0.0
                continue
            start_s = max(free_s[option.device], task.begin_s + send_s)
            free_s[option.device] = start_s + sum(task.seconds(data, option.device, mode, start_s))
            # Once the battery is depleted all later tasks fail, whenever they begin.
            level_j[option.device] = max(
                level_j[option.device] - task.energy_j(data, option.device, mode, start_s), 0.0
            )
    return depleted


def _can_be_delivered(task: Task, option: SendOption) -> bool:
    """Whether a task reaches its queue by this option when the sender's battery suffices."""
    return any(
        alternative.outcome is SendOutcome.DELIVERED
        and (alternative.device, alternative.senders) == (option.device, option.senders)
        for alternative in task.options
    )
