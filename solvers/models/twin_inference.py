"""Pyomo model of `twin_inference`: placement of tasks and shares of CPUs and bands, problem (9) under C1 to C6.

One slot, or a horizon whose slots the batteries couple. Equations are the paper's. A task may fail, for its cost, as
the problem has it; those that are served meet the time limit, and the batteries suffice for them.

Where a task is not served by an option, its shares there are 0; where it is, time falls and energy rises with the
shares: ``a / u`` and ``e u^2`` for a CPU share u (`offloadopt.physics.edge_inference`), and ``(D / B) h(v)`` with
``h(v) = 1 / (v log2(1 + snr / v))`` for a share v of the band. All three are convex.

*MINLP* (``linear=False``): rate and times as the paper has them, ``T r >= D``. *MILP* (``linear=True``): tangents of
the three functions; they are added at the solutions until they are exact there.

Limits are relaxed by the problem's tolerances. Units: a second is the time limit, a joule the mean battery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.core import Decisions, Instances
from offloadopt.physics.edge_inference import best_shares, send_factor, send_slope
from offloadopt.solvers.inference.base import LIMIT_TOLERANCE
from offloadopt.solvers.inference.exhaustive import PlacementWindow
from offloadopt.solvers.models.base import MathematicalModel, power_of_ten, require_one, total_range, zero_decisions
from offloadopt.solvers.models.tangents import Tangents
from offloadopt.structures.inference import InferenceProblem

FIRST_TANGENTS = 7
"""Tangents of each function in the linear model from the beginning."""
LEAST_SHARE = 1e-6
"""Smallest share at which a tangent is added."""
LN2 = float(np.log(2.0))

Sharing = dict[tuple[int, ...], list[tuple[int, int]]]
"""Options, by the resource that they share."""


@dataclass(frozen=True)
class TaskOption:
    """A task's option, 0 (own CPU) or a server: time and energy on whole resources, in the model's units.

    Attributes
    ----------
    compute, joules : float
        Time and energy on the whole CPU.
    send, snr, watts : float
        ``D / B``, the signal-to-noise ratio over the whole band, and the energy of sending for a unit of time.
    drains : bool
        Whether the CPU's energy is drawn from the user's battery.
    """

    compute: float
    joules: float
    send: float
    snr: float
    watts: float
    drains: bool


def least_band(send: float, snr: float) -> float:
    """A share of the band below that at which sending takes the whole time limit, by a thousandth at most."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if send * send_factor(middle, snr) <= 1.0 else (middle, high)
        if low > 0 and high <= low * 1.001:
            break
    return max(low, LEAST_SHARE)


