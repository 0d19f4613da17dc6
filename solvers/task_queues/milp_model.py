"""The MILP of tasks in queues: ways, modes, starts, hurry, disconnections, batteries and a lower bound of ageing.

For task n, binary ``w`` chooses its way, ``y[d, k]`` the mode where it is done, ``z[s, d, m]`` that m send to device d
in slot s. ``S`` and ``F`` are start and end; ``r[d, k]`` are the seconds of the chosen mode that hurry takes away,

    r = max(S + C / f_k - deadline, 0),   F - S = C / f_k - r (1 - f_k / f_0)

for who begins before the deadline; after it only the fastest mode is left. ``h`` says that a task hurries, ``v`` that
it ends after a disconnection. Where a battery can end, ``q`` says that it does, and the device then spends exactly what
it has. Big numbers are differences of
the bounds of `queue_tasks`. Ageing is convex in what was used of the battery before; tangents bound it from below.
What the tangents miss is cut away where a decision was found (`QueueModel.insist`): a task costs what it costs as long
as nothing changes that touches its two batteries until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.solvers.task_queues.task_options import (
    SendOutcome,
    Task,
    Way,
    ageing_cost,
    cut_senders,
    grows_concavely,
    horizon_use,
    wear,
)
from offloadopt.structures.task_queues import HindsightData

EASE = 1e-7
"""Seconds and joules by which what an event must reach is eased, so that rounding cannot exclude a decision."""
TANGENTS = 5
"""Points at which ageing is bounded before any decision is known."""

Terms = list[tuple[int, float]]


@dataclass(frozen=True)
class Choice:
    """A task's way and, where it is done, its mode."""

    way: int
    mode: int


