"""Pyomo models of one slot of `partial_mobile`: maximal utility (15) under C1 to C5, as a cost to be minimised.

Equations are those of the reconstruction that the problem names. Times are relative to local computing (5), energies
to that of local computing (6), and CPU to the most that a task would use, so that all coefficients are near 1.

*MINLP* (``linear=False``): the paper's variables ``x_ij``, ``lambda_i``, ``F_i``. Users of a server share its band, so
that user i sends for ``lambda_i n_j S_ij`` seconds; with ``n_j = sum_k x_kj`` the products of a ratio and a binary are
linear. What remains is bilinear in ratio and CPU, for which SCIP branches on both.

*MILP* (``linear=True``): the optimal ratio is 0, 1, or the balanced one at which both parts of a task end together
(`offloadopt.physics.task_splitting`), and with the number n of a server's users as an index the cost of either mode is
convex in the CPU share alone. Tangents bound it from below; added at the solutions, they make the MILP exact.

A server that is overloaded cuts requests pro rata, and charges a penalty for it: the shares that remain are feasible
without the penalty, so that C5 may be demanded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, Instances, Observation
from offloadopt.errors import InvalidInput
from offloadopt.physics.task_splitting import mode_cost, mode_slope
from offloadopt.problems.partial_mobile import PartialMobile
from offloadopt.solvers.models.base import MathematicalModel, require_one
from offloadopt.solvers.models.tangents import Tangents

FIRST_POINTS = np.array([0.03, 0.1, 0.2, 0.35, 0.6, 1.0])
"""CPU shares at which the linear model has tangents from the beginning."""
LEAST_SHARE = 1e-6
"""Smallest CPU share at which a tangent is added: below it costs of full offloading are too steep."""


class PartialMobileModel(MathematicalModel):
    """Pyomo model of one slot.

    Parameters
    ----------
    problem : PartialMobile
        With a horizon of 1.
    instance : Instances
        One instance.
    linear : bool
        Build the MILP in place of the MINLP.

    Attributes
    ----------
    pyomo : pyomo.environ.ConcreteModel
    cost_unit : float
        1: the objective is the cost itself.
    """

    cost_unit = 1.0

    def __init__(self, problem: PartialMobile, instance: Instances, *, linear: bool = False) -> None:
        require_one(instance)
        if problem.horizon != 1:
            raise InvalidInput(f"{problem.horizon} slots; a model is built of exactly 1, as slots are independent")
        self.problem, self.instance, self._linear = problem, instance, linear
        self.tasks = problem.splitting(instance).take(0)  # [users, sites, numbers of users]
        self.rows = self.tasks.packed()
        # [modes, users, sites, numbers] CPU in Hz of least cost; none uses more. On a huge server that is a tiny share.
        nothing = np.zeros(self.tasks.send_s.shape)
        self.best_hz = np.stack([self.tasks.best_cpu(np.asarray(full), nothing) for full in (False, True)])
        self.cpu_unit = float(
            np.clip(self.best_hz.max(), LEAST_SHARE**2 * self.tasks.cpu_max_hz, self.tasks.cpu_max_hz)
        )
        self.room = min(self.tasks.cpu_max_hz / self.cpu_unit, float(problem.tasks))
        self.pyomo = self._build_options() if linear else self._build_paper()
        self.warm_start(self.initial_decisions())

    @property
    def magnitude(self) -> float:
        """Every variable ranges over about 1, every multiplier is at most a server's worth of local costs, 1 each."""
        import pyomo.environ as pyo

        variables = sum(1 for _ in self.pyomo.component_data_objects(pyo.Var))
        return float(variables + 2 * self.problem.tasks * (1 + self.problem.sites))

    # ------------------------------------------------------------------------------------------------------- MINLP

    def _build_paper(self) -> Any:
        import pyomo.environ as pyo

        send, send_j, useful = self._sending()
        users, sites = send.shape
        m = pyo.ConcreteModel("partial_mobile (15)-(18)")
        m.I, m.J = range(users), range(sites)
        # C1 x_ij in {0, 1}: user i sends to server j
        m.x = pyo.Var(m.I, m.J, domain=pyo.Binary)
        for i, j in zip(*np.nonzero(~useful), strict=True):
            m.x[i, j].fix(0)
        # C2 sum_j x_ij <= 1
        m.one_server = pyo.Constraint(m.I, rule=lambda m, i: sum(m.x[i, j] for j in m.J) <= 1)
        # C3 0 <= lambda_ij <= x_ij: the ratio, 0 at the other servers
        m.ratio = pyo.Var(m.I, m.J, bounds=(0, 1))
        m.sends = pyo.Constraint(m.I, m.J, rule=lambda m, i, j: m.ratio[i, j] <= m.x[i, j])
        # C4 0 <= F_ij <= x_ij F_max, in units of the most that any task would use
        m.cpu = pyo.Var(m.I, m.J, bounds=(0, 1))
        m.served = pyo.Constraint(m.I, m.J, rule=lambda m, i, j: m.cpu[i, j] <= m.x[i, j])
        # C5 sum_i F_ij <= F_max
        m.server_cpu = pyo.Constraint(m.J, rule=lambda m, j: sum(m.cpu[i, j] for i in m.I) <= self.room)
        # (3) n_j = sum_k x_kj: lambda_ij n_j = lambda_ij + sum over the others of lambda_ij x_kj
        m.beside = pyo.Var([(i, j, k) for i in m.I for j in m.J for k in m.I if k != i], bounds=(0, 1))
        m.shared_band = pyo.Constraint(
            m.beside.index_set(), rule=lambda m, i, j, k: m.beside[i, j, k] >= m.ratio[i, j] + m.x[k, j] - 1
        )
        m.band = pyo.Expression(
            m.I, m.J, rule=lambda m, i, j: m.ratio[i, j] + sum(m.beside[i, j, k] for k in m.I if k != i)
        )
        self._paper_costs(m, send, send_j)
        return m

    def _sending(self) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """(3), (7), (8): time and energy ``[users, sites]`` of sending everything alone, and the links worth using."""
        tasks = self.tasks
        send, send_j = tasks.send_s[:, :, 0] / tasks.local_s[..., 0], tasks.send_j[:, :, 0] / tasks.local_j[..., 0]
        # On an infinite CPU without energy some ratio costs less than computing locally just where beta_e E_tr < E0.
        useful = np.isfinite(send) & ((1.0 - self.tasks.time_weight) * send_j < 1.0)
        return np.where(useful, send, 0.0), np.where(useful, send_j, 0.0), useful

    def _paper_costs(self, m: Any, send: FloatArray, send_j: FloatArray) -> None:
        import pyomo.environ as pyo

        time_weight, energy_weight = self.tasks.time_weight, 1.0 - self.tasks.time_weight
        compute = self.rows[:, 0, 0, 3] / (self.cpu_unit * self.rows[:, 0, 0, 0])  # (9) on a unit of CPU
        compute_j = self.rows[:, 0, 0, 4] * self.cpu_unit**2  # (10) likewise
        m.all_cpu = pyo.Expression(m.I, rule=lambda m, i: sum(m.cpu[i, j] for j in m.J))
        m.all_ratio = pyo.Expression(m.I, rule=lambda m, i: sum(m.ratio[i, j] for j in m.J))

        # (9) T_edge >= lambda C / F; a user that takes longer than 1 / beta_t computes locally
        m.edge_time = pyo.Var(m.I, bounds=(0, 1.0 / time_weight))
        m.edge_computing = pyo.Constraint(
            m.I, rule=lambda m, i: m.edge_time[i] * m.all_cpu[i] >= float(compute[i]) * m.all_ratio[i]
        )
        # (10) E_edge >= lambda kappa_e F^2 C, with a variable for F^2 so that the model is quadratic
        m.cpu_squared, m.edge_energy = pyo.Var(m.I, bounds=(0, 1)), pyo.Var(m.I, bounds=(0, 1.0 / energy_weight))
        m.square = pyo.Constraint(m.I, rule=lambda m, i: m.cpu_squared[i] >= m.all_cpu[i] * m.all_cpu[i])
        m.edge_joules = pyo.Constraint(
            m.I, rule=lambda m, i: m.edge_energy[i] >= float(compute_j[i]) * m.all_ratio[i] * m.cpu_squared[i]
        )
        # (11) T_i = max(T_loc, T_tr + T_edge), with (5)
        m.time = pyo.Var(m.I, bounds=(0, 1.0 / time_weight))
        m.local_part = pyo.Constraint(m.I, rule=lambda m, i: m.time[i] >= 1 - m.all_ratio[i])
        m.sent_part = pyo.Constraint(
            m.I, rule=lambda m, i: m.time[i] >= sum(send[i, j] * m.band[i, j] for j in m.J) + m.edge_time[i]
        )
        # (12) E_i = E_loc + E_tr + E_edge, with (6)
        m.energy = pyo.Expression(
            m.I,
            rule=lambda m, i: 1 - m.all_ratio[i] + sum(send_j[i, j] * m.band[i, j] for j in m.J) + m.edge_energy[i],
        )
        # (15) beta_t T / T0 + beta_e E / E0, summed over users
        m.cost = pyo.Objective(expr=sum(time_weight * m.time[i] + energy_weight * m.energy[i] for i in m.I))

    # -------------------------------------------------------------------------------------------------------- MILP

    def _build_options(self) -> Any:
        import pyomo.environ as pyo

        users, sites, numbers, _ = self.rows.shape
        least = np.stack([self.tasks.mode_cost(np.asarray(bool(k)), self.best_hz[k]) for k in (0, 1)])
        m = pyo.ConcreteModel("partial_mobile (15)-(18), by numbers of users")
        m.I, m.J, m.N = range(users), range(sites), range(1, numbers + 1)
        # An option that costs no less than computing locally is never needed.
        m.options = [(i, j, n + 1, mode) for mode, i, j, n in np.argwhere(least < 1.0).tolist()]
        # C1, C3: user i is local, or one of the n users of server j, with balanced (0) or full (1) offloading
        m.local, m.x = pyo.Var(m.I, domain=pyo.Binary), pyo.Var(m.options, domain=pyo.Binary)
        m.z = pyo.Var(m.J, m.N, domain=pyo.Binary)  # server j has n users
        on: dict[tuple[int, int], list[Any]] = {(j, n): [] for j in m.J for n in m.N}
        by: list[list[Any]] = [[] for _ in m.I]
        for i, j, n, mode in m.options:
            on[j, n].append((i, j, n, mode))
            by[i].append((i, j, n, mode))
        # C2
        m.one_option = pyo.Constraint(m.I, rule=lambda m, i: m.local[i] + sum(m.x[o] for o in by[i]) == 1)
        # (3) n_j = sum_i x_ij
        m.users_there = pyo.Constraint(
            m.J, m.N, rule=lambda m, j, n: sum((m.x[o] for o in on[j, n]), 0.0 * m.z[j, n]) == n * m.z[j, n]
        )
        m.one_number = pyo.Constraint(m.J, rule=lambda m, j: sum(m.z[j, n] for n in m.N) <= 1)
        # A user is there once at most, and only where there are so many users: tightens the relaxation.
        once = sorted({(i, j, n) for i, j, n, _ in m.options})
        m.only_there = pyo.Constraint(
            once,
            rule=lambda m, i, j, n: sum(m.x[i, j, n, mode] for mode in (0, 1) if (i, j, n, mode) in m.x) <= m.z[j, n],
        )
        # C4, C5
        m.cpu = pyo.Var(m.options, bounds=(0, 1))
        m.served = pyo.Constraint(m.options, rule=lambda m, *o: m.cpu[o] <= m.x[o])
        m.server_cpu = pyo.Constraint(
            m.J, m.N, rule=lambda m, j, n: sum((m.cpu[o] for o in on[j, n]), 0.0 * m.z[j, n]) <= self.room * m.z[j, n]
        )
        # (15) by (11) and (12) as a function of the CPU share: tangents. No option is needed that costs more than 1.
        m.part, m.tangent = pyo.Var(m.options, bounds=(0, 1)), pyo.ConstraintList()
        m.cost = pyo.Objective(expr=sum(m.local[i] for i in m.I) + sum(m.part[o] for o in m.options))
        self.tangents = Tangents(m.tangent)
        for option in m.options:
            best = self.best_hz[option[3], option[0], option[1], option[2] - 1] / self.cpu_unit
            for share in np.append(FIRST_POINTS * best, best):
                self._add_tangent(m, option, float(share))
        return m

    def _add_tangent(self, m: Any, option: tuple[int, int, int, int], share: float) -> bool:
        i, j, n, mode = option
        task, hz = self.rows[i, j, n - 1], self.cpu_unit
        at, time_weight = max(share, LEAST_SHARE), self.tasks.time_weight
        value = float(mode_cost(bool(mode), at * hz, task, time_weight))
        slope = float(mode_slope(bool(mode), at * hz, task, time_weight)) * hz
        return self.tangents.add(option, at, value, slope, m.part[option], m.x[option], m.cpu[option])

    # --------------------------------------------------------------------------------------------------- decisions

    def initial_decisions(self) -> Decisions:
        """All users local: always feasible."""
        return self._allocated(np.zeros((1, self.problem.tasks), dtype=np.int64))

    def decisions(self) -> Decisions:
        """Decisions of the servers and modes that the variables hold, with optimal CPU shares and ratios."""
        m, chosen, sites = self.pyomo, np.zeros((1, self.problem.tasks), dtype=np.int64), self.problem.sites
        if self._linear:
            for i, j, n, mode in m.options:
                if (m.x[i, j, n, mode].value or 0.0) > 0.5:
                    chosen[0, i] = 1 + j + mode * sites
            return self._allocated(chosen)
        for i in m.I:
            ratio = np.array([m.ratio[i, j].value or 0.0 for j in m.J])
            j = int(ratio.argmax())
            if ratio[j] > LEAST_SHARE and (m.x[i, j].value or 0.0) > 0.5:
                chosen[0, i] = 1 + j + (sites if ratio[j] >= 1.0 - LEAST_SHARE else 0)
        return self._allocated(chosen)

    def warm_start(self, decisions: Decisions) -> None:
        """Set the variables to given decisions; of the MINLP the binaries alone, and the ratio and CPU of each."""
        m, option = self.pyomo, self.problem.assignment(decisions)[0]
        site, full = (option - 1) % self.problem.sites, option > self.problem.sites
        ratio, cpu = decisions["ratio"][0], decisions["cpu_hz"][0] / self.cpu_unit
        number = np.array([np.sum((option > 0) & (site == j)) for j in m.J])
        if self._linear:
            for (i, j, n, mode), x in m.x.items():
                here = option[i] > 0 and site[i] == j and number[j] == n and full[i] == mode
                x.set_value(int(here))
                m.cpu[i, j, n, mode].set_value(float(cpu[i]) if here else 0.0)
                m.part[i, j, n, mode].set_value(self._cost(i, j, n, mode, float(cpu[i])) if here else 0.0)
            for i in m.I:
                m.local[i].set_value(int(option[i] == 0))
            for (j, n), z in m.z.items():
                z.set_value(int(number[j] == n))
            return
        for (i, j), x in m.x.items():
            if not x.fixed:
                x.set_value(int(option[i] > 0 and site[i] == j))
            m.ratio[i, j].set_value(float(ratio[i]) if x.value else 0.0)
            m.cpu[i, j].set_value(float(cpu[i]) if x.value else 0.0)

    def add_cuts(self, decisions: Decisions) -> bool:
        """Add tangents at given decisions and at the CPU shares that the variables hold."""
        if not self._linear:
            return False
        m, option = self.pyomo, self.problem.assignment(decisions)[0]
        site, full = (option - 1) % self.problem.sites, option > self.problem.sites
        share, new = decisions["cpu_hz"][0] / self.cpu_unit, False
        for i in np.flatnonzero(option > 0):
            number = int(np.sum((option > 0) & (site == site[i])))
            key = int(i), int(site[i]), number, int(full[i])
            if key in m.x:
                new |= self._add_tangent(m, key, float(share[i]))
        for key, x in m.x.items():
            if (x.value or 0.0) > 0.5:
                new |= self._add_tangent(m, key, float(m.cpu[key].value or 0.0))
        return new

    def _cost(self, i: int, j: int, n: int, mode: int, share: float) -> float:
        hz = max(share, LEAST_SHARE) * self.cpu_unit
        return min(float(mode_cost(bool(mode), hz, self.rows[i, j, n - 1], self.tasks.time_weight)), 1.0)

    def _allocated(self, assignment: Any) -> Decisions:
        return self.problem.allocate(Observation(self.instance), assignment)
