"""Pyomo MILP of one slot of `partial_mobile` with the paper's discretised decisions (Algorithm 2).

Every coordinate lies on ``K`` evenly spaced levels: the ratio is ``r/(K-1)``, a user's CPU ``k/(K-1) F_max``, and
level 0 of either means that the user computes locally. With the number ``n`` of a server's users as an index, the part
of the bandwidth and thereby the cost of each option are constants, and all variables are binary:

* ``x[i,j,n,k] = 1`` if user i is on server j with n users, at CPU level k; its ratio is the best of the levels, which
  does not affect other users;
* ``z[j,n] = 1`` if server j has n users.

If requests do not exceed a server's CPU, it has at most ``K - 1`` users. An overloaded server reduces requests pro
rata, for a penalty, which gives CPU shares finer than the grid. With ``overload``

* ``y[i,j,n] = 1`` if user i is on server j with n > K - 1 users that all request level 1, of which each gets ``1/n``;
* ``c[j,n] = 1`` if server j is overloaded in this way.

Unequal requests to an overloaded server are not in the model. Their cost is at least the continuous optimum, where all
these shares are feasible, plus the penalty.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import Decisions, Instances
from offloadopt.errors import InvalidInput
from offloadopt.problems.partial_mobile import PartialMobile


class GridModel:
    """Pyomo model of the best decisions on the grid, for one instance of one slot.

    Parameters
    ----------
    problem : PartialMobile
        With a horizon of 1.
    instance : Instances
        One instance.
    levels : int
        ``K``, number of levels.
    overload : bool
        Whether servers may be overloaded by equal requests.

    Attributes
    ----------
    pyomo : pyomo.environ.ConcreteModel
        Its objective is the cost of the problem.
    """

    def __init__(self, problem: PartialMobile, instance: Instances, *, levels: int = 5, overload: bool = False) -> None:
        if instance.count != 1 or problem.horizon != 1:
            raise InvalidInput(
                f"{instance.count} instances of {problem.horizon} slots; a model is built of exactly 1 of 1"
            )
        if levels < 2:
            raise InvalidInput(f"levels = {levels}; allowed: at least 2")
        self.problem, self._top = problem, levels - 1
        tasks = problem.splitting(instance).take(0)  # [users, servers, numbers]
        most_users = min(self._top, problem.tasks)
        options = tasks.take((slice(None), slice(None), slice(0, most_users), None, None))
        self._ratios = np.arange(1, levels) / self._top
        self._cpu_hz = self._ratios * tasks.cpu_max_hz
        # Relative cost (15) of every option, [users, servers, numbers, CPU levels, ratios]
        cost = options.cost(self._ratios, self._cpu_hz[:, None])
        self._best_ratio, self._cost = self._ratios[cost.argmin(axis=-1)], cost.min(axis=-1)
        # The same of overloaded servers, [users, servers, numbers above K - 1, ratios]
        numbers = np.arange(most_users + 1, problem.tasks + 1 if overload else most_users + 1)
        overloaded = tasks.take((slice(None), slice(None), slice(most_users, most_users + len(numbers)), None))
        overload_cost = overloaded.cost(self._ratios, tasks.cpu_max_hz / numbers[:, None])
        self._overload_ratio, self._overload_cost = (
            self._ratios[overload_cost.argmin(axis=-1)],
            overload_cost.min(axis=-1),
        )
        self.pyomo = self._build()

    @property
    def magnitude(self) -> float:
        """Sum of the ranges of all variables and of bounds of the rows' multipliers, at most a server's local costs."""
        m = self.pyomo
        rows = len(m.one_option) + len(m.number_of_users) + len(m.only_there) + len(m.one_number) + len(m.server_cpu)
        overloads = len(m.y) + len(m.c) + self.problem.tasks * (len(m.overload_size) + len(m.only_overloaded))
        return float(len(m.x) + len(m.local) + len(m.z) + self._top * rows + overloads)

    def _build(self) -> Any:
        import pyomo.environ as pyo

        cost, top = self._cost, self._top
        users, servers, numbers, _ = cost.shape
        m = pyo.ConcreteModel("partial_mobile on a grid")
        # An option that costs no less than computing locally is never needed.
        m.options = pyo.Set(initialize=[tuple(map(int, option)) for option in np.argwhere(cost < 1.0)], dimen=4)
        m.I, m.J, m.N = range(users), range(servers), range(numbers)
        m.x = pyo.Var(m.options, domain=pyo.Binary)
        m.local = pyo.Var(m.I, domain=pyo.Binary)
        m.z = pyo.Var(m.J, m.N, domain=pyo.Binary)
        m.overloads = pyo.Set(
            initialize=[tuple(map(int, one)) for one in np.argwhere(self._overload_cost < 1.0)], dimen=3
        )
        m.C = range(self._overload_cost.shape[2])
        m.y = pyo.Var(m.overloads, domain=pyo.Binary)
        m.c = pyo.Var(m.J, m.C, domain=pyo.Binary)
        of_user: dict[int, list[Any]] = {i: [] for i in m.I}
        of_pair: dict[tuple[int, int], list[Any]] = {(j, n): [] for j in m.J for n in m.N}
        by_place: dict[tuple[int, int, int], list[Any]] = {}
        for i, j, n, k in m.options:
            of_user[i].append(m.x[i, j, n, k])
            of_pair[j, n].append((k + 1, m.x[i, j, n, k]))
            by_place.setdefault((i, j, n), []).append(m.x[i, j, n, k])
        of_overload: dict[tuple[int, int], list[Any]] = {(j, n): [] for j in m.J for n in m.C}
        for i, j, n in m.overloads:
            of_user[i].append(m.y[i, j, n])
            of_overload[j, n].append(m.y[i, j, n])

        # C2: every user computes locally or has one option
        m.one_option = pyo.Constraint(m.I, rule=lambda m, i: m.local[i] + sum(of_user[i]) == 1)
        # The number of users on server j is n
        m.number_of_users = pyo.Constraint(
            m.J, m.N, rule=lambda m, j, n: sum(x for _, x in of_pair[j, n]) - (n + 1) * m.z[j, n] == 0
        )
        m.only_there = pyo.Constraint(list(by_place), rule=lambda m, i, j, n: sum(by_place[i, j, n]) <= m.z[j, n])
        m.overload_size = pyo.Constraint(
            m.J, m.C, rule=lambda m, j, n: sum(of_overload[j, n]) - (top + 1 + n) * m.c[j, n] == 0
        )
        m.only_overloaded = pyo.Constraint(m.overloads, rule=lambda m, i, j, n: m.y[i, j, n] <= m.c[j, n])
        m.one_number = pyo.Constraint(
            m.J, rule=lambda m, j: sum(m.z[j, n] for n in m.N) + sum(m.c[j, n] for n in m.C) <= 1
        )
        # C5: the CPU levels on a server add up to at most F_max
        m.server_cpu = pyo.Constraint(
            m.J, m.N, rule=lambda m, j, n: sum(k * x for k, x in of_pair[j, n]) - top * m.z[j, n] <= 0
        )
        # (15) as a cost
        m.cost = pyo.Objective(
            expr=sum(m.local[i] for i in m.I)
            + sum(float(cost[option]) * m.x[option] for option in m.options)
            + sum(float(self._overload_cost[one]) * m.y[one] for one in m.overloads)
            + self.problem.scenario.overload_penalty * sum(m.c[j, n] for j in m.J for n in m.C)
        )
        return m

    def decisions(self) -> Decisions:
        """Decisions of the solution that the variables hold; all tasks are local if they hold none."""
        users = self.problem.tasks
        server, ratio, cpu_hz = np.zeros((1, users), dtype=np.int64), np.zeros((1, users)), np.zeros((1, users))
        for (i, j, n, k), x in self.pyomo.x.items():
            if (x.value or 0.0) > 0.5:
                server[0, i], ratio[0, i], cpu_hz[0, i] = j + 1, self._best_ratio[i, j, n, k], self._cpu_hz[k]
        for (i, j, n), y in self.pyomo.y.items():
            if (y.value or 0.0) > 0.5:
                server[0, i], ratio[0, i], cpu_hz[0, i] = j + 1, self._overload_ratio[i, j, n], self._cpu_hz[0]
        return Decisions({"server": server, "ratio": ratio, "cpu_hz": cpu_hz})