class Columns:
    """Columns and rows of a MILP in the making."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.price: list[float] = []
        self.whole: list[int] = []
        self.rows: list[tuple[Terms, float, float]] = []

    def add(self, low: float, high: float, *, price: float = 0.0) -> int:
        """A number between limits."""
        self.low.append(low)
        self.high.append(high)
        self.price.append(price)
        return len(self.low) - 1

    def flag(self) -> int:
        """0 or 1."""
        self.whole.append(self.add(0.0, 1.0))
        return self.whole[-1]

    def row(self, terms: Iterable[tuple[int, float]], low: float = -np.inf, high: float = np.inf) -> None:
        """``low <= sum of terms <= high``; terms of one column are added up."""
        summed: dict[int, float] = {}
        for column, factor in terms:
            summed[column] = summed.get(column, 0.0) + factor
        self.rows.append(([(column, factor) for column, factor in summed.items() if factor != 0.0], low, high))


def times(terms: Terms, factor: float) -> Terms:
    """The terms, multiplied."""
    return [(column, factor * value) for column, value in terms]


class QueueModel:
    """The MILP of one instance.

    Parameters
    ----------
    view : HindsightData
    row : int
        The instance.
    tasks : list of Task
        Its tasks, in the order (slot, agent).
    """

    def __init__(self, view: HindsightData, row: int, tasks: list[Task]) -> None:
        self.view, self.tasks, self.columns = view, tasks, Columns()
        self.known: set[tuple[tuple[int, ...], tuple[tuple[int, float], ...]]] = set()
        self.start_j = view.start_j[row]
        self.until_s = view.until_s[row]
        self.use = np.stack([horizon_use(view, tasks, device) for device in range(view.devices)], axis=1)
        self.ends = self.use.sum(axis=0) > self.start_j
        add = self.columns
        self.way = [[add.flag() for _ in task.ways] for task in tasks]
        self.mode = [{d: [add.flag() for _ in range(view.modes)] for d in task.spans} for task in tasks]
        self.cost = [add.add(0.0, np.inf, price=1.0) for _ in tasks]
        self.start = [add.add(t.begin_s, max(s.last_start_s for s in t.spans.values()) + EASE) for t in tasks]
        self.end = [add.add(t.begin_s, max(s.last_end_s for s in t.spans.values()) + 2.0 * EASE) for t in tasks]
        self.fails = [add.add(0.0, 1.0) for _ in tasks]
        self.worn = [add.add(0.0, np.inf) for _ in tasks]
        self.lost: list[dict[tuple[int, int], tuple[int, float, float]]] = [{} for _ in tasks]
        """By device and mode: the column of `r` with its least and its largest number."""
        self.needs: list[dict[int, Terms]] = [{} for _ in tasks]
        """Energy that a task needs of the device that does it, if that has it."""
        self.empties: list[dict[int, int]] = [{d: add.flag() for d in t.spans if self.ends[d]} for t in tasks]
        for n, task in enumerate(tasks):
            self._choices(n, task)
            self._execution(n, task)
        self._senders()
        for device in range(view.devices):
            self._queue(device)
            if self.ends[device]:
                self._battery(device)
        for n, task in enumerate(tasks):
            self._ageing(n, task)
            self._costs(n, task)

    # ------------------------------------------------------------------------------------------------- one task

    def done(self, n: int, device: int) -> Terms:
        """1 where task n is done by the device."""
        return [(column, 1.0) for column in self.mode[n].get(device, [])]

    def ways(self, n: int, *fates: SendOutcome, device: int | None = None) -> Iterator[tuple[int, Way]]:
        """Columns of the ways with these fates, to one device or to all."""
        for column, way in zip(self.way[n], self.tasks[n].ways, strict=True):
            if way.fate in fates and (device is None or way.device == device):
                yield column, way

    def _choices(self, n: int, task: Task) -> None:
        self.columns.row([(column, 1.0) for column in self.way[n]], 1.0, 1.0)
        for device in task.spans:
            ways = [(column, -1.0) for column, _ in self.ways(n, SendOutcome.DONE, device=device)]
            self.columns.row([*self.done(n, device), *ways], 0.0, 0.0)

    def _execution(self, n: int, task: Task) -> None:
        add, view = self.columns, self.view
        start, end = self.start[n], self.end[n]
        arrival = [(column, way.send_s) for column, way in self.ways(n, SendOutcome.DONE)]
        add.row([(start, 1.0), *times(arrival, -1.0)], task.begin_s)
        lasts: Terms = []
        lost: Terms = []  # seconds of slower modes that hurry takes away
        slow: Terms = []  # seconds that slower modes take without hurry
        slower: Terms = []
        longest_s = 0.0
        for device, span in task.spans.items():
            speed, power = view.speed_hz[device], view.power_w[device]
            full_j = float(power[0] / speed[0])
            needs = [(column, way.send_j) for column, way in self.ways(n, SendOutcome.DONE, device=device)]
            for mode, y in enumerate(self.mode[n][device]):
                seconds = task.mode_s(view, device, mode)
                lasts.append((y, seconds))
                needs.append((y, seconds * float(power[mode])))
                if mode == 0 or span.last_start_s + seconds <= task.deadline_s:
                    continue
                r = add.add(0.0, seconds)
                least_s = min(max(span.first_s + seconds - task.deadline_s, 0.0), seconds)
                most_s = min(max(span.last_start_s + seconds - task.deadline_s, 0.0), seconds)
                add.row([(r, 1.0), (y, -least_s)], 0.0)
                add.row([(r, 1.0), (y, -most_s)], high=0.0)
                lasts.append((r, -(1.0 - float(speed[mode] / speed[0]))))
                needs.append((r, full_j * float(speed[mode]) - float(power[mode])))
                lost.append((r, 1.0))
                self.lost[n][device, mode] = r, least_s, most_s
                slow.append((y, seconds))
                slower.append((y, 1.0))
                longest_s = max(longest_s, seconds)
            self.needs[n][device] = needs
            self._disconnection(n, task, device)
        add.row([(end, 1.0), (start, -1.0), *times(lasts, -1.0)], 0.0, 0.0)
        if lost:
            self._hurry(n, task, lost, slow, slower, longest_s)

    def _hurry(self, n: int, task: Task, lost: Terms, slow: Terms, slower: Terms, longest_s: float) -> None:
        """``lost`` is exactly what the deadline takes from a slower mode."""
        add, start, deadline_s = self.columns, self.start[n], task.deadline_s
        overrun = [(start, 1.0), *slow]
        beyond_s = max(add.high[start] - deadline_s, 0.0)
        # Whoever begins after the deadline is in the fastest mode from the first cycle on: it may be called so.
        add.row([(start, 1.0), *times(slower, beyond_s)], high=deadline_s + beyond_s)
        add.row([*lost, *times(overrun, -1.0), *times(slower, -beyond_s)], -deadline_s - beyond_s)
        hurries, room_s = add.flag(), deadline_s - task.begin_s
        add.row([*lost, (hurries, -longest_s)], high=0.0)
        add.row([*lost, *times(overrun, -1.0), (hurries, room_s)], high=room_s - deadline_s)

    def _disconnection(self, n: int, task: Task, device: int) -> None:
        """A task that is done by others fails where one of the two is disconnected before its end."""
        until_s = float(self.until_s[task.slot, task.agent, device])
        latest = task.spans[device].last_end_s
        if device == task.agent or latest <= until_s:
            return
        add, surplus = self.columns, latest - until_s
        fails = [(self.fails[n], -surplus)]
        # Tasks done elsewhere may end later than any does here.
        elsewhere = self.columns.high[self.end[n]] - until_s
        add.row([(self.end[n], 1.0), *fails, *times(self.done(n, device), elsewhere)], high=until_s + elsewhere + EASE)

    # ------------------------------------------------------------------------------------------------- devices

    def _senders(self) -> None:
        """Who sends with so many others is one of so many."""
        for slot in sorted({task.slot for task in self.tasks}):
            now = [n for n, task in enumerate(self.tasks) if task.slot == slot]
            for device in range(self.view.devices):
                ways = [
                    (column, way.senders)
                    for n in now
                    for column, way in self.ways(n, *SendOutcome, device=device)
                    if way.senders > 0
                ]
                most = max((senders for _, senders in ways), default=0)
                if most < 2:
                    continue
                flags = [self.columns.flag() for _ in range(most)]
                self.columns.row([(flag, 1.0) for flag in flags], high=1.0)
                for senders, flag in enumerate(flags, start=1):
                    terms = [(column, 1.0) for column, number in ways if number == senders]
                    self.columns.row([*terms, (flag, -float(senders))], 0.0, 0.0)

    def before(self, first: int, second: int, device: int) -> tuple[Terms, Terms, bool] | None:
        """Where of two tasks at a device the first queues before the second, and whether that is always so."""
        a, b = self.tasks[first], self.tasks[second]
        if device not in a.spans or device not in b.spans or a.slot > b.slot or first == second:
            return None
        if a.slot < b.slot:
            return self.done(first, device), self.done(second, device), True
        together = [
            (one, another)
            for one in self.ways(first, SendOutcome.DONE, device=device)
            for another in self.ways(second, SendOutcome.DONE, device=device)
            if one[1].senders == another[1].senders or device in (a.agent, b.agent)
        ]
        ahead = [(one, another) for one, another in together if (one[1].send_s, a.agent) < (another[1].send_s, b.agent)]
        if not ahead:
            return None
        if ahead == together:
            return self.done(first, device), self.done(second, device), True
        ones, others = {one[0] for one, _ in ahead}, {another[0] for _, another in ahead}
        return [(column, 1.0) for column in ones], [(column, 1.0) for column in others], False

    def _queue(self, device: int) -> None:
        """Who queues behind another begins after its end."""
        for first, second in np.ndindex(len(self.tasks), len(self.tasks)):
            order = self.before(first, second, device)
            if order is None:
                continue
            a, b = self.tasks[first], self.tasks[second]
            here = a.spans[device].last_end_s - b.begin_s
            if here <= 0:
                continue
            elsewhere = max(self.columns.high[self.end[first]] - b.begin_s, here)
            terms = [(self.start[second], 1.0), (self.end[first], -1.0)]
            self.columns.row([*terms, *times(order[0], -elsewhere), *times(order[1], -here)], -elsewhere - here - EASE)

    def _battery(self, device: int) -> None:
        """A battery that can end: what it gives, and that everything fails afterwards."""
        add, tasks, start_j = self.columns, self.tasks, float(self.start_j[device])
        spent: Terms = []
        for n, task in enumerate(tasks):
            if task.agent == device:
                spent += [(column, way.send_j) for column, way in self.ways(n, SendOutcome.DONE, SendOutcome.LOST)]
                for column, way in list(self.ways(n, SendOutcome.CUT)):
                    given = add.add(0.0, way.send_j)
                    add.row([(given, 1.0), (column, -way.send_j)], high=0.0)
                    self.needs[n][device] = [*self.needs[n][device], (given, 1.0)]
            if device in task.spans:
                short, empty = add.add(0.0, float(self.use[n, device])), self.empties[n][device]
                add.row([(empty, 1.0), *times(self.done(n, device), -1.0)], high=0.0)
                add.row([(short, 1.0), (empty, -float(self.use[n, device]))], high=0.0)
                add.row([*self.needs[n][device], (short, -1.0)], 0.0)
                self.needs[n][device] = [*self.needs[n][device], (short, -1.0)]
                add.row([(self.fails[n], 1.0), (empty, -1.0)], 0.0)
                spent += self.needs[n][device]
        add.row(spent, high=start_j + EASE)
        for n, task in enumerate(tasks):
            ended = [(self.empties[n][device], task.slot)] if device in task.spans else []
            if task.agent == device:
                ended += [(column, task.slot - 1) for column, _ in self.ways(n, SendOutcome.CUT)]
            for column, slot in ended:
                add.row([*spent, (column, -start_j)], -EASE)
                for later, other in enumerate(tasks):
                    if other.agent == device and other.slot > slot and later != n:
                        sent = [
                            (way, 1.0)
                            for way, kind in self.ways(later, SendOutcome.DONE, SendOutcome.LOST)
                            if kind.sends
                        ]
                        add.row([*sent, (column, 1.0)], high=1.0)
                    follows = (
                        other.slot > slot if column not in self.empties[n].values() else self._after(n, later, device)
                    )
                    if device in other.spans and follows and later != n:
                        add.row(
                            [
                                (self.empties[later][device], 1.0),
                                (column, -1.0),
                                *times(self.done(later, device), -1.0),
                            ],
                            -1.0,
                        )

    def _after(self, first: int, second: int, device: int) -> bool:
        """Whether the second always queues behind the first."""
        order = self.before(first, second, device)
        return order is not None and order[2]

    # ------------------------------------------------------------------------------------------------- costs

    def _ageing(self, n: int, task: Task) -> None:
        """Tangents of ``exp(-alpha used / capacity)``, by what may have been used before."""
        add, view = self.columns, self.view
        alpha = 4.0 * view.ageing.level / view.capacity_j
        # Of a product of what is used now and of a factor that falls with what was used before, two lower bounds:
        # around the least use with the least factor, and around the most use with the largest, 1 (McCormick).
        tangents: list[Terms] = [[] for _ in range(2 * TANGENTS)]
        for device in task.spans:
            used, most_used = self._used_before(n, device)
            most = alpha * min(most_used, float(self.start_j[device]))
            before: Terms = []
            for mode, y in enumerate(self.mode[n][device]):
                least_wear, most_wear, growth = self._wear(n, device, mode)
                x = add.add(0.0, most)
                add.row([(x, 1.0), (y, -most)], high=0.0)
                before.append((x, 1.0))
                for number, point in enumerate(np.linspace(0.0, most, TANGENTS)):
                    slope = float(np.exp(-point))
                    factor = [(y, slope * (1.0 + float(point))), (x, -slope)]
                    tangents[number] += [*times(factor, least_wear), *times(growth, float(np.exp(-most)))]
                    tangents[TANGENTS + number] += [
                        *times(factor, most_wear),
                        (y, least_wear - most_wear),
                        *growth,
                    ]
            if device in self.empties[n]:
                share = float(self.start_j[device]) / view.capacity_j
                whole = ageing_cost(view, task.most_j(view, device), share)
                for terms in tangents:
                    terms.append((self.empties[n][device], -whole))
            add.row([*before, *times(used, -alpha)], high=EASE * alpha)
        for terms in tangents:
            add.row([(self.worn[n], 1.0), *times(terms, -1.0)], 0.0)

    def _used_before(self, n: int, device: int) -> tuple[Terms, float]:
        """What may have been taken from a battery before task n: an upper bound of it, and the most that it can be."""
        task, used, most_used = self.tasks[n], Terms(), 0.0
        for other, earlier in enumerate(self.tasks):
            if other == n or earlier.slot > task.slot:
                continue
            if self.before(other, n, device) is not None:
                used += self.needs[other][device]
            if earlier.agent == device:
                used += [(column, way.send_j) for column, way in self.ways(other, SendOutcome.DONE, SendOutcome.LOST)]
            most_used += float(self.use[other, device])
        return used, most_used

    def _wear(self, n: int, device: int, mode: int) -> tuple[float, float, Terms]:
        """Bounds of what a mode wears a full battery; as terms, by how much more than the least where it hurries."""
        view, task, span = self.view, self.tasks[n], self.tasks[n].spans[device]
        share = float(self.start_j[device]) / view.capacity_j
        receive = span.least_receive_j, span.most_receive_j
        early, late = (
            wear(view, share, receive, task.energy_j(view, device, mode, start_s))
            for start_s in (span.first_s, span.last_start_s)
        )
        if (device, mode) not in self.lost[n]:
            return min(early, late), max(early, late), []
        r, least_s, most_s = self.lost[n][device, mode]
        if early >= late or least_s >= most_s or not grows_concavely(view, task.most_j(view, device)):
            return min(early, late), max(early, late), []
        # A concave function lies above its chord.
        rate = (late - early) / (most_s - least_s)
        return early, late, [(r, rate), (self.mode[n][device][mode], -rate * least_s)]

    def _costs(self, n: int, task: Task) -> None:
        """The task's own column is worth its energy, failure, drop and ageing."""
        view, price = self.view, task.joule_price
        terms: Terms = [(self.fails[n], view.failure_cost), (self.worn[n], 1.0)]
        for column, way in zip(self.way[n], task.ways, strict=True):
            cost = view.failure_cost + (0.0 if way.fate is SendOutcome.CUT else view.drop_cost)
            sent_j = way.send_j if way.fate in (SendOutcome.DONE, SendOutcome.LOST) else 0.0
            cost = (0.0 if way.fate is SendOutcome.DONE else cost) + price * sent_j
            if sent_j > 0:
                cost += self._sending_wear(task, way)
            terms.append((column, cost))
        for needs in self.needs[n].values():
            terms += times(needs, price)
        self.columns.row([(self.cost[n], 1.0), *times(terms, -1.0)], 0.0)

    def _sending_wear(self, task: Task, way: Way) -> float:
        """What sending wears at least: after everything that may have been used before, and is there."""
        earlier = [k for k, other in enumerate(self.tasks) if other.slot < task.slot]
        rivals = [k for k, other in enumerate(self.tasks) if other.slot == task.slot and other.agent == task.agent]
        used = float(self.use[earlier, task.agent].sum() + way.send_j * len(rivals) / 2.0)
        level = max(self.start_j[task.agent] - used, way.send_j / 2.0) / self.view.capacity_j
        return ageing_cost(self.view, way.send_j, float(level))

    # ------------------------------------------------------------------------------------------------- decisions

    def choices(self, values: FloatArray) -> list[Choice]:
        """What a solution chooses."""
        found = []
        for n, task in enumerate(self.tasks):
            way = int(np.argmax(values[self.way[n]]))
            modes = self.mode[n].get(task.ways[way].device, [])
            done = task.ways[way].fate is SendOutcome.DONE
            found.append(Choice(way, int(np.argmax(values[modes])) if done else 0))
        return found

    def insist(self, choices: list[Choice], costs: FloatArray) -> int:
        """Rows that say what tasks cost under these choices, ``costs [tasks]``; how many are new.

        Where the model took a battery for empty that is not, or the other way round, all choices together are told
        what they cost, and each task with the ways as they really end.
        """
        real = self._real(choices)
        each = [([n], *self._differences(n, real), float(cost)) for n, cost in enumerate(costs)]
        if real != choices:
            each.append((list(range(len(costs))), *self._all_differences(choices), float(costs.sum())))
        made = 0
        for tasks, differs, number, exact in each:
            key = tuple(tasks), tuple(sorted(differs))
            if key not in self.known:
                self.known.add(key)
                # cost >= exact (1 - number - differs): nothing is said where one choice is another one.
                paid = [(self.cost[n], 1.0) for n in tasks]
                self.columns.row([*paid, *times(differs, exact)], exact * (1.0 - number))
                made += 1
        return made

    def _real(self, choices: list[Choice]) -> list[Choice]:
        """The choices with the ways as the senders' batteries make them end."""
        real = []
        cut = cut_senders(self.view, self.start_j, self.tasks, [(choice.way, choice.mode) for choice in choices])
        for task, choice, ends in zip(self.tasks, choices, cut, strict=True):
            way = task.ways[choice.way]
            if not way.sends or ends == (way.fate is SendOutcome.CUT):
                real.append(choice)
                continue
            other = [
                number
                for number, option in enumerate(task.ways)
                if (option.device, option.senders) == (way.device, way.senders)
                and (option.fate is SendOutcome.CUT) == ends
            ]
            real.append(Choice(other[0], choice.mode))
        return real

    def _differences(self, n: int, choices: list[Choice]) -> tuple[Terms, int]:
        """Counts what differs in all that touches the batteries of task n until its slot, as terms and a number."""
        task, way = self.tasks[n], self.tasks[n].ways[choices[n].way]
        touched = {task.agent} | ({way.device} if way.fate is SendOutcome.DONE else set())
        terms, number = Terms(), 0
        for k, other in enumerate(self.tasks):
            if other.slot > task.slot:
                continue
            chosen = other.ways[choices[k].way]
            if k == n or self._touches(other, chosen, touched):
                terms.append((self.way[k][choices[k].way], -1.0))
                number += 1
                if chosen.fate is SendOutcome.DONE and (k == n or chosen.device in touched):
                    terms.append((self.mode[k][chosen.device][choices[k].mode], -1.0))
                    number += 1
            else:
                terms += [
                    (column, 1.0)
                    for column, option in zip(self.way[k], other.ways, strict=True)
                    if self._touches(other, option, touched)
                ]
        return terms, number

    def _all_differences(self, choices: list[Choice]) -> tuple[Terms, int]:
        """Counts what differs anywhere in targets, senders and modes; whether a battery ends follows from these."""
        terms, number = Terms(), 0
        for n, (task, choice) in enumerate(zip(self.tasks, choices, strict=True)):
            chosen = task.ways[choice.way]
            same = [
                (column, option.fate)
                for column, option in zip(self.way[n], task.ways, strict=True)
                if (option.device, option.senders) == (chosen.device, chosen.senders)
            ]
            terms += [(column, -1.0) for column, _ in same]
            number += 1
            if any(fate is SendOutcome.DONE for _, fate in same):
                terms.append((self.mode[n][chosen.device][choice.mode], -1.0))
                terms += [(column, -1.0) for column, fate in same if fate is SendOutcome.CUT]
                number += 1
        return terms, number

    @staticmethod
    def _touches(task: Task, way: Way, devices: set[int]) -> bool:
        """Whether a way takes energy from one of the batteries, or a place in its queue."""
        return (way.fate is SendOutcome.DONE and way.device in devices) or (way.sends and task.agent in devices)
