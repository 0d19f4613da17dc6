"""Linear relaxation of a slot to fractions of tasks, with cuts from prices: gives resource prices and task prices.

``x[j,k]`` is the fraction of task j on server k, ``z[i,S]`` that of the set S on user i's own CPU, ``d[j]`` that of
task j failing, and ``t[k]`` the cost of server k. For all prices q, w of its CPU and band

    t_k >= sum_j phi_jk(q, w) x_jk - q - w

is valid, and exact at the clearing prices of the fractions on the server. Cuts are added at the clearing prices of each
solution. The duals of the tasks' rows are the prices of completing the tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.highs import Programme
from offloadopt.solvers.inference.dual_bound import DualBound, bound_at_prices
from offloadopt.solvers.inference.resource_allocation import SlotTasks, share_server

ROUNDS = 40
"""Largest number of linear programmes."""
LEAST_FRACTION = 1e-6
"""Fraction of a task below which it is not counted on a server."""
RELATIVE_TOLERANCE = 0.02
"""The relaxation ends when its bound is this close to its value, relative to the gap to the incumbent."""


@dataclass(frozen=True)
class Relaxation:
    """Result of the relaxation.

    Attributes
    ----------
    bound : Bound
        The best bound found.
    task_price : array [tasks]
        Dual price of completing each task, at most its failure cost.
    options : array [tasks]
        Rounded solution: -1 fails, 0 own CPU, j server j.
    """

    bound: DualBound
    task_price: FloatArray
    options: IntArray


class CutProgramme(Programme):
    """The linear programme in HiGHS: a row for each task, one for each user, then the cuts."""

    def __init__(self, slot: SlotTasks, local_cost: FloatArray, reachable: NDArray[np.bool_]) -> None:
        self.slot = slot
        self.task, self.server = np.nonzero(reachable)
        self.user, self.set = np.nonzero(np.isfinite(local_cost) & (np.arange(local_cost.shape[1]) > 0))
        self.z = len(self.task)
        self.d = self.z + len(self.user)
        self.t = self.d + slot.tasks
        free = np.full(slot.servers, np.inf)
        self.costs = np.zeros(self.t)
        self.costs[self.z : self.d] = local_cost[self.user, self.set]
        self.costs[self.d :] = slot.failure_costs
        super().__init__(
            np.append(self.costs, np.ones(slot.servers)),
            np.append(np.zeros(self.t), -free),
            np.append(np.ones(self.t), free),
        )
        bit = np.arange(slot.tasks) - slot.first_task[slot.user]
        self.local_sets = (self.user[:, None] == slot.user) & (self.set[:, None] >> bit & 1 == 1)  # [sets, tasks]
        for j in range(slot.tasks):
            columns = [
                np.flatnonzero(self.task == j),
                self.z + np.flatnonzero(self.local_sets[:, j]),
                np.array([self.d + j]),
            ]
            self.add_row(np.concatenate(columns), 1.0, 1.0, 1.0)
        for i in np.unique(self.user):
            self.add_row(self.z + np.flatnonzero(self.user == i), 1.0, high=1.0)
        self.columns_of_server = [np.flatnonzero(self.server == k) for k in range(slot.servers)]

    def add_cuts(self, prices: FloatArray, priced_cost: FloatArray) -> None:
        """Add a cut for each server at prices ``[servers, 2]`` and the tasks' priced costs ``[tasks, servers]``."""
        for k, columns in enumerate(self.columns_of_server):
            values = np.append(priced_cost[self.task[columns], k], -1.0)
            self.add_row(np.append(columns, self.t + k), values, high=float(prices[k].sum()))

    def fractions(self, solution: FloatArray) -> FloatArray:
        """[tasks, servers] fraction of each task on each server."""
        fractions = np.zeros((self.slot.tasks, self.slot.servers))
        fractions[self.task, self.server] = solution[: self.z]
        return fractions

    def fixed_cost(self, solution: FloatArray) -> float:
        """Cost of the sets on own CPUs and of the failures."""
        return float(self.costs @ solution[: self.t])

    def options(self, solution: FloatArray) -> IntArray:
        """[tasks] option with each task's largest fraction: -1 fails, 0 own CPU, j server j."""
        weight = np.zeros((self.slot.tasks, self.slot.servers + 2))
        weight[:, 0] = solution[self.d : self.t]
        weight[:, 1] = solution[self.z : self.d] @ self.local_sets
        weight[:, 2:] = self.fractions(solution)
        return np.asarray(np.argmax(weight, axis=1) - 1, dtype=np.int64)


def clearing_prices(slot: SlotTasks, fractions: FloatArray, start: FloatArray) -> tuple[FloatArray, float]:
    """Compute clearing prices ``[servers, 2]`` of fractions ``[tasks, servers]`` of tasks, and the servers' cost."""
    prices, cost = start.copy(), 0.0
    cpu, band = np.empty(slot.tasks), np.empty(slot.tasks)
    for k in range(slot.servers):
        members = np.flatnonzero(fractions[:, k] > LEAST_FRACTION)
        rows, weight = np.ascontiguousarray(slot.remote[members, k]), fractions[members, k]
        # Without this limit the prices of infeasible fractions would grow without bound.
        cost_limit = 4.0 * float(slot.failure_costs[members].sum())
        cost += share_server(
            len(members), rows, weight, slot.second_price, slot.limit_s, cost_limit, prices[k], cpu, band
        )
    return prices, cost


def relax(
    slot: SlotTasks, local_cost: FloatArray, start: FloatArray, upper: float, allowance: float, deadline: Deadline
) -> Relaxation:
    """Solve the relaxation by cuts, starting from prices ``start [servers, 2]``.

    Ends when the bound is within ``allowance`` of ``upper``, or close to the relaxation's value.
    """
    reachable = np.isfinite(bound_at_prices(slot, local_cost, np.zeros_like(start)).priced_cost)
    programme, prices = CutProgramme(slot, local_cost, reachable), start
    best, least_value = bound_at_prices(slot, local_cost, prices), np.inf
    task_price, options = np.zeros(slot.tasks), np.full(slot.tasks, -1)
    for _ in range(ROUNDS):
        current = bound_at_prices(slot, local_cost, prices)
        if current.value > best.value:
            best = current
        if (
            least_value - best.value <= max(RELATIVE_TOLERANCE * (upper - least_value), 0.1 * allowance)
            or upper - best.value <= allowance
        ):
            break
        programme.add_cuts(prices, current.priced_cost)
        answer = programme.solve(deadline)
        if not answer.priced or deadline.passed:
            break
        solution = answer.values
        task_price = np.minimum(answer.row_dual[: slot.tasks], slot.failure_costs)
        prices, server_cost = clearing_prices(slot, programme.fractions(solution), prices)
        value = programme.fixed_cost(solution) + server_cost
        if value < least_value:
            least_value, options = value, programme.options(solution)
    return Relaxation(best, task_price, options)
