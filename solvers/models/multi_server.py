"""Pyomo model of problem P0 of `multi_server` (Jiang et al., arXiv:2005.12364, equations (1) to (13)).

Two parts differ from the paper's formulation.

*Transmit power.* ``p_ij`` appears in no constraint but its own limit (7), and in the objective only in the cost of its
own link, ``(l_t + l_e p_ij) D_i / r_ij(p_ij)``. For every assignment the optimal power of a link is therefore the one
of least cost per bit, and the model has the constant `link_cost` instead of the variable.

*CPU shares.* With ``a`` fixed, (13) is ``min sum_i l_t C_i / f_ij`` subject to ``sum_i f_ij <= F_j`` over the
tasks of server j. Its Lagrangian is stationary where ``l_t C_i / f_ij^2`` is the same for all of them; with
``s_i = sqrt(l_t C_i)`` the KKT point is ``f_ij = F_j s_i / L_j``, ``L_j = sum_i s_i a_ij``, and its cost

    ``sum_i s_i^2 / f_ij = sum_i s_i^2 L_j / (F_j s_i) = L_j^2 / F_j``.

``allocation="eliminated"`` uses this: a load ``L_j`` and a congestion ``t_j F_j >= L_j^2`` per server, a convex
quadratic constraint. The load is a separate variable because a model with the expanded square is much slower to solve.
``allocation="explicit"`` keeps the paper's ``f_ij`` with one time ``tau_ij f_ij >= C_i a_ij^2`` per link instead, so
that the elimination can be checked: both have the same optimum.

Units are powers of ten: cycles near a second of a server's CPU, costs near the mean of the tasks' cheapest options;
these are giga-cycles, GHz and 1 for the paper's values. Options that cannot be optimal are left out. With coefficients
up to 1e9, SCIP has returned a wrong optimum. Squares are products: SCIP 10 needs 300 times as long for ``L ** 2``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from offloadopt.core import ROUNDING, Decisions, FloatArray, Instances, IntArray
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.physics import channel, compute
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.models.base import MathematicalModel, power_of_ten, require_one

FIRST_TANGENTS = 32
"""Initial tangents per server of the linear model, at loads from that of one task to that of all tasks."""


class MultiServerModel(MathematicalModel):
    """Pyomo model of P0 for one instance.

    Parameters
    ----------
    problem : MultiServer
    instance : Instances
        One instance.
    linear : bool
        Replace the quadratic congestion by tangents: a MILP whose optimum is a lower bound, and equal to that of P0
        once `add_cuts` has been called with its solution.
    allocation : {"eliminated", "explicit"}
        Whether the CPU shares are replaced by their optimum.

    Attributes
    ----------
    pyomo : pyomo.environ.ConcreteModel
    cost_unit : float
        Cost of one unit of the Pyomo model's objective.
    magnitude : float
        Sum of the ranges of all variables and of the largest multipliers of all rows, in the model's units: how far one
        unit of error in every reduced cost and every row can move the optimum.
    """

    def __init__(
        self,
        problem: MultiServer,
        instance: Instances,
        *,
        linear: bool = False,
        allocation: Literal["eliminated", "explicit"] = "eliminated",
    ) -> None:
        require_one(instance)
        if allocation not in ("eliminated", "explicit"):
            raise InvalidInput(f"allocation = {allocation!r}; allowed: 'eliminated', 'explicit'")
        if linear and allocation == "explicit":
            raise Unsupported("the explicit allocation is not linearised; use allocation = 'eliminated'")
        self.problem, self.instance = problem, instance
        self._linear, self._explicit = linear, allocation == "explicit"

        s = problem.scenario
        bits, cycles = instance["task_bits"][0], instance["task_cycles"][0]
        # (1), (8) to (10) of a local task, with p_i0 = kappa f^v of (7)
        local_w = compute.cpu_power(s.cpu_local_hz, s.kappa, s.cpu_exponent)
        local_cost = (s.time_weight + s.energy_weight * local_w) * (cycles / s.cpu_local_hz)
        # (1), (2), (8) to (10) of sending a task, at the optimal power of its link
        snr_per_watt = instance["gain"][0] / (s.noise_w_per_hz * s.bandwidth_hz)
        power_w = channel.cheapest_power(snr_per_watt, s.time_weight, s.energy_weight, s.power_max_w)
        with np.errstate(divide="ignore", over="ignore"):
            send_s = bits[:, None] / channel.shannon_rate(s.bandwidth_hz, power_w * snr_per_watt)
        link_cost = (s.time_weight + s.energy_weight * power_w) * send_s

        server_cost = s.time_weight * (cycles / s.cpu_server_hz)  # alone on a server: a lower bound
        load = np.sqrt(s.time_weight * cycles)
        crowded = link_cost.min(axis=1) + load * (2.0 * load.sum() - load) / s.cpu_server_hz  # beside all other tasks
        most_cost = np.minimum(local_cost, crowded) * (1.0 + ROUNDING)
        cycle_unit = power_of_ten(np.asarray(s.cpu_server_hz))
        self.cost_unit = power_of_ten(np.minimum(local_cost, link_cost.min(axis=1) + server_cost))
        # An option is not needed if it costs more than another does at worst, and a server not if it costs no less than
        # computing locally. Beside the coefficients of these, the others would be below the solver's tolerance.
        alone = link_cost + server_cost[:, None]
        self._usable = np.column_stack(
            [local_cost <= most_cost, (alone <= most_cost[:, None]) & (alone < local_cost[:, None])]
        )
        self._most_cost: FloatArray = most_cost / self.cost_unit
        self._local_cost: FloatArray = np.minimum(local_cost, most_cost) / self.cost_unit
        self._link_cost: FloatArray = link_cost / self.cost_unit
        # l_t C_i in cost units: cost of a task's time on a CPU of one cycle unit per second
        self._work: FloatArray = s.time_weight / self.cost_unit * (cycles / cycle_unit)
        self._load: FloatArray = np.sqrt(self._work)
        self._capacity = s.cpu_server_hz / cycle_unit
        self._most_load: FloatArray = self._load @ self._usable[:, 1:]
        self._tangents: set[tuple[int, float]] = set()

        self.pyomo = self._build()
        if linear:
            for loads in np.geomspace(self._load.min(), np.maximum(self._most_load, self._load.min()), FIRST_TANGENTS):
                self._add_tangents(loads)
        self.warm_start(self.initial_decisions())

    @property
    def magnitude(self) -> float:
        """See the class."""
        tasks, servers = len(self._usable), len(self._most_load)
        # Upper bound of a task's cost, with every server at its largest load: its multiplier of (5) is no larger.
        most_price = 2.0 * self._most_load / self._capacity
        crowded = np.where(self._usable[:, 1:], self._link_cost + np.outer(self._load, most_price), np.inf)
        cost = np.minimum(self._most_cost, crowded.min(axis=1)).sum()
        if self._explicit:
            ranges = servers * (self._capacity * tasks + self._most_cost.sum())
            multipliers = tasks * servers + np.sum(most_price**2)
        else:
            ranges = np.sum(self._most_load + self._most_load**2 / self._capacity)
            multipliers = np.sum(1.0 + most_price)
        return float(tasks * (servers + 1) + ranges + multipliers + 2.0 * cost + 1.0)

    def _build(self) -> Any:
        import pyomo.environ as pyo

        m = pyo.ConcreteModel("multi_server P0")
        m.I = pyo.RangeSet(0, len(self._usable) - 1)
        m.J = pyo.RangeSet(1, len(self._most_load))

        # (4) a_ij in {0, 1}: task i runs locally (j = 0) or on server j
        m.a = pyo.Var(m.I, pyo.RangeSet(0, len(self._most_load)), domain=pyo.Binary)
        for i, j in zip(*np.nonzero(~self._usable), strict=True):
            m.a[i, j].fix(0)

        # (5) sum_j a_ij = 1
        m.one_place = pyo.Constraint(m.I, rule=lambda m, i: m.a[i, 0] + sum(m.a[i, j] for j in m.J) == 1)

        # (10) l_t T_i + l_e E_i without the time on a server's CPU
        link = self._link_cost
        alone = sum(
            self._local_cost[i] * m.a[i, 0] + sum(link[i, j - 1] * m.a[i, j] for j in m.J if self._usable[i, j])
            for i in m.I
        )
        congestion = self._shares(m) if self._explicit else self._loads(m)

        # (11) min sum_i O_i
        m.cost = pyo.Objective(expr=alone + congestion)
        return m

    def _loads(self, m: Any) -> Any:
        """(6) and (13) with f at its KKT point: server j costs ``L_j^2 / F_j``."""
        import pyomo.environ as pyo

        most, capacity = self._most_load, self._capacity
        m.L = pyo.Var(m.J, bounds=lambda m, j: (0, most[j - 1]))
        m.t = pyo.Var(m.J, bounds=lambda m, j: (0, most[j - 1] ** 2 / capacity))

        # (13) L_j = sum_i s_i a_ij, s_i = sqrt(l_t C_i)
        m.load_of = pyo.Constraint(m.J, rule=lambda m, j: m.L[j] == sum(self._load[i] * m.a[i, j] for i in m.I))
        if self._linear:
            m.tangent = pyo.ConstraintList()
        else:
            # (13) t_j F_j >= L_j^2
            m.sharing = pyo.Constraint(m.J, rule=lambda m, j: m.L[j] * m.L[j] <= capacity * m.t[j])
        return sum(m.t[j] for j in m.J)

    def _shares(self, m: Any) -> Any:
        """(1) and (6) with the paper's own variables ``f_ij``."""
        import pyomo.environ as pyo

        m.f = pyo.Var(m.I, m.J, bounds=(0, self._capacity))
        # An offloaded task whose time costs more than another option at worst is cheaper there.
        m.tau = pyo.Var(m.I, m.J, bounds=lambda m, i, j: (0, self._most_cost[i]))

        # (1) time on server j: tau_ij >= C_i a_ij / f_ij, here with the weight l_t and a^2 = a, which makes it a cone
        m.computing = pyo.Constraint(
            m.I, m.J, rule=lambda m, i, j: self._work[i] * m.a[i, j] * m.a[i, j] <= m.tau[i, j] * m.f[i, j]
        )
        # (6) sum_i a_ij f_ij <= F_j; f_ij > 0 buys nothing where a_ij = 0
        m.server_cpu = pyo.Constraint(m.J, rule=lambda m, j: sum(m.f[i, j] for i in m.I) <= self._capacity)
        return sum(m.tau[i, j] for i in m.I for j in m.J)

    # --------------------------------------------------------------------------------------------------- decisions

    def initial_decisions(self) -> Decisions:
        """Tasks local, or on the servers of their cheapest links where that costs more: feasible in every instance."""
        cheapest = 1 + np.argmin(self._link_cost, axis=1)
        return self._allocated(np.where(self._usable[:, 0], 0, cheapest)[None].astype(np.int64))

    def decisions(self) -> Decisions:
        """Decisions of the assignment that the variables hold, with optimal powers and CPU shares."""
        a, options = self.pyomo.a, range(self.problem.servers + 1)
        chosen = [[a[i, j].value or 0.0 for j in options] for i in range(self.problem.tasks)]
        return self._allocated(np.argmax(chosen, axis=1)[None].astype(np.int64))

    def warm_start(self, decisions: Decisions) -> None:
        """Set the variables to given decisions; of the explicit form only the assignment is set."""
        server, m = self.problem.assignment(decisions)[0], self.pyomo
        for (i, j), variable in m.a.items():
            if not variable.fixed:
                variable.set_value(int(server[i] == j))
        if self._explicit:
            return
        for j, load in enumerate(self._loads_of(server), start=1):
            m.L[j].set_value(load)
            m.t[j].set_value(load**2 / self._capacity)

    def add_cuts(self, decisions: Decisions) -> bool:
        """Make the linear model exact at given decisions; return false where it already was."""
        return self._linear and self._add_tangents(self._loads_of(self.problem.assignment(decisions)[0]))

    def _allocated(self, assignment: IntArray) -> Decisions:
        return self.problem.allocate(self.instance, assignment)

    def _loads_of(self, server: IntArray) -> FloatArray:
        return np.array([np.sum(self._load * (server == j)) for j in range(1, self.problem.servers + 1)])

    def _add_tangents(self, loads: FloatArray) -> bool:
        """Add tangents ``L^2 / F >= 2 v L - F v^2``, exact at ``v = L / F``, and return whether any is new."""
        m, new = self.pyomo, False
        for j, load in enumerate(loads, start=1):
            key = (j, float(f"{load:.12g}"))
            if load > 0 and key not in self._tangents:
                self._tangents.add(key)
                price = load / self._capacity
                m.tangent.add(m.t[j] >= 2 * price * m.L[j] - self._capacity * price**2)
                new = True
        return new