class TwinInferenceModel(MathematicalModel):
    """Pyomo model of one instance.

    Parameters
    ----------
    problem : TwinInference
        Any problem of edge inference.
    instance : Instances
        One instance.
    linear : bool
        Build the MILP in place of the MINLP.

    Attributes
    ----------
    pyomo : pyomo.environ.ConcreteModel
    cost_unit : float
        Cost of one unit of the Pyomo model's objective.
    magnitude : float
        Sum of all variables' ranges and rows' multipliers, in the model's units.
    """

    def __init__(self, problem: InferenceProblem[Any], instance: Instances, *, linear: bool = False) -> None:
        require_one(instance)
        self.problem, self._linear = problem, linear
        self.window, weights = PlacementWindow(problem, instance), problem.cost_weights
        self.second, self.joule = weights.limit_s, float(np.mean(self.window.held_j)) or 1.0
        self.tasks: list[tuple[int, int, int]] = []
        """Slot, user and place of each task, in the window's order."""
        self.options: dict[tuple[int, int], TaskOption] = {}
        """By task and server (0: own CPU), without options that miss the limit or cost more than failing."""
        least = [self._read_slot(t) for t in range(problem.horizon)]
        self.cost_unit = (
            power_of_ten(np.maximum(np.concatenate([*least, [1e-9]]).max(), 1e-9)) if any(map(len, least)) else 1.0
        )
        self.second_cost = weights.per_second * self.second / self.cost_unit
        self.joule_cost = weights.per_joule * self.joule / self.cost_unit
        self.failure_cost = weights.failure / self.cost_unit
        self.pyomo = self._build()

    def _read_slot(self, t: int) -> list[float]:
        """Add a slot's tasks and useful options; their least costs."""
        slot, tasks, weights, least = self.window.unpriced[t], self.window.of_slot[t], self.problem.cost_weights, []
        limit_s = weights.limit_s * (1.0 + LIMIT_TOLERANCE)
        for j, (user, place) in enumerate(zip(slot.user, slot.place, strict=True)):
            n = len(self.tasks)
            self.tasks.append((t, int(user), int(place)))
            for k, row in enumerate((slot.local[j], *slot.remote[j])):
                cost = float(best_shares(row, weights.per_second, limit_s, 0.0, 0.0)[0])
                if not cost < weights.failure:
                    continue
                least.append(cost)
                joules = tasks.server_j[user, place, k - 1] if k else tasks.local_j[user, place]
                watts = float(tasks.power_w[user]) * self.second / self.joule if k else 0.0
                self.options[n, k] = TaskOption(
                    float(row[0]) / self.second, float(joules) / self.joule,
                    float(row[2]) / self.second, float(row[3]), watts, weights.server_drains or k == 0,
                )  # fmt: skip
        return least

    @property
    def magnitude(self) -> float:
        """See the class; a task's rows have multipliers of at most a failure, a resource's of one per task."""
        rows = 4.0 * len(self.options) + 2.0 * len(self.tasks)
        return total_range(self.pyomo) + rows * (self.failure_cost + self.second_cost + self.joule_cost)

    def _build(self) -> Any:
        import pyomo.environ as pyo

        m, limit = pyo.ConcreteModel("twin_inference (9)"), 1.0 + LIMIT_TOLERANCE
        m.N, m.O = range(len(self.tasks)), list(self.options)
        m.sent = [(n, k) for n, k in m.O if k > 0]
        # C1 s_ij in {0} u M, or the task fails
        m.x, m.fails = pyo.Var(m.O, domain=pyo.Binary), pyo.Var(m.N, domain=pyo.Binary)
        m.one_option = pyo.Constraint(m.N, rule=lambda m, n: m.fails[n] + sum(m.x[o] for o in m.O if o[0] == n) == 1)
        m.cpu, m.band = pyo.Var(m.O, bounds=(0, 1)), pyo.Var(m.sent, bounds=(0, 1))
        m.uses_cpu = pyo.Constraint(m.O, rule=lambda m, *o: m.cpu[o] <= m.x[o])
        m.uses_band = pyo.Constraint(m.sent, rule=lambda m, *o: m.band[o] <= m.x[o])
        # C2 and C3 sum f <= F of each CPU, C4 sum b <= B of each band
        cpus, bands = self._sharing()
        m.whole_cpu = pyo.Constraint(list(cpus), rule=lambda m, *c: sum(m.cpu[o] for o in cpus[c]) <= 1)
        m.whole_band = pyo.Constraint(list(bands), rule=lambda m, *c: sum(m.band[o] for o in bands[c]) <= 1)
        # (2) T = T^c + T^tr, (3) E = E^c + E^tr; T^c = X / f, E^c = kappa f^2 X, T^tr = D / rate, E^tr = P T^tr
        m.compute, m.send = pyo.Var(m.O, bounds=(0, limit)), pyo.Var(m.sent, bounds=(0, limit))
        m.joules = pyo.Var(m.O, bounds=lambda m, *o: (0, self.options[o].joules))
        self._curves(m)
        sending = {o: m.send[o] if o[1] else 0.0 for o in m.O}
        # C6 T <= T_max
        m.in_time = pyo.Constraint(m.O, rule=lambda m, *o: m.compute[o] + sending[o] <= limit * m.x[o])
        # C5 sum of E <= E^- of each user, over the slots
        held = self.window.most_j / self.joule

        def drained(n: int, k: int) -> Any:
            option = self.options[n, k]
            return (m.joules[n, k] if option.drains else 0.0) + option.watts * sending[n, k]

        users = sorted({self.tasks[n][1] for n, _ in m.O})
        m.battery = pyo.Constraint(
            users, rule=lambda m, u: sum(drained(*o) for o in m.O if self.tasks[o[0]][1] == u) <= float(held[u])
        )
        # (8), (9) mu_T T + mu_E E
        m.cost = pyo.Objective(
            expr=sum(self.failure_cost * m.fails[n] for n in m.N)
            + sum(
                self.second_cost * (m.compute[o] + sending[o])
                + self.joule_cost * (m.joules[o] + self.options[o].watts * sending[o])
                for o in m.O
            )
        )
        return m

    def _sharing(
        self,
    ) -> tuple[dict[tuple[int, ...], list[tuple[int, int]]], dict[tuple[int, ...], list[tuple[int, int]]]]:
        """The options that share each CPU, by (slot, server, user or -1), and each band, by (slot, server)."""
        cpus, bands = Sharing(), Sharing()
        for n, k in self.options:
            slot, user, _ = self.tasks[n]
            cpus.setdefault((slot, k, -1 if k else user), []).append((n, k))
            if k:
                bands.setdefault((slot, k), []).append((n, k))
        return cpus, bands

    def _curves(self, m: Any) -> None:
        """Times and energies of computing and sending as functions of the shares."""
        import pyomo.environ as pyo

        if self._linear:
            m.tangent = pyo.ConstraintList()
            self.tangents = Tangents(m.tangent)
            for (n, k), option in self.options.items():
                for share in np.geomspace(max(option.compute, LEAST_SHARE), 1.0, FIRST_TANGENTS):
                    self._add_cpu_tangents(m, n, k, float(share))
                for share in np.geomspace(0.02, 1.0, FIRST_TANGENTS) if k else ():
                    self._add_band_tangent(m, n, k, float(share))
            return
        a = self.options
        # Squares of binaries make the rows cones.
        m.computing = pyo.Constraint(m.O, rule=lambda m, *o: m.compute[o] * m.cpu[o] >= a[o].compute * m.x[o] * m.x[o])
        m.heating = pyo.Constraint(m.O, rule=lambda m, *o: m.joules[o] >= a[o].joules * m.cpu[o] * m.cpu[o])
        # (1) rate = b log2(1 + g P / (b N0)), in bits per second and hertz of the whole band. For a task that is not
        # sent, it is that of the least band on which a task is in time: so it is well scaled everywhere.
        least = {o: least_band(a[o].send, a[o].snr) for o in m.sent}
        m.rate = pyo.Var(m.sent, bounds=lambda m, *o: (0, float(np.log2(1.0 + a[o].snr))))
        m.used = pyo.Var(m.sent, bounds=lambda m, *o: (least[o], 1.0))
        m.uses = pyo.Constraint(m.sent, rule=lambda m, *o: m.used[o] == m.band[o] + least[o] * (1 - m.x[o]))
        m.shannon = pyo.Constraint(
            m.sent, rule=lambda m, *o: m.rate[o] <= m.used[o] * pyo.log(1 + a[o].snr / m.used[o]) / LN2
        )
        m.sending = pyo.Constraint(m.sent, rule=lambda m, *o: m.send[o] * m.rate[o] >= a[o].send * m.x[o] * m.x[o])

    def _add_cpu_tangents(self, m: Any, n: int, k: int, share: float) -> bool:
        option, at, on = self.options[n, k], max(share, LEAST_SHARE), m.x[n, k]
        time, slope = option.compute / at, -option.compute / at**2
        new = self.tangents.add(("time", n, k), at, time, slope, m.compute[n, k], on, m.cpu[n, k])
        energy, slope = option.joules * at**2, 2.0 * option.joules * at
        return self.tangents.add(("energy", n, k), at, energy, slope, m.joules[n, k], on, m.cpu[n, k]) or new

    def _add_band_tangent(self, m: Any, n: int, k: int, share: float) -> bool:
        option, at = self.options[n, k], max(share, LEAST_SHARE)
        time, slope = option.send * send_factor(at, option.snr), -option.send * send_slope(at, option.snr)
        return self.tangents.add(("band", n, k), at, time, slope, m.send[n, k], m.x[n, k], m.band[n, k])

    # --------------------------------------------------------------------------------------------------- decisions

    def initial_decisions(self) -> Decisions:
        """All tasks fail: possible in every instance."""
        return zero_decisions(self.problem, 1)

    def decisions(self) -> Decisions:
        """Decisions of the options that the variables hold, with optimal shares within the batteries."""
        chosen = np.full(len(self.tasks), -1, dtype=np.int64)
        for (n, k), x in self.pyomo.x.items():
            if (x.value or 0.0) > 0.5:
                chosen[n] = k
        return self.window.decisions(self.window.within_batteries(chosen, np.inf)[0])

    def warm_start(self, decisions: Decisions) -> None:
        """Leave the variables: those of the solution before are the start."""

    def add_cuts(self, decisions: Decisions) -> bool:
        """Add tangents at given decisions, and at the shares that the variables hold."""
        if not self._linear:
            return False
        m, new = self.pyomo, False
        values = {name: array.reshape(self.problem.horizon, *array.shape[-2:]) for name, array in decisions.items()}
        for n, at in enumerate(self.tasks):
            k = int(values["server"][at])
            if (n, k) in self.options and values["cpu_share"][at] > 0:
                new |= self._add_cpu_tangents(m, n, k, float(values["cpu_share"][at]))
                new |= bool(k) and self._add_band_tangent(m, n, k, float(values["bandwidth_share"][at]))
        for (n, k), x in m.x.items():
            if (x.value or 0.0) > 0.5:
                new |= self._add_cpu_tangents(m, n, k, float(m.cpu[n, k].value or 0.0))
                new |= bool(k) and self._add_band_tangent(m, n, k, float(m.band[n, k].value or 0.0))
        return new
