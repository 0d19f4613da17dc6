"""The constraints of the MILP of task queues: options, modes, start times, deadlines, disconnections and batteries.

For task n, binary ``w`` chooses its send option, ``y[d, k]`` the mode of the device that executes it, and
``z[s, d, m]`` states that m agents send to device d in slot s. ``S`` and ``F`` are start and end. Cycles left at the
deadline run in the fastest mode; ``r[d, k]`` are the seconds of the chosen mode that this replaces,

    r = max(S + C / f_k - deadline, 0),   F - S = C / f_k - r (1 - f_k / f_0)

for tasks that start before the deadline; after it only the fastest mode is possible. ``h`` states that a task changes
to the fastest mode, ``v`` that it ends after a disconnection. Where a battery can be depleted, ``q`` states that it is,
and the device then spends exactly what it has. Big-M constants are differences of the bounds of `task_options`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.solvers.task_queues.task_options import SendOption, SendOutcome, Task, largest_uses_j
from offloadopt.structures.task_queues import HindsightData

EVENT_SLACK = 1e-7
"""Seconds and joules by which conditions on events are relaxed, so that rounding cannot exclude a decision."""

Terms = list[tuple[int, float]]
"""Linear expression: columns with their coefficients."""


class MilpBuilder:
    """Columns and rows of a MILP under construction."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.costs: list[float] = []
        self.integers: list[int] = []
        self.rows: list[tuple[Terms, float, float]] = []

    def add_column(self, low: float, high: float, *, cost: float = 0.0) -> int:
        """Add a continuous variable between limits; returns its column."""
        self.low.append(low)
        self.high.append(high)
        self.costs.append(cost)
        return len(self.low) - 1

    def add_binary(self) -> int:
        """Add a binary variable; returns its column."""
        self.integers.append(self.add_column(0.0, 1.0))
        return self.integers[-1]

    def add_row(self, terms: Iterable[tuple[int, float]], low: float = -np.inf, high: float = np.inf) -> None:
        """Add the constraint ``low <= sum of terms <= high``; terms of the same column are added up."""
        summed: dict[int, float] = {}
        for column, factor in terms:
            summed[column] = summed.get(column, 0.0) + factor
        self.rows.append(([(column, factor) for column, factor in summed.items() if factor != 0.0], low, high))


def scaled(terms: Terms, factor: float) -> Terms:
    """Multiply a linear expression by a factor."""
    return [(column, factor * value) for column, value in terms]


def stop_after(deadline: Deadline) -> None:
    """Raise ``TimeoutError`` once the deadline has passed."""
    if deadline.passed:
        raise TimeoutError("the time limit ended while the MILP was built")


