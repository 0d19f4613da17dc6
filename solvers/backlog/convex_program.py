"""Convex programme of one agent's buffer and battery over a known horizon (exponential and power cones).

Bits and joules follow two chains of balance equations, which the powers couple. The programme is a relaxation: it may
lose bits or green energy in any slot, and may draw from the grid while the battery holds energy, whereas a buffer and a
battery overflow only when full, and the grid is drawn on only when the battery is empty. It therefore gives candidate
powers and dual prices; the problem computes their cost, and `offloadopt.solvers.backlog.dual_bound` the lower bound.
`overflow_patterns` chooses the slots in which bits are lost.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.structures.backlog import Backlog


@dataclass(frozen=True)
class BatteryPlan:
    """Powers in W and dual prices per bit and per joule of one agent, ``[horizon]`` each."""

    local_w: FloatArray
    offload_w: FloatArray
    bit_price: FloatArray
    joule_price: FloatArray


class BatteryProgramme:
    """The convex programme, compiled once for a batch and solved for one agent at a time.

    Numbers are scaled because Clarabel loses digits in SI units: the unit of bits is ``slot_s * bandwidth_hz``, that of
    energy a slot at full power, that of cost such a slot powered by the grid.
    """

    def __init__(self, backlog: Backlog) -> None:
        cp: Any = import_module("cvxpy")
        self.backlog = backlog
        device, horizon = backlog.service.device, backlog.arrival_bits.shape[1]
        self.bit_unit = device.slot_s * device.bandwidth_hz
        self.joule_unit = device.slot_s * (device.local_max_w + device.offload_max_w)
        self.grid_price = np.broadcast_to(backlog.service.grid_price, backlog.arrival_bits.shape)
        self.cost_unit = float(self.grid_price.max(initial=0.0)) * self.joule_unit or 1.0
        self.sinr, self.green, self.grid, self.arrivals = (cp.Parameter(horizon, nonneg=True) for _ in range(4))
        self.start = cp.Parameter(nonneg=True)
        self.least_buffer, self.most_lost = (cp.Parameter(horizon, nonneg=True) for _ in range(2))

        self.local, self.offload = cp.Variable(horizon), cp.Variable(horizon)  # fractions of the largest powers
        local_bits, offload_bits, remaining, buffer, lost, purchased, wasted, battery = (
            cp.Variable(horizon, nonneg=True) for _ in range(8)
        )
        waiting = cp.hstack([self.start, buffer[:-1]])
        stored = cp.hstack([0.0, battery[:-1]])
        drawn = (device.local_max_w * self.local + device.offload_max_w * self.offload) * (
            device.slot_s / self.joule_unit
        )
        self.bit_balance = remaining == waiting - local_bits - offload_bits
        self.joule_balance = battery == stored + self.green - drawn + purchased - wasted
        most_local_bits = float(device.local_bits(np.asarray(device.local_max_w))) / self.bit_unit
        constraints = [
            self.local >= 0,
            self.local <= 1,
            self.offload >= 0,
            self.offload <= 1,
            local_bits <= most_local_bits * cp.power(self.local, 1 / 3),
            offload_bits <= cp.log1p(cp.multiply(self.sinr, self.offload)) / np.log(2.0),
            self.bit_balance,
            buffer == remaining + self.arrivals - lost,
            self.joule_balance,
            battery <= backlog.battery_j / self.joule_unit,
        ]
        if np.isfinite(backlog.capacity_bits):
            constraints.append(buffer <= backlog.capacity_bits / self.bit_unit)
        else:
            constraints.append(lost == 0)
        price_unit = self.bit_unit / self.cost_unit
        objective = (
            self.grid @ purchased
            + backlog.waste_price * self.joule_unit / self.cost_unit * cp.sum(wasted)
            + price_unit * backlog.holding_price * cp.sum(buffer)
            + price_unit * backlog.overflow_price * cp.sum(lost)
            + price_unit * backlog.final_price * buffer[-1]
        )
        self.programme = cp.Problem(cp.Minimize(objective), constraints)
        chosen = [buffer >= self.least_buffer, lost <= self.most_lost]
        self.chosen_programme = cp.Problem(cp.Minimize(objective), constraints + chosen)

    def solve(
        self, row: int, agent: int, time_limit_s: float | None = None, full: NDArray[np.bool_] | None = None
    ) -> BatteryPlan | None:
        """Solve the programme of one agent; ``None`` where Clarabel finds no solution within the time limit.

        With ``full [horizon]`` bits may be lost in these slots alone, which the buffer then ends full; prices are then
        those of such plans only.
        """
        cp: Any = import_module("cvxpy")
        backlog, device = self.backlog, self.backlog.service.device
        gain = np.broadcast_to(backlog.service.gain_per_w, self.grid_price.shape)[row, :, agent]
        self.sinr.value = gain * device.offload_max_w
        self.green.value = backlog.service.green_j[row, :, agent] / self.joule_unit
        self.grid.value = self.grid_price[row, :, agent] * self.joule_unit / self.cost_unit
        self.arrivals.value = backlog.arrival_bits[row, :, agent] / self.bit_unit
        self.start.value = backlog.start_bits[row, agent] / self.bit_unit
        if full is not None:
            self.least_buffer.value = np.where(full, backlog.capacity_bits / self.bit_unit, 0.0)
            self.most_lost.value = np.where(full, float(np.sum(self.arrivals.value) + self.start.value), 0.0)
        programme = self.programme if full is None else self.chosen_programme
        limit: dict[str, Any] = {} if time_limit_s is None else {"time_limit": time_limit_s}
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # inaccurate solutions are accepted: cost and bound are computed afresh
            try:
                programme.solve(solver=cp.CLARABEL, **limit)
            except cp.SolverError:
                return None
        local, offload = self.local.value, self.offload.value
        bit_price, joule_price = self.bit_balance.dual_value, self.joule_balance.dual_value
        if local is None or offload is None or bit_price is None or joule_price is None:
            return None
        return BatteryPlan(
            np.clip(local, 0.0, 1.0) * device.local_max_w,
            np.clip(offload, 0.0, 1.0) * device.offload_max_w,
            -np.asarray(bit_price) * (self.cost_unit / self.bit_unit),
            np.asarray(joule_price) * (self.cost_unit / self.joule_unit),
        )
