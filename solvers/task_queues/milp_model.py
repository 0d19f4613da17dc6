"""MILP of task queues: the costs of the decisions that `milp_constraints` allows, from below, with cuts.

Ageing is convex in the energy used of the battery before; tangents bound it from below. The error of the tangents is
removed at the decisions found (`TaskQueueMilp.add_cost_cuts`): a task has its exact cost unless the choices change that
affect its two batteries up to its slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray
from offloadopt.solvers.task_queues.milp_constraints import EVENT_SLACK, TaskQueueConstraints, Terms, scaled, stop_after
from offloadopt.solvers.task_queues.task_options import (
    SendOption,
    SendOutcome,
    Task,
    ageing_cost,
    ageing_is_concave,
    ageing_lower_bound,
    depleted_senders,
)
from offloadopt.structures.task_queues import HindsightData

TANGENTS = 5
"""Number of points at which tangents bound ageing in the initial model."""


@dataclass(frozen=True)
class Choice:
    """Indices of a task's send option and, where it is delivered, of its mode."""

    option: int
    mode: int


class TaskQueueMilp(TaskQueueConstraints):
    """MILP of one instance; its optimum is a lower bound of the problem's cost.

    It takes the parameters of `TaskQueueConstraints`, and building stops at the deadline as there.
    """

    def __init__(self, data: HindsightData, row: int, tasks: list[Task], deadline: Deadline) -> None:
        super().__init__(data, row, tasks, deadline)
        self.known_cuts: set[tuple[tuple[int, ...], tuple[tuple[int, float], ...]]] = set()
        for n, task in enumerate(tasks):
            stop_after(deadline)
            self._ageing_rows(n, task)
            self._cost_row(n, task)

    # ------------------------------------------------------------------------------------------------- costs

    def _ageing_rows(self, n: int, task: Task) -> None:
        """Tangents of ``exp(-alpha used / capacity)``, where ``used`` bounds the energy used before."""
        milp, data = self.milp, self.data
        alpha = 4.0 * data.ageing.level / data.capacity_j
        # Ageing is a product of the energy used now and of a factor that falls with the energy used before. Two lower
        # bounds (McCormick): at least use and least factor, and at largest use and largest factor, 1.
        tangents: list[Terms] = [[] for _ in range(2 * TANGENTS)]
        for device in task.bounds:
            used, most_used = self._used_before(n, device)
            most = alpha * min(most_used, float(self.start_j[device]))
            exponent: Terms = []
            for mode, y in enumerate(self.mode_column[n][device]):
                least_ageing, most_ageing, growth = self._ageing_bounds(n, device, mode)
                x = milp.add_column(0.0, most)
                milp.add_row([(x, 1.0), (y, -most)], high=0.0)
                exponent.append((x, 1.0))
                for number, point in enumerate(np.linspace(0.0, most, TANGENTS)):
                    slope = float(np.exp(-point))
                    factor = [(y, slope * (1.0 + float(point))), (x, -slope)]
                    tangents[number] += [*scaled(factor, least_ageing), *scaled(growth, float(np.exp(-most)))]
                    tangents[TANGENTS + number] += [
                        *scaled(factor, most_ageing),
                        (y, least_ageing - most_ageing),
                        *growth,
                    ]
            if device in self.depletes[n]:
                initial_level = float(self.start_j[device]) / data.capacity_j
                full_ageing = ageing_cost(data, task.largest_energy_j(data, device), initial_level)
                for terms in tangents:
                    terms.append((self.depletes[n][device], -full_ageing))
            milp.add_row([*exponent, *scaled(used, -alpha)], high=EVENT_SLACK * alpha)
        for terms in tangents:
            milp.add_row([(self.ageing[n], 1.0), *scaled(terms, -1.0)], 0.0)

    def _used_before(self, n: int, device: int) -> tuple[Terms, float]:
        """Upper bound of the energy taken from a battery before task n, as an expression and as a constant."""
        task, used, most_used = self.tasks[n], Terms(), 0.0
        for other, earlier in enumerate(self.tasks):
            if other == n or earlier.slot > task.slot:
                continue
            if self.queue_order(other, n, device) is not None:
                used += self.energy[other][device]
            if earlier.agent == device:
                used += [
                    (column, option.send_j)
                    for column, option in self.option_columns(other, SendOutcome.DELIVERED, SendOutcome.LOST)
                ]
            most_used += float(self.largest_use_j[other, device])
        return used, most_used

    def _ageing_bounds(self, n: int, device: int, mode: int) -> tuple[float, float, Terms]:
        """Least and largest ageing cost of a mode at the initial level; and the growth above the least with ``r``."""
        data, task, bound = self.data, self.tasks[n], self.tasks[n].bounds[device]
        initial_level = float(self.start_j[device]) / data.capacity_j
        receive = bound.least_receive_j, bound.largest_receive_j
        early, late = (
            ageing_lower_bound(data, initial_level, receive, task.energy_j(data, device, mode, start_s))
            for start_s in (bound.first_start_s, bound.last_start_s)
        )
        if (device, mode) not in self.saved[n]:
            return min(early, late), max(early, late), []
        r, least_s, most_s = self.saved[n][device, mode]
        if early >= late or least_s >= most_s or not ageing_is_concave(data, task.largest_energy_j(data, device)):
            return min(early, late), max(early, late), []
        # A concave function lies above its chord.
        rate = (late - early) / (most_s - least_s)
        return early, late, [(r, rate), (self.mode_column[n][device][mode], -rate * least_s)]

    def _cost_row(self, n: int, task: Task) -> None:
        """Bound the task's cost column by its energy, failure, drop and ageing costs."""
        data, price = self.data, task.joule_price
        terms: Terms = [(self.fails[n], data.failure_cost), (self.ageing[n], 1.0)]
        for column, option in zip(self.option_column[n], task.options, strict=True):
            cost = data.failure_cost + (0.0 if option.outcome is SendOutcome.DEPLETED else data.drop_cost)
            sent_j = option.send_j if option.outcome in (SendOutcome.DELIVERED, SendOutcome.LOST) else 0.0
            cost = (0.0 if option.outcome is SendOutcome.DELIVERED else cost) + price * sent_j
            if sent_j > 0:
                cost += self._sending_ageing(task, option)
            terms.append((column, cost))
        for energy in self.energy[n].values():
            terms += scaled(energy, price)
        self.milp.add_row([(self.cost[n], 1.0), *scaled(terms, -1.0)], 0.0)

    def _sending_ageing(self, task: Task, option: SendOption) -> float:
        """Lower bound of the ageing cost of sending, at the lowest level that the battery can have."""
        earlier = [k for k, other in enumerate(self.tasks) if other.slot < task.slot]
        rivals = [k for k, other in enumerate(self.tasks) if other.slot == task.slot and other.agent == task.agent]
        used = float(self.largest_use_j[earlier, task.agent].sum() + option.send_j * len(rivals) / 2.0)
        level = max(self.start_j[task.agent] - used, option.send_j / 2.0) / self.data.capacity_j
        return ageing_cost(self.data, option.send_j, min(float(level), 1.0))  # no battery is more than full

    # ------------------------------------------------------------------------------------------------- decisions

    def choices(self, values: FloatArray) -> list[Choice]:
        """Read the choices of a solution ``values [columns]``."""
        chosen = []
        for n, task in enumerate(self.tasks):
            option = int(np.argmax(values[self.option_column[n]]))
            modes = self.mode_column[n].get(task.options[option].device, [])
            delivered = task.options[option].outcome is SendOutcome.DELIVERED
            chosen.append(Choice(option, int(np.argmax(values[modes])) if delivered else 0))
        return chosen

    def add_cost_cuts(self, choices: list[Choice], costs: FloatArray) -> int:
        """Add rows that fix the tasks' ``costs [tasks]`` under these choices; returns how many rows are new.

        Each row uses the outcomes that the senders' batteries really give. Where the model's outcomes differ from
        these, one more row bounds the sum of all costs under the choices as the model made them.
        """
        real = self._with_actual_outcomes(choices)
        cuts = [([n], *self._count_differences(n, real), float(cost)) for n, cost in enumerate(costs)]
        if real != choices:
            cuts.append((list(range(len(costs))), *self._count_all_differences(choices), float(costs.sum())))
        added = 0
        for tasks, differences, number, exact in cuts:
            key = tuple(tasks), tuple(sorted(differences))
            if key not in self.known_cuts:
                self.known_cuts.add(key)
                # cost >= exact (1 - number - differences): the row is inactive as soon as one choice differs.
                cost_terms = [(self.cost[n], 1.0) for n in tasks]
                self.milp.add_row([*cost_terms, *scaled(differences, exact)], exact * (1.0 - number))
                added += 1
        return added

    def _with_actual_outcomes(self, choices: list[Choice]) -> list[Choice]:
        """Replace outcomes of send options by those that the senders' batteries really give."""
        real = []
        cut = depleted_senders(
            self.data, self.start_j, self.tasks, [(choice.option, choice.mode) for choice in choices]
        )
        for task, choice, ends in zip(self.tasks, choices, cut, strict=True):
            option = task.options[choice.option]
            if not option.uses_energy or ends == (option.outcome is SendOutcome.DEPLETED):
                real.append(choice)
                continue
            other = [
                number
                for number, alternative in enumerate(task.options)
                if (alternative.device, alternative.senders) == (option.device, option.senders)
                and (alternative.outcome is SendOutcome.DEPLETED) == ends
            ]
            real.append(Choice(other[0], choice.mode))
        return real

    def _count_differences(self, n: int, choices: list[Choice]) -> tuple[Terms, int]:
        """Count differing choices that affect task n's batteries up to its slot, as an expression and a constant."""
        task, option = self.tasks[n], self.tasks[n].options[choices[n].option]
        batteries = {task.agent} | ({option.device} if option.outcome is SendOutcome.DELIVERED else set())
        terms, number = Terms(), 0
        for k, other in enumerate(self.tasks):
            if other.slot > task.slot:
                continue
            chosen = other.options[choices[k].option]
            if k == n or self._uses_battery(other, chosen, batteries):
                terms.append((self.option_column[k][choices[k].option], -1.0))
                number += 1
                if chosen.outcome is SendOutcome.DELIVERED and (k == n or chosen.device in batteries):
                    terms.append((self.mode_column[k][chosen.device][choices[k].mode], -1.0))
                    number += 1
            else:
                terms += [
                    (column, 1.0)
                    for column, alternative in zip(self.option_column[k], other.options, strict=True)
                    if self._uses_battery(other, alternative, batteries)
                ]
        return terms, number

    def _count_all_differences(self, choices: list[Choice]) -> tuple[Terms, int]:
        """Count differing targets, numbers of senders and modes of all tasks; these determine battery depletion."""
        terms, number = Terms(), 0
        for n, (task, choice) in enumerate(zip(self.tasks, choices, strict=True)):
            chosen = task.options[choice.option]
            same = [
                (column, option.outcome)
                for column, option in zip(self.option_column[n], task.options, strict=True)
                if (option.device, option.senders) == (chosen.device, chosen.senders)
            ]
            terms += [(column, -1.0) for column, _ in same]
            number += 1
            if any(outcome is SendOutcome.DELIVERED for _, outcome in same):
                terms.append((self.mode_column[n][chosen.device][choice.mode], -1.0))
                terms += [(column, -1.0) for column, outcome in same if outcome is SendOutcome.DEPLETED]
                number += 1
        return terms, number

    @staticmethod
    def _uses_battery(task: Task, option: SendOption, devices: set[int]) -> bool:
        """Whether a send option takes energy from one of the devices' batteries, or enters its queue."""
        return (option.outcome is SendOutcome.DELIVERED and option.device in devices) or (
            option.uses_energy and task.agent in devices
        )
