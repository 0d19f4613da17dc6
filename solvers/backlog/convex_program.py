"""Buffer and battery of one agent over a known horizon as a convex programme (exponential and power cones).

Bits and joules are two chains of balances that the powers couple. Losing bits or green energy is free to happen at any
time here, as is drawing from the grid while the battery holds energy: the real ones overflow only when full and draw
only when empty. What the programme gives are therefore powers and prices; what they are worth is said by the problem
itself and by `offloadopt.solvers.backlog.dual_bound`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.structures.backlog import Backlog


@dataclass(frozen=True)
class BatteryPlan:
    """Powers and prices of one agent, ``[horizon]`` each."""

    local_w: FloatArray
    offload_w: FloatArray
    bit_price: FloatArray
    joule_price: FloatArray


class BatteryProgramme:
    """The programme, compiled once for a batch and solved for one agent at a time.

    Bits are counted in ``slot_s * bandwidth_hz``, joules in a slot at full power, costs in such a slot from the grid:
    Clarabel loses digits in SI units.
    """

    def __init__(self, backlog: Backlog) -> None:
        cp: Any = import_module("cvxpy")
        self.backlog = backlog
        device, horizon = backlog.service.device, backlog.arrival_bits.shape[1]
        self.bit = device.slot_s * device.bandwidth_hz
        self.joule = device.slot_s * (device.local_max_w + device.offload_max_w)
        self.grid_price = np.broadcast_to(backlog.service.grid_price, backlog.arrival_bits.shape)
        self.cost = float(self.grid_price.max(initial=0.0)) * self.joule or 1.0
        self.sinr, self.green, self.grid, self.arrivals = (cp.Parameter(horizon, nonneg=True) for _ in range(4))
        self.start = cp.Parameter(nonneg=True)

        self.local, self.offload = cp.Variable(horizon), cp.Variable(horizon)  # shares of the largest powers
        by_cpu, by_air, remains, buffer, lost, bought, wasted, battery = (
            cp.Variable(horizon, nonneg=True) for _ in range(8)
        )
        waiting = cp.hstack([self.start, buffer[:-1]])
        stored = cp.hstack([0.0, battery[:-1]])
        drawn = (device.local_max_w * self.local + device.offload_max_w * self.offload) * (device.slot_s / self.joule)
        self.served = remains == waiting - by_cpu - by_air
        self.powered = battery == stored + self.green - drawn + bought - wasted
        most_local = float(device.local_bits(np.asarray(device.local_max_w))) / self.bit
        limits = [
            self.local >= 0,
            self.local <= 1,
            self.offload >= 0,
            self.offload <= 1,
            by_cpu <= most_local * cp.power(self.local, 1 / 3),
            by_air <= cp.log1p(cp.multiply(self.sinr, self.offload)) / np.log(2.0),
            self.served,
            buffer == remains + self.arrivals - lost,
            self.powered,
            battery <= backlog.battery_j / self.joule,
        ]
        if np.isfinite(backlog.capacity_bits):
            limits.append(buffer <= backlog.capacity_bits / self.bit)
        else:
            limits.append(lost == 0)
        price = self.bit / self.cost
        charge = (
            self.grid @ bought
            + backlog.waste_price * self.joule / self.cost * cp.sum(wasted)
            + price * backlog.holding_price * cp.sum(buffer)
            + price * backlog.overflow_price * cp.sum(lost)
            + price * backlog.final_price * buffer[-1]
        )
        self.programme = cp.Problem(cp.Minimize(charge), limits)

    def solve(self, row: int, agent: int, time_limit_s: float | None = None) -> BatteryPlan | None:
        """One agent's plan; ``None`` where Clarabel finds none in time."""
        cp: Any = import_module("cvxpy")
        backlog, device = self.backlog, self.backlog.service.device
        gain = np.broadcast_to(backlog.service.gain_per_w, self.grid_price.shape)[row, :, agent]
        self.sinr.value = gain * device.offload_max_w
        self.green.value = backlog.service.green_j[row, :, agent] / self.joule
        self.grid.value = self.grid_price[row, :, agent] * self.joule / self.cost
        self.arrivals.value = backlog.arrival_bits[row, :, agent] / self.bit
        self.start.value = backlog.start_bits[row, agent] / self.bit
        limit: dict[str, Any] = {} if time_limit_s is None else {"time_limit": time_limit_s}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an inaccurate plan is welcome: it is not taken at its word
            try:
                self.programme.solve(solver=cp.CLARABEL, **limit)
            except cp.SolverError:
                return None
        local, offload = self.local.value, self.offload.value
        bit_price, joule_price = self.served.dual_value, self.powered.dual_value
        if local is None or offload is None or bit_price is None or joule_price is None:
            return None
        return BatteryPlan(
            np.clip(local, 0.0, 1.0) * device.local_max_w,
            np.clip(offload, 0.0, 1.0) * device.offload_max_w,
            -np.asarray(bit_price) * (self.cost / self.bit),
            np.asarray(joule_price) * (self.cost / self.joule),
        )
