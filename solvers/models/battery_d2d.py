"""Pyomo model of a window of `battery_d2d`: targets and CPU modes of all its tasks, problem (21) summed over devices.

Nature is known: `task_options` lists for each task where it can be sent, beside how many other transmitters, with what
outcome, time and energy, equations (1) to (7). Equations are the paper's; times are in s, energies in J.

*Ageing* (12) to (15) falls with the energy taken from a battery before, as ``exp(-4 K_soc used / E_max)``: convex. The
MINLP has this function, the MILP (``linear=True``) its tangents. Both bound ageing from below otherwise: by the least
energy, the lowest level within a task, no deviation (13), and all tasks that may come before. `add_cuts` removes the
error at given decisions: a task has its exact cost unless a choice changes that affects its batteries or its queue.

Batteries that may be exhausted within the window are not modelled; `exact` has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances
from offloadopt.errors import Unsupported
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.solvers.models.base import MathematicalModel, require_one, total_range, zero_decisions
from offloadopt.solvers.models.battery_d2d_choices import Choice, WindowChoices
from offloadopt.solvers.task_queues.task_options import (
    SendOption,
    SendOutcome,
    ageing_cost,
    ageing_lower_bound,
    build_tasks,
    largest_uses_j,
)

TANGENT_POINTS = 5
"""Tangents of the ageing factor in the linear model."""
EVENT_SLACK = 1e-7
"""Seconds by which conditions on events are relaxed, so that rounding excludes no decision."""
NEAR = 0.05
"""Decisions of one changed task get cuts if they cost at most this share more than the incumbent."""


class BatteryD2DModel(MathematicalModel):
    """Pyomo model of one instance.

    Parameters
    ----------
    problem : BatteryD2D
    instance : Instances
        One instance.
    linear : bool
        Replace the ageing factor by tangents.

    Attributes
    ----------
    pyomo : pyomo.environ.ConcreteModel
    cost_unit : float
        1: the objective is the cost itself.
    magnitude : float
        Sum of all variables' ranges and rows' multipliers.

    Raises
    ------
    Unsupported
        If a battery may be exhausted.
    """

    cost_unit = 1.0

    def __init__(self, problem: BatteryD2D, instance: Instances, *, linear: bool = False) -> None:
        require_one(instance)
        self.problem, self.instance, self._linear = problem, instance, linear
        self.data = problem.hindsight_data(instance)
        self.tasks = build_tasks(self.data, 0)
        self.start_j = self.data.start_j[0]
        self.uses_j = np.stack([largest_uses_j(self.data, self.tasks, d) for d in range(self.data.devices)], axis=-1)
        short = np.flatnonzero(self.uses_j.sum(axis=0) > self.start_j)
        if len(short):
            d = int(short[0])
            raise Unsupported(
                f"the battery of device {d} may be exhausted: {self.uses_j[:, d].sum():.4g} J of {self.start_j[d]:.4g} "
                "J; the model has batteries that suffice; allowed: a shorter window, larger batteries, or exact"
            )
        self.choices = WindowChoices(problem, instance, self.tasks)
        self._known: set[tuple[Any, ...]] = set()
        self.pyomo = self._build()

    @classmethod
    def require(cls, problem: BatteryD2D) -> None:
        """Refuse scenarios in which the expected tasks would exhaust a full battery, if large and all on one device."""
        s, mobile = problem.scenario, problem.processors[0]
        joules = s.task_chance * s.users * s.horizon * s.cycles_max * float(np.max(mobile.power_w / mobile.speed_hz))
        if joules > s.battery_j:
            raise Unsupported(
                f"models of battery_d2d need batteries that suffice: {s.users} users in {s.horizon} slots may take "
                f"{joules:.4g} J from one of {s.battery_j:.4g} J; allowed: a shorter window, larger batteries, or exact"
            )

    @property
    def magnitude(self) -> float:
        """See the class; a task's rows have multipliers of at most its failure, drop and energy."""
        most = self.data.failure_cost + self.data.drop_cost + 1.0
        return total_range(self.pyomo) + 4.0 * most * len(self.tasks)

    # ------------------------------------------------------------------------------------------------- constraints

    def _build(self) -> Any:
        import pyomo.environ as pyo

        m, tasks = pyo.ConcreteModel("battery_d2d (21)"), self.tasks
        m.N = range(len(tasks))
        # (24) action: the target, with the number of transmitters that it then has, and the mode of its CPU
        m.w = pyo.Var([(n, o) for n in m.N for o in range(len(tasks[n].options))], domain=pyo.Binary)
        m.y = pyo.Var(
            [(n, d, k) for n in m.N for d in tasks[n].bounds for k in range(self.data.modes)], domain=pyo.Binary
        )
        m.one_target = pyo.Constraint(m.N, rule=lambda m, n: sum(m.w[n, o] for o in range(len(tasks[n].options))) == 1)
        m.one_mode = pyo.Constraint(
            [(n, d) for n in m.N for d in tasks[n].bounds],
            rule=lambda m, n, d: self._at(m, n, d) == sum(m.w[n, o] for o, _ in self._delivered(n, d)),
        )
        self._transmitters(m)
        self._execution(m)
        self._queues(m)
        self._failures(m)
        self._costs(m)
        return m

    def _delivered(self, n: int, device: int) -> list[tuple[int, SendOption]]:
        """Options by which a task reaches a device."""
        options = enumerate(self.tasks[n].options)
        return [(o, each) for o, each in options if each.device == device and each.outcome is SendOutcome.DELIVERED]

    def _at(self, m: Any, n: int, device: int) -> Any:
        """Whether a device executes a task."""
        return sum(m.y[n, device, k] for k in range(self.data.modes))

    def _transmitters(self, m: Any) -> None:
        """(2): n_r transmitters share the subchannels of receiver r in a slot."""
        import pyomo.environ as pyo

        by: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for n, task in enumerate(self.tasks):
            for o, option in enumerate(task.options):
                if option.senders > 0:
                    by.setdefault((task.slot, option.device), []).append((n, o, option.senders))
        numbers = [(*place, number) for place, sent in by.items() for number in sorted({each[2] for each in sent})]
        m.z = pyo.Var(numbers, domain=pyo.Binary)
        m.so_many = pyo.Constraint(
            numbers,
            rule=lambda m, s, r, k: sum(m.w[n, o] for n, o, number in by[s, r] if number == k) == k * m.z[s, r, k],
        )
        m.one_number = pyo.Constraint(
            list(by), rule=lambda m, s, r: sum(m.z[place] for place in numbers if place[:2] == (s, r)) <= 1
        )

    def _execution(self, m: Any) -> None:
        """(8) start after the reception, (9) seconds in the chosen mode and, from the deadline on, in the fastest."""
        import pyomo.environ as pyo

        tasks, data = self.tasks, self.data
        last = [max(b.last_start_s for b in t.bounds.values()) for t in tasks]
        m.start = pyo.Var(m.N, bounds=lambda m, n: (tasks[n].begin_s, last[n] + EVENT_SLACK))
        m.arrival = pyo.Constraint(
            m.N,
            rule=lambda m, n: (
                m.start[n]
                >= tasks[n].begin_s
                + sum(o.send_s * m.w[n, i] for d in tasks[n].bounds for i, o in self._delivered(n, d))
            ),
        )
        slower = [(n, d, k) for n, d, k in m.y if k > 0]
        # Seconds of the chosen mode that the fastest one replaces: max(S + C / f - deadline, 0)
        m.late = pyo.Var(slower, bounds=lambda m, n, d, k: (0, tasks[n].mode_s(data, d, k)))
        m.only_chosen = pyo.Constraint(slower, rule=lambda m, *k: m.late[k] <= m.late[k].ub * m.y[k])
        m.hurries = pyo.Var(m.N, domain=pyo.Binary)
        longest = [max(t.mode_s(data, d, k) for d in t.bounds for k in range(data.modes)) for t in tasks]

        def overrun(m: Any, n: int) -> tuple[Any, Any, Any]:
            mine = [each for each in slower if each[0] == n]
            replaced, chosen = sum(m.late[each] for each in mine), sum(m.y[each] for each in mine)
            seconds = sum(tasks[n].mode_s(data, d, k) * m.y[n, d, k] for _, d, k in mine)
            return replaced, m.start[n] + seconds - tasks[n].deadline_s, chosen

        beyond = [max(last[n] + EVENT_SLACK - tasks[n].deadline_s, 0.0) for n in m.N]
        if slower:
            m.at_least = pyo.Constraint(
                m.N, rule=lambda m, n: overrun(m, n)[0] >= overrun(m, n)[1] - beyond[n] * (1 - overrun(m, n)[2])
            )
            m.at_most = pyo.Constraint(
                m.N,
                rule=lambda m, n: (
                    overrun(m, n)[0] <= overrun(m, n)[1] + (tasks[n].deadline_s - tasks[n].begin_s) * (1 - m.hurries[n])
                ),
            )
            m.if_late = pyo.Constraint(m.N, rule=lambda m, n: overrun(m, n)[0] <= longest[n] * m.hurries[n])
            # After the deadline there is only the fastest mode.
            m.fastest = pyo.Constraint(
                m.N, rule=lambda m, n: m.start[n] + beyond[n] * overrun(m, n)[2] <= tasks[n].deadline_s + beyond[n]
            )
        # (10) end = start + seconds
        m.end = pyo.Expression(
            m.N, rule=lambda m, n: m.start[n] + sum(self._seconds(m, *each) for each in m.y if each[0] == n)
        )

    def _seconds(self, m: Any, n: int, d: int, k: int) -> Any:
        seconds = self.tasks[n].mode_s(self.data, d, k) * m.y[n, d, k]
        speed = self.data.speed_hz[d]
        return seconds - (1.0 - float(speed[k] / speed[0])) * m.late[n, d, k] if k else seconds

    def _queues(self, m: Any) -> None:
        """(8): a task starts after the end of each one that queues before it, by slot, arrival and device."""
        import pyomo.environ as pyo

        m.queue = pyo.ConstraintList()
        for a, first in enumerate(self.tasks):
            for b, second in enumerate(self.tasks):
                for d in set(first.bounds) & set(second.bounds):
                    most = max(s.last_end_s for s in first.bounds.values()) + 2 * EVENT_SLACK - second.begin_s
                    if a == b or first.slot > second.slot or most <= 0:
                        continue
                    for one, other in self._orders(m, a, b, d):
                        m.queue.add(m.start[b] >= m.end[a] - EVENT_SLACK - most * (2 - one - other))

    def _orders(self, m: Any, a: int, b: int, d: int) -> list[tuple[Any, Any]]:
        """Pairs of expressions that are both 1 where task a queues before task b at a device."""
        first, second = self.tasks[a], self.tasks[b]
        if first.slot < second.slot:
            return [(self._at(m, a, d), self._at(m, b, d))]
        return [
            (m.w[a, i], m.w[b, j])
            for i, one in self._delivered(a, d)
            for j, other in self._delivered(b, d)
            if (one.send_s, first.agent) < (other.send_s, second.agent)
        ]

    def _failures(self, m: Any) -> None:
        """F = 1 where the target or the owner of a task done elsewhere is disconnected before its end."""
        import pyomo.environ as pyo

        m.fails, m.cut_off = pyo.Var(m.N, bounds=(0, 1)), pyo.ConstraintList()
        for n, task in enumerate(self.tasks):
            latest = max(b.last_end_s for b in task.bounds.values()) + 2 * EVENT_SLACK
            for d in task.bounds:
                until = float(self.data.until_s[0, task.slot, task.agent, d])
                if d != task.agent and latest > until:
                    room = (latest - until) * (m.fails[n] + 1 - self._at(m, n, d))
                    m.cut_off.add(m.end[n] <= until + EVENT_SLACK + room)

    # -------------------------------------------------------------------------------------------------------- costs

    def _costs(self, m: Any) -> None:
        import pyomo.environ as pyo

        tasks, data = self.tasks, self.data
        # (6), (7), (11): energy of sending, from the owner's battery; of receiving and executing, from the target's
        sent = [sum(o.send_j * m.w[n, i] for i, o in enumerate(t.options)) for n, t in enumerate(tasks)]
        m.done = pyo.Expression(
            [(n, d) for n in m.N for d in tasks[n].bounds],
            rule=lambda m, n, d: (
                sum(o.send_j * m.w[n, i] for i, o in self._delivered(n, d))
                + sum(self._joules(m, n, d, k) for k in range(data.modes))
            ),
        )
        m.ageing = pyo.Var(m.N, bounds=lambda m, n: (0, self._most_ageing(n)))
        self._ageing(m, sent)
        # (20) C = w1 PE + w2 F + w3 delta + w4 D, with (18) PE = T_max / T_longest E
        m.costs = pyo.Var(m.N, bounds=lambda m, n: (0, self._most_cost(n)))
        dropped = [
            sum(m.w[n, i] for i, o in enumerate(t.options) if o.outcome is not SendOutcome.DELIVERED)
            for n, t in enumerate(tasks)
        ]
        m.task_cost = pyo.Constraint(
            m.N,
            rule=lambda m, n: (
                m.costs[n]
                >= tasks[n].joule_price * (sent[n] + sum(m.done[n, d] for d in tasks[n].bounds))
                + data.failure_cost * (m.fails[n] + dropped[n])
                + data.drop_cost * dropped[n]
                + m.ageing[n]
                + sum(self._sending_ageing(n, o) * m.w[n, i] for i, o in enumerate(tasks[n].options) if o.uses_energy)
            ),
        )
        m.exact = pyo.ConstraintList()
        # (21), summed over the devices
        m.cost = pyo.Objective(expr=sum(m.costs[n] for n in m.N))

    def _joules(self, m: Any, n: int, d: int, k: int) -> Any:
        """(11): the power of the mode, and that of the fastest mode for what it replaces."""
        power, speed = self.data.power_w[d], self.data.speed_hz[d]
        joules = self.tasks[n].mode_s(self.data, d, k) * float(power[k]) * m.y[n, d, k]
        return joules + (float(power[0] * speed[k] / speed[0]) - float(power[k])) * m.late[n, d, k] if k else joules

    def _ageing(self, m: Any, sent: list[Any]) -> None:
        """(12), (14), (15): the ageing of the initial level times ``exp(-x)``, x from the energy used before."""
        import pyomo.environ as pyo

        data, alpha = self.data, 4.0 * self.data.ageing.level / self.data.capacity_j
        places = [(n, d) for n in m.N for d in self.tasks[n].bounds]
        before = {(n, d): self._before(n) for n, d in places}
        most = {(n, d): alpha * float(self.uses_j[before[n, d], d].sum()) for n, d in places}
        m.exponent = pyo.Var(places, bounds=lambda m, n, d: (0, most[n, d]))
        m.used = pyo.Constraint(
            places,
            rule=lambda m, n, d: (
                m.exponent[n, d]
                == alpha
                * sum(
                    (m.done[k, d] if d in self.tasks[k].bounds else 0.0)
                    + (sent[k] if self.tasks[k].agent == d else 0.0)
                    for k in before[n, d]
                )
                if before[n, d]
                else pyo.Constraint.Skip
            ),
        )
        m.aged = pyo.ConstraintList()
        for n, d in places:
            for k in range(data.modes):
                full, off = self._least_ageing(n, d, k), 1 - m.y[n, d, k]
                if not self._linear and before[n, d]:
                    m.aged.add(m.ageing[n] >= full * (pyo.exp(-m.exponent[n, d]) - off))
                    continue
                for point in np.linspace(0.0, most[n, d], TANGENT_POINTS if before[n, d] else 1):
                    m.aged.add(m.ageing[n] >= full * (float(np.exp(-point)) * (1 + point - m.exponent[n, d]) - off))

    def _before(self, n: int) -> list[int]:
        """Tasks whose energy may have been taken before task n begins."""
        return [k for k, other in enumerate(self.tasks) if k != n and other.slot <= self.tasks[n].slot]

    def _least_ageing(self, n: int, d: int, k: int) -> float:
        """Lower bound of a mode's ageing on a battery at its initial level."""
        data, task, bound = self.data, self.tasks[n], self.tasks[n].bounds[d]
        level, receive = float(self.start_j[d]) / data.capacity_j, (bound.least_receive_j, bound.largest_receive_j)
        joules = [task.energy_j(data, d, k, s) for s in (bound.first_start_s, bound.last_start_s)]
        # Between them the energy is linear in the start, and the bound is quasi-concave in the energy.
        return min(ageing_lower_bound(data, level, receive, each) for each in joules)

    def _sending_ageing(self, n: int, option: SendOption) -> float:
        """Lower bound of the ageing by sending, after all that may have been used before."""
        agent = self.tasks[n].agent
        earlier = [k for k, other in enumerate(self.tasks) if other.slot < self.tasks[n].slot]
        level = (
            float(self.start_j[agent] - self.uses_j[earlier, agent].sum() - option.send_j / 2) / self.data.capacity_j
        )
        return ageing_cost(self.data, option.send_j, max(level, 0.0))

    def _most_ageing(self, n: int) -> float:
        """Ageing by all the energy of a task at full charge, with the largest deviation over so much energy."""
        data, task = self.data, self.tasks[n]
        used = (float(self.uses_j[n].max()) + max(o.send_j for o in task.options)) / data.capacity_j
        stress = np.exp((np.sqrt(3.0) * used - 1.0) / data.ageing.deviation + 2.0 * data.ageing.level)
        return float(data.ageing_price * data.ageing.per_cycle * used * stress)

    def _most_cost(self, n: int) -> float:
        """More than a task can cost: its failure, its energy, and its ageing."""
        task, data = self.tasks[n], self.data
        joules = float(self.uses_j[n].max()) + max(o.send_j for o in task.options)
        return data.failure_cost + data.drop_cost + task.joule_price * joules + 2.0 * self._most_ageing(n)

    # ---------------------------------------------------------------------------------------------------- decisions

    def initial_decisions(self) -> Decisions:
        """All tasks on their own devices, in the fastest mode."""
        return zero_decisions(self.problem, 1)

    def decisions(self) -> Decisions:
        """Decisions of the options and modes that the variables hold."""
        return self.choices.decisions([self._choices()])

    def warm_start(self, decisions: Decisions) -> None:
        """Leave the variables: those of the solution before are the start."""

    def add_cuts(self, decisions: Decisions) -> bool:
        """Give tasks their exact costs under the choices that the variables hold, and under near neighbours."""
        candidates = self.choices.neighbours(self._choices())
        if not candidates:  # a solution that breaks the numbers of transmitters by more than a tolerance
            return False
        costs = self.choices.costs(candidates)
        total = costs.sum(axis=1)
        near = np.flatnonzero(total <= (1.0 + NEAR) * total.min())
        return any([self._add_cut(candidates[c], costs[c]) for c in {0, *near.tolist()}])

    def _choices(self) -> list[Choice]:
        m, chosen = self.pyomo, list[Choice]()
        for n, task in enumerate(self.tasks):
            o = int(np.argmax([m.w[n, i].value or 0.0 for i in range(len(task.options))]))
            modes = [m.y[n, task.options[o].device, k].value or 0.0 for k in range(self.data.modes)] if (
                task.options[o].outcome is SendOutcome.DELIVERED
            ) else [1.0]  # fmt: skip
            chosen.append((o, int(np.argmax(modes))))
        return chosen

    def _add_cut(self, choices: list[Choice], costs: FloatArray) -> bool:
        """``cost >= exact (1 - changes)`` for each task, over the choices that affect it; whether any is new."""
        m, new = self.pyomo, False
        for n in m.N:
            same, other = self.choices.affecting(n, choices)
            key = n, tuple(same), tuple(other)
            if key not in self._known:
                self._known.add(key)
                kept = sum(m.w[each] if len(each) == 2 else m.y[each] for each in same)
                m.exact.add(m.costs[n] >= float(costs[n]) * (1 - (len(same) - kept) - sum(m.w[each] for each in other)))
                new = True
        return new