class TaskQueueConstraints:
    """Columns of one instance's MILP, and the rows of its tasks, senders, queues and batteries.

    Parameters
    ----------
    data : HindsightData
    row : int
        Index of the instance.
    tasks : list of Task
        The instance's tasks, in the order (slot, agent).
    deadline : Deadline
        Building stops when it passes; it is checked task by task, device by device.

    Raises
    ------
    TimeoutError
        If the deadline passes before the model is complete.
    """

    def __init__(self, data: HindsightData, row: int, tasks: list[Task], deadline: Deadline) -> None:
        self.data, self.tasks, self.milp = data, tasks, MilpBuilder()
        self.start_j = data.start_j[row]
        self.until_s = data.until_s[row]
        self.largest_use_j = np.stack([largest_uses_j(data, tasks, device) for device in range(data.devices)], axis=1)
        self.can_deplete = self.largest_use_j.sum(axis=0) > self.start_j
        milp = self.milp
        self.option_column = [[milp.add_binary() for _ in task.options] for task in tasks]
        self.mode_column = [{d: [milp.add_binary() for _ in range(data.modes)] for d in task.bounds} for task in tasks]
        self.cost = [milp.add_column(0.0, np.inf, cost=1.0) for _ in tasks]
        self.start = [
            milp.add_column(t.begin_s, max(s.last_start_s for s in t.bounds.values()) + EVENT_SLACK) for t in tasks
        ]
        self.end = [
            milp.add_column(t.begin_s, max(s.last_end_s for s in t.bounds.values()) + 2.0 * EVENT_SLACK) for t in tasks
        ]
        self.fails = [milp.add_column(0.0, 1.0) for _ in tasks]
        self.ageing = [milp.add_column(0.0, np.inf) for _ in tasks]
        self.saved: list[dict[tuple[int, int], tuple[int, float, float]]] = [{} for _ in tasks]
        """By device and mode: the column of `r` with its least and its largest value."""
        self.energy: list[dict[int, Terms]] = [{} for _ in tasks]
        """By device: energy that a task takes from the device that executes it."""
        self.depletes: list[dict[int, int]] = [
            {d: milp.add_binary() for d in t.bounds if self.can_deplete[d]} for t in tasks
        ]
        for n, task in enumerate(tasks):
            stop_after(deadline)
            self._choice_rows(n, task)
            self._execution_rows(n, task)
        self._sender_rows()
        for device in range(data.devices):
            stop_after(deadline)
            self._queue_rows(device)
            if self.can_deplete[device]:
                self._battery_rows(device)

    # ------------------------------------------------------------------------------------------------- one task

    def executed_at(self, n: int, device: int) -> Terms:
        """Expression that is 1 where the device executes task n, else 0."""
        return [(column, 1.0) for column in self.mode_column[n].get(device, [])]

    def option_columns(
        self, n: int, *outcomes: SendOutcome, device: int | None = None
    ) -> Iterator[tuple[int, SendOption]]:
        """Yield columns and send options of task n with one of the outcomes, to one device or to all."""
        for column, option in zip(self.option_column[n], self.tasks[n].options, strict=True):
            if option.outcome in outcomes and (device is None or option.device == device):
                yield column, option

    def _choice_rows(self, n: int, task: Task) -> None:
        self.milp.add_row([(column, 1.0) for column in self.option_column[n]], 1.0, 1.0)
        for device in task.bounds:
            options = [(column, -1.0) for column, _ in self.option_columns(n, SendOutcome.DELIVERED, device=device)]
            self.milp.add_row([*self.executed_at(n, device), *options], 0.0, 0.0)

    def _execution_rows(self, n: int, task: Task) -> None:
        milp, data = self.milp, self.data
        start, end = self.start[n], self.end[n]
        arrival = [(column, option.send_s) for column, option in self.option_columns(n, SendOutcome.DELIVERED)]
        milp.add_row([(start, 1.0), *scaled(arrival, -1.0)], task.begin_s)
        duration: Terms = []
        saved: Terms = []  # seconds of slower modes that the fastest mode replaces
        slow_s: Terms = []  # seconds that slower modes take without a deadline
        slower_chosen: Terms = []
        longest_s = 0.0
        for device, bound in task.bounds.items():
            speed, power = data.speed_hz[device], data.power_w[device]
            full_j = float(power[0] / speed[0])
            energy = [
                (column, option.send_j)
                for column, option in self.option_columns(n, SendOutcome.DELIVERED, device=device)
            ]
            for mode, y in enumerate(self.mode_column[n][device]):
                seconds = task.mode_s(data, device, mode)
                duration.append((y, seconds))
                energy.append((y, seconds * float(power[mode])))
                if mode == 0 or bound.last_start_s + seconds <= task.deadline_s:
                    continue
                r = milp.add_column(0.0, seconds)
                least_s = min(max(bound.first_start_s + seconds - task.deadline_s, 0.0), seconds)
                most_s = min(max(bound.last_start_s + seconds - task.deadline_s, 0.0), seconds)
                milp.add_row([(r, 1.0), (y, -least_s)], 0.0)
                milp.add_row([(r, 1.0), (y, -most_s)], high=0.0)
                duration.append((r, -(1.0 - float(speed[mode] / speed[0]))))
                energy.append((r, full_j * float(speed[mode]) - float(power[mode])))
                saved.append((r, 1.0))
                self.saved[n][device, mode] = r, least_s, most_s
                slow_s.append((y, seconds))
                slower_chosen.append((y, 1.0))
                longest_s = max(longest_s, seconds)
            self.energy[n][device] = energy
            self._disconnection_row(n, task, device)
        milp.add_row([(end, 1.0), (start, -1.0), *scaled(duration, -1.0)], 0.0, 0.0)
        if saved:
            self._speedup_rows(n, task, saved, slow_s, slower_chosen, longest_s)

    def _speedup_rows(
        self, n: int, task: Task, saved: Terms, slow_s: Terms, slower_chosen: Terms, longest_s: float
    ) -> None:
        """Fix ``saved`` to exactly the seconds of a slower mode that lie beyond the deadline."""
        milp, start, deadline_s = self.milp, self.start[n], task.deadline_s
        overrun = [(start, 1.0), *slow_s]
        beyond_s = max(milp.high[start] - deadline_s, 0.0)
        # A task that starts after the deadline runs in the fastest mode from its first cycle on: that mode is chosen.
        milp.add_row([(start, 1.0), *scaled(slower_chosen, beyond_s)], high=deadline_s + beyond_s)
        milp.add_row([*saved, *scaled(overrun, -1.0), *scaled(slower_chosen, -beyond_s)], -deadline_s - beyond_s)
        speeds_up, room_s = milp.add_binary(), deadline_s - task.begin_s
        milp.add_row([*saved, (speeds_up, -longest_s)], high=0.0)
        milp.add_row([*saved, *scaled(overrun, -1.0), (speeds_up, room_s)], high=room_s - deadline_s)

    def _disconnection_row(self, n: int, task: Task, device: int) -> None:
        """A task executed by another agent's device fails if one of the two is disconnected before its end."""
        until_s = float(self.until_s[task.slot, task.agent, device])
        latest = task.bounds[device].last_end_s
        if device == task.agent or latest <= until_s:
            return
        milp, surplus = self.milp, latest - until_s
        fails = [(self.fails[n], -surplus)]
        # Tasks executed elsewhere may end later than any task at this device.
        latest_elsewhere = self.milp.high[self.end[n]] - until_s
        milp.add_row(
            [(self.end[n], 1.0), *fails, *scaled(self.executed_at(n, device), latest_elsewhere)],
            high=until_s + latest_elsewhere + EVENT_SLACK,
        )

    # ------------------------------------------------------------------------------------------------- devices

    def _sender_rows(self) -> None:
        """Make the number of senders in the chosen options consistent with the number of tasks that are sent."""
        for slot in sorted({task.slot for task in self.tasks}):
            now = [n for n, task in enumerate(self.tasks) if task.slot == slot]
            for device in range(self.data.devices):
                options = [
                    (column, option.senders)
                    for n in now
                    for column, option in self.option_columns(n, *SendOutcome, device=device)
                    if option.senders > 0
                ]
                most = max((senders for _, senders in options), default=0)
                if most < 2:
                    continue
                flags = [self.milp.add_binary() for _ in range(most)]
                self.milp.add_row([(flag, 1.0) for flag in flags], high=1.0)
                for senders, flag in enumerate(flags, start=1):
                    terms = [(column, 1.0) for column, number in options if number == senders]
                    self.milp.add_row([*terms, (flag, -float(senders))], 0.0, 0.0)

    def queue_order(self, first: int, second: int, device: int) -> tuple[Terms, Terms, bool] | None:
        """Expressions under which the first task queues before the second at a device; whether this always holds."""
        a, b = self.tasks[first], self.tasks[second]
        if device not in a.bounds or device not in b.bounds or a.slot > b.slot or first == second:
            return None
        if a.slot < b.slot:
            return self.executed_at(first, device), self.executed_at(second, device), True
        together = [
            (first_option, second_option)
            for first_option in self.option_columns(first, SendOutcome.DELIVERED, device=device)
            for second_option in self.option_columns(second, SendOutcome.DELIVERED, device=device)
            if first_option[1].senders == second_option[1].senders or device in (a.agent, b.agent)
        ]
        ahead = [
            (first_option, second_option)
            for first_option, second_option in together
            if (first_option[1].send_s, a.agent) < (second_option[1].send_s, b.agent)
        ]
        if not ahead:
            return None
        if ahead == together:
            return self.executed_at(first, device), self.executed_at(second, device), True
        first_columns, second_columns = (
            {first_option[0] for first_option, _ in ahead},
            {second_option[0] for _, second_option in ahead},
        )
        return [(column, 1.0) for column in first_columns], [(column, 1.0) for column in second_columns], False

    def _queue_rows(self, device: int) -> None:
        """A task starts after the end of each task that queues before it."""
        for first, second in np.ndindex(len(self.tasks), len(self.tasks)):
            order = self.queue_order(first, second, device)
            if order is None:
                continue
            a, b = self.tasks[first], self.tasks[second]
            latest_here = a.bounds[device].last_end_s - b.begin_s
            if latest_here <= 0:
                continue
            latest_elsewhere = max(self.milp.high[self.end[first]] - b.begin_s, latest_here)
            terms = [(self.start[second], 1.0), (self.end[first], -1.0)]
            self.milp.add_row(
                [*terms, *scaled(order[0], -latest_elsewhere), *scaled(order[1], -latest_here)],
                -latest_elsewhere - latest_here - EVENT_SLACK,
            )

    def _battery_rows(self, device: int) -> None:
        """Energy balance of a battery that can be depleted; all later tasks fail."""
        milp, tasks, start_j = self.milp, self.tasks, float(self.start_j[device])
        spent: Terms = []
        for n, task in enumerate(tasks):
            if task.agent == device:
                spent += [
                    (column, option.send_j)
                    for column, option in self.option_columns(n, SendOutcome.DELIVERED, SendOutcome.LOST)
                ]
                for column, option in list(self.option_columns(n, SendOutcome.DEPLETED)):
                    sent_j = milp.add_column(0.0, option.send_j)
                    milp.add_row([(sent_j, 1.0), (column, -option.send_j)], high=0.0)
                    self.energy[n][device] = [*self.energy[n][device], (sent_j, 1.0)]
            if device in task.bounds:
                shortfall = milp.add_column(0.0, float(self.largest_use_j[n, device]))
                depleted = self.depletes[n][device]
                milp.add_row([(depleted, 1.0), *scaled(self.executed_at(n, device), -1.0)], high=0.0)
                milp.add_row([(shortfall, 1.0), (depleted, -float(self.largest_use_j[n, device]))], high=0.0)
                milp.add_row([*self.energy[n][device], (shortfall, -1.0)], 0.0)
                self.energy[n][device] = [*self.energy[n][device], (shortfall, -1.0)]
                milp.add_row([(self.fails[n], 1.0), (depleted, -1.0)], 0.0)
                spent += self.energy[n][device]
        milp.add_row(spent, high=start_j + EVENT_SLACK)
        for n, task in enumerate(tasks):
            depletion_columns = [(self.depletes[n][device], task.slot)] if device in task.bounds else []
            if task.agent == device:
                depletion_columns += [
                    (column, task.slot - 1) for column, _ in self.option_columns(n, SendOutcome.DEPLETED)
                ]
            for column, slot in depletion_columns:
                milp.add_row([*spent, (column, -start_j)], -EVENT_SLACK)
                for later, other in enumerate(tasks):
                    if other.agent == device and other.slot > slot and later != n:
                        sent = [
                            (sending, 1.0)
                            for sending, option in self.option_columns(later, SendOutcome.DELIVERED, SendOutcome.LOST)
                            if option.uses_energy
                        ]
                        milp.add_row([*sent, (column, 1.0)], high=1.0)
                    follows = (
                        other.slot > slot
                        if column not in self.depletes[n].values()
                        else self._always_after(n, later, device)
                    )
                    if device in other.bounds and follows and later != n:
                        milp.add_row(
                            [
                                (self.depletes[later][device], 1.0),
                                (column, -1.0),
                                *scaled(self.executed_at(later, device), -1.0),
                            ],
                            -1.0,
                        )

    def _always_after(self, first: int, second: int, device: int) -> bool:
        """Whether the second task always queues behind the first."""
        order = self.queue_order(first, second, device)
        return order is not None and order[2]
