"""Pyomo model of `carbon_mimo` over its horizon, with all channels, arrivals and harvests known.

Under zero forcing with perfect channel knowledge users do not disturb each other: the model is a sum over users, each
with a buffer, and is convex but for what happens when a buffer overflows. Numbers in brackets are the paper's
equations, those without a number the ancestor's physics that the problem names.

*Overflow.* A buffer loses bits only when it is full. A binary gates it, ``lost <= M full`` and ``B >= B_max full``,
in slots where the buffer can be full at all; without it the model could drop bits that cost more to serve.

*Battery.* The grid is drawn on only when the battery is empty, and green energy is wasted only when it is full: two
more binaries. Without a battery both follow from their prices.

The linear form (``linear=True``) bounds both powers from below by tangents.

Units: bits in ``tau W``, the quantum of a slot; energy in that of a slot at full power.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances
from offloadopt.physics.device import MIN_GAIN_PER_W
from offloadopt.solvers.models.base import MathematicalModel, power_of_ten, require_one, total_range, zero_decisions
from offloadopt.solvers.models.tangents import Tangents
from offloadopt.structures.backlog import BacklogProblem

FIRST_TANGENTS = 7
"""Tangents of each power in the linear model from the beginning."""
LN2 = float(np.log(2.0))


class CarbonMimoModel(MathematicalModel):
    """Pyomo model of one instance.

    Parameters
    ----------
    problem : CarbonMimo
        Any problem of independent buffers.
    instance : Instances
        One instance.
    linear : bool
        Replace the powers by tangents.

    Attributes
    ----------
    pyomo : pyomo.environ.ConcreteModel
    cost_unit : float
        Cost of one unit of the Pyomo model's objective.
    magnitude : float
        Sum of all variables' ranges and rows' multipliers, in the model's units.

    Raises
    ------
    Unsupported
        If one user's power disturbs the others.
    """

    def __init__(self, problem: BacklogProblem[Any], instance: Instances, *, linear: bool = False) -> None:
        require_one(instance)
        self.problem, self.instance, self._linear = problem, instance, linear
        self.backlog = backlog = problem.backlog(instance)
        device, shape = backlog.service.device, backlog.arrival_bits.shape
        self.bit_unit = device.slot_s * device.bandwidth_hz
        self.joule_unit = device.slot_s * (device.local_max_w + device.offload_max_w)
        gain = np.broadcast_to(backlog.service.gain_per_w, shape)[0]
        # SINR and bits of a slot at full transmit power, and bits at full CPU power
        self.sinr: FloatArray = np.where(gain < MIN_GAIN_PER_W, 0.0, gain * device.offload_max_w)
        self.most_sent: FloatArray = np.log2(1.0 + self.sinr)
        self.most_computed = float(device.local_bits(np.asarray(device.local_max_w))) / self.bit_unit
        self.grid_price: FloatArray = np.broadcast_to(backlog.service.grid_price, shape)[0] * self.joule_unit
        self.cost_unit = 0.1 * power_of_ten(np.maximum(self.grid_price.max(), 1e-12))
        self.pyomo = self._build()

    @property
    def magnitude(self) -> float:
        """See the class: the price of a bit is at most that of losing or keeping it, of a joule the grid's."""
        b, (slots, users) = self.backlog, self.sinr.shape
        keeping = b.holding_price * slots + b.final_price
        bit = self.bit_unit * (max(keeping, b.overflow_price) if self.pyomo.overflows else keeping)
        joule = float(self.grid_price.max()) + b.waste_price * self.joule_unit
        return total_range(self.pyomo) + float(slots * users * (2.0 * bit + 3.0 * joule) / self.cost_unit)

    def _build(self) -> Any:
        import pyomo.environ as pyo

        (slots, users), b = self.sinr.shape, self.backlog
        m = pyo.ConcreteModel("carbon_mimo (26)")
        m.T, m.U = range(slots), range(users)
        # Bits computed and sent; shares of the largest powers
        m.computed = pyo.Var(m.T, m.U, bounds=(0, self.most_computed))
        m.sent = pyo.Var(m.T, m.U, bounds=lambda m, t, u: (0, float(self.most_sent[t, u])))
        m.cpu, m.radio = pyo.Var(m.T, m.U, bounds=(0, 1)), pyo.Var(m.T, m.U, bounds=(0, 1))
        self._powers(m)

        # Queue: RB(t) = max(B(t) - d_l - d_o, 0) + A(t); no more is served than waits
        arrivals, start = b.arrival_bits[0] / self.bit_unit, b.start_bits[0] / self.bit_unit
        most = start + np.cumsum(arrivals, axis=0)
        capacity = b.capacity_bits / self.bit_unit
        m.buffer = pyo.Var(m.T, m.U, bounds=lambda m, t, u: (0, float(min(most[t, u], capacity))))
        before = {(t, u): m.buffer[t - 1, u] if t else float(start[u]) for t in m.T for u in m.U}
        m.served = pyo.Constraint(m.T, m.U, rule=lambda m, t, u: m.computed[t, u] + m.sent[t, u] <= before[t, u])
        # (10) BO(t) = max(0, RB(t) - B_max), B(t+1) = min(RB(t), B_max)
        m.overflows = [(t, u) for t in m.T for u in m.U if most[t, u] > capacity]
        held = np.minimum(np.concatenate([start[None], most[:-1]]), capacity)
        surplus = {(t, u): float(arrivals[t, u] + held[t, u]) for t, u in m.overflows}
        m.lost = pyo.Var(m.overflows, bounds=lambda m, t, u: (0, surplus[t, u]))
        m.full = pyo.Var(m.overflows, domain=pyo.Binary)
        lost = {(t, u): m.lost[t, u] for t, u in m.overflows}
        m.balance = pyo.Constraint(
            m.T,
            m.U,
            rule=lambda m, t, u: (
                m.buffer[t, u] + lost.get((t, u), 0.0)
                == before[t, u] - m.computed[t, u] - m.sent[t, u] + float(arrivals[t, u])
            ),
        )
        m.loses = pyo.Constraint(m.overflows, rule=lambda m, t, u: m.lost[t, u] <= surplus[t, u] * m.full[t, u])
        m.is_full = pyo.Constraint(m.overflows, rule=lambda m, t, u: m.buffer[t, u] >= capacity * m.full[t, u])
        self._energy(m)

        # (26) w1 B / B_max + w2 carbon + w3 (BO + EW), in the problem's prices
        bit, unit = self.bit_unit / self.cost_unit, self.cost_unit
        m.cost = pyo.Objective(
            expr=sum(
                b.holding_price * bit * m.buffer[t, u]
                + float(self.grid_price[t, u]) / unit * m.grid[t, u]
                + b.waste_price * self.joule_unit / unit * m.wasted[t, u]
                for t in m.T
                for u in m.U
            )
            + sum(b.overflow_price * bit * m.lost[t, u] for t, u in m.overflows)
            + sum(b.final_price * bit * m.buffer[slots - 1, u] for u in m.U)
        )
        return m

    def _powers(self, m: Any) -> None:
        """p_l >= kappa (L d_l / tau)^3, and p_o >= (2^(d_o / (tau W)) - 1) / gain; tangents in the linear form."""
        import pyomo.environ as pyo

        most = self.most_computed
        m.linked = [(t, u) for t in m.T for u in m.U if self.sinr[t, u] > 0]
        if not self._linear:
            m.computing = pyo.Constraint(m.T, m.U, rule=lambda m, t, u: m.cpu[t, u] >= (m.computed[t, u] / most) ** 3)
            m.sending = pyo.Constraint(
                m.linked,
                rule=lambda m, t, u: m.radio[t, u] * float(self.sinr[t, u]) + 1 >= pyo.exp(LN2 * m.sent[t, u]),
            )
            return
        m.tangent = pyo.ConstraintList()
        self.tangents = Tangents(m.tangent)
        for share in np.linspace(0.0, 1.0, FIRST_TANGENTS):
            for t in m.T:
                for u in m.U:
                    self._add_tangents(m, t, u, share * most, share * float(self.most_sent[t, u]))

    def _add_tangents(self, m: Any, t: int, u: int, computed: float, sent: float) -> bool:
        share = computed / self.most_computed
        new = self.tangents.add(
            ("cpu", t, u), computed, share**3, 3.0 * share**2 / self.most_computed, m.cpu[t, u], 1.0, m.computed[t, u]
        )
        if self.sinr[t, u] > 0:
            power, slope = np.expm1(LN2 * sent) / self.sinr[t, u], LN2 * np.exp(LN2 * sent) / self.sinr[t, u]
            new |= self.tangents.add(("radio", t, u), sent, power, slope, m.radio[t, u], 1.0, m.sent[t, u])
        return new

    def _energy(self, m: Any) -> None:
        """E = tau (p_l + p_o), green first and the grid second: E_grid = max(0, E - G), EW = max(0, G - E)."""
        import pyomo.environ as pyo

        b, d = self.backlog, self.backlog.service.device
        cpu_j, radio_j = (d.slot_s * watts / self.joule_unit for watts in (d.local_max_w, d.offload_max_w))
        green, room = b.service.green_j[0] / self.joule_unit, b.battery_j / self.joule_unit
        m.grid = pyo.Var(m.T, m.U, bounds=(0, 1))
        m.wasted = pyo.Var(m.T, m.U, bounds=lambda m, t, u: (0, float(green[t, u]) + room))
        stored: Any = {(t, u): 0.0 for t in (-1, *m.T) for u in m.U}
        if room > 0:
            m.stored = pyo.Var(m.T, m.U, bounds=(0, room))
            stored = {(t, u): m.stored[t, u] if t >= 0 else 0.0 for t, u in stored}
            m.empty, m.charged = pyo.Var(m.T, m.U, domain=pyo.Binary), pyo.Var(m.T, m.U, domain=pyo.Binary)
            m.draws = pyo.Constraint(m.T, m.U, rule=lambda m, t, u: m.grid[t, u] <= m.empty[t, u])
            m.is_empty = pyo.Constraint(m.T, m.U, rule=lambda m, t, u: m.stored[t, u] <= room * (1 - m.empty[t, u]))
            m.wastes = pyo.Constraint(
                m.T, m.U, rule=lambda m, t, u: m.wasted[t, u] <= m.wasted[t, u].ub * m.charged[t, u]
            )
            m.is_charged = pyo.Constraint(m.T, m.U, rule=lambda m, t, u: m.stored[t, u] >= room * m.charged[t, u])
        m.energy = pyo.Constraint(
            m.T,
            m.U,
            rule=lambda m, t, u: (
                stored[t, u] + m.wasted[t, u] + cpu_j * m.cpu[t, u] + radio_j * m.radio[t, u]
                == stored[t - 1, u] + float(green[t, u]) + m.grid[t, u]
            ),
        )

    # --------------------------------------------------------------------------------------------------- decisions

    def initial_decisions(self) -> Decisions:
        """No power at all: always feasible."""
        return zero_decisions(self.problem, 1)

    def decisions(self) -> Decisions:
        """Decisions of the powers that the variables hold, or those that serve the bits that they hold if larger."""
        m, d = self.pyomo, self.backlog.service.device
        cpu, radio = np.zeros((2, *self.sinr.shape))
        for t in m.T:
            for u in m.U:
                computed, sent = max(m.computed[t, u].value or 0.0, 0.0), max(m.sent[t, u].value or 0.0, 0.0)
                cpu[t, u] = max(m.cpu[t, u].value or 0.0, (computed / self.most_computed) ** 3)
                needed = np.expm1(LN2 * sent) / self.sinr[t, u] if self.sinr[t, u] > 0 else 0.0
                radio[t, u] = max(m.radio[t, u].value or 0.0, needed)
        return self.problem.serve(cpu[None] * d.local_max_w, radio[None] * d.offload_max_w)

    def warm_start(self, decisions: Decisions) -> None:
        """Leave the variables: a plan of powers is found faster without a start."""

    def add_cuts(self, decisions: Decisions) -> bool:
        """Add tangents at the bits that the variables hold."""
        if not self._linear:
            return False
        m, new = self.pyomo, False
        for t in m.T:
            for u in m.U:
                new |= self._add_tangents(m, t, u, m.computed[t, u].value or 0.0, m.sent[t, u].value or 0.0)
        return new
