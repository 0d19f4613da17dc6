"""The relaxation of a slot to parts of tasks: a linear programme with price cuts, which finds prices and pays.

``x[j,k]`` says that task j is on server k, ``z[i,S]`` that user i computes the set S at home, ``d[j]`` that j fails,
``t[k]`` what server k costs. For all prices q, w of its CPU and band

    t_k >= sum_j phi_jk(q, w) x_jk - q - w

is valid, and exact at the prices that settle the parts that are there. Cuts are added where each solution stands. In
the end the tasks' own duals say what it is worth to have each task done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.inference.dual_bound import Bound, bound_at
from offloadopt.solvers.inference.resource_allocation import Slot, settle_server

ROUNDS = 40
PART = 1e-6
"""Parts of a task below which it is not on a server."""
CLOSE = 0.02
"""The relaxation is done when its bound is so near to its value, as a part of the gap."""


@dataclass(frozen=True)
class Relaxation:
    """What the relaxation found.

    Attributes
    ----------
    bound : Bound
        The best one at any prices met.
    pay : array [tasks]
        What it is worth to have each task done.
    options : array [tasks]
        Near the solution: -1 fails, 0 own CPU, j server j.
    """

    bound: Bound
    pay: FloatArray
    options: IntArray


class Programme:
    """Columns and rows in HiGHS: a row for each task first, then one for each user, then cuts."""

    def __init__(self, slot: Slot, own: FloatArray, linked: NDArray[np.bool_]) -> None:
        import highspy

        self.slot = slot
        self.task, self.server = np.nonzero(linked)
        self.user, self.set = np.nonzero(np.isfinite(own) & (np.arange(own.shape[1]) > 0))
        self.z = len(self.task)
        self.d = self.z + len(self.user)
        self.t = self.d + slot.tasks
        self.columns = self.t + slot.servers
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call]
        self.highs.setOptionValue("output_flag", False)
        self.highs.setOptionValue("threads", 1)
        low = np.append(np.zeros(self.t), np.full(slot.servers, -highspy.kHighsInf))
        high = np.append(np.ones(self.t), np.full(slot.servers, highspy.kHighsInf))
        self.highs.addVars(self.columns, low, high)
        self.costs = np.zeros(self.columns)
        self.costs[self.z : self.d] = own[self.user, self.set]
        self.costs[self.d : self.t] = slot.failing
        self.costs[self.t :] = 1.0
        self.highs.changeColsCost(self.columns, np.arange(self.columns, dtype=np.int32), self.costs)
        bit = np.arange(slot.tasks) - slot.first[slot.user]
        self.at_home = (self.user[:, None] == slot.user) & (self.set[:, None] >> bit & 1 == 1)  # [sets, tasks]
        for j in range(slot.tasks):
            columns = [
                np.flatnonzero(self.task == j),
                self.z + np.flatnonzero(self.at_home[:, j]),
                np.array([self.d + j]),
            ]
            self.row(np.concatenate(columns), None, 1.0, 1.0)
        for i in np.unique(self.user):
            self.row(self.z + np.flatnonzero(self.user == i), None, -highspy.kHighsInf, 1.0)
        self.there = [np.flatnonzero(self.server == k) for k in range(slot.servers)]

    def row(self, columns: NDArray[Any], values: FloatArray | None, low: float, high: float) -> None:
        """A row of the programme."""
        values = np.ones(len(columns)) if values is None else values
        self.highs.addRow(low, high, len(columns), columns.astype(np.int32), values)

    def cut(self, prices: FloatArray, charged: FloatArray) -> None:
        """A price cut for each server: prices ``[servers, 2]``, what tasks then cost ``[tasks, servers]``."""
        for k, own in enumerate(self.there):
            values = np.append(charged[self.task[own], k], -1.0)
            self.row(np.append(own, self.t + k), values, -np.inf, float(prices[k].sum()))

    def parts(self, solution: FloatArray) -> FloatArray:
        """[tasks, servers] of each task on each server."""
        parts = np.zeros((self.slot.tasks, self.slot.servers))
        parts[self.task, self.server] = solution[: self.z]
        return parts

    def fixed(self, solution: FloatArray) -> float:
        """Cost of what is at home and what fails."""
        return float(self.costs[: self.t] @ solution[: self.t])

    def options(self, solution: FloatArray) -> IntArray:
        """[tasks] each task's largest part: -1 fails, 0 own CPU."""
        weight = np.zeros((self.slot.tasks, self.slot.servers + 2))
        weight[:, 0] = solution[self.d : self.t]
        weight[:, 1] = solution[self.z : self.d] @ self.at_home
        weight[:, 2:] = self.parts(solution)
        return np.asarray(np.argmax(weight, axis=1) - 1, dtype=np.int64)


def settle(slot: Slot, parts: FloatArray, start: FloatArray) -> tuple[FloatArray, float]:
    """Prices ``[servers, 2]`` that settle parts ``[tasks, servers]`` of tasks on each server, and what they cost."""
    prices, cost = start.copy(), 0.0
    cpu, band = np.empty(slot.tasks), np.empty(slot.tasks)
    for k in range(slot.servers):
        members = np.flatnonzero(parts[:, k] > PART)
        rows, weight = np.ascontiguousarray(slot.away[members, k]), parts[members, k]
        # Beyond it prices of what cannot be done would grow without end.
        most = 4.0 * float(slot.failing[members].sum())
        cost += settle_server(len(members), rows, weight, slot.second, slot.limit_s, most, prices[k], cpu, band)
    return prices, cost


def relax(slot: Slot, own: FloatArray, start: FloatArray, upper: float, enough: float, deadline: float) -> Relaxation:
    """Cuts from prices ``start [servers, 2]`` on, until the bound is ``enough`` below ``upper`` or hardly rises."""
    linked = np.isfinite(bound_at(slot, own, np.zeros_like(start)).charged)
    programme, prices = Programme(slot, own, linked), start
    best, reached = bound_at(slot, own, prices), np.inf
    pay, options = np.zeros(slot.tasks), np.full(slot.tasks, -1)
    for _ in range(ROUNDS):
        current = bound_at(slot, own, prices)
        if current.value > best.value:
            best = current
        if reached - best.value <= max(CLOSE * (upper - reached), 0.1 * enough) or upper - best.value <= enough:
            break
        programme.cut(prices, current.charged)
        programme.highs.run()
        found = programme.highs.getSolution()
        solution = np.asarray(found.col_value)
        if len(solution) != programme.columns or clock() > deadline:
            break
        pay = np.minimum(np.asarray(found.row_dual)[: slot.tasks], slot.failing)
        prices, served = settle(slot, programme.parts(solution), prices)
        value = programme.fixed(solution) + served
        if value < reached:
            reached, options = value, programme.options(solution)
    return Relaxation(best, pay, options)
