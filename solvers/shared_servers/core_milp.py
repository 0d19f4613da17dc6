"""MILP of a slot with shared servers: undecided options, cuts at CPU prices, HiGHS with a cutoff.

Binary ``x[i,j,n,b]``: task i is on server j with n users in mode b; binary ``z[j,n]``: server j has n users; ``t[j,n]``
is the cost of its tasks. For every CPU price ``y``

    t_jn >= sum phi_ijnb(y) x_ijnb - y F z_jn

is valid. After each MILP solution, cuts are added at the prices of its optimal CPU shares, and HiGHS is run again. The
objective is the cost above the bound in units of the gap, so that HiGHS's tolerances are relative to the gap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.task_splitting import Splitting, share_server_cpu
from offloadopt.solvers.highs import CutSearch, Programme
from offloadopt.solvers.shared_servers.dual_bound import DualBound
from offloadopt.structures.assignment import AssignmentCosts

INITIAL_PRICES = (0.0, 0.7, 0.9, 1.0, 1.1, 1.4)
"""CPU prices of the first cuts, relative to those of the bound."""
MIN_UNIT = 1e-7
"""Least unit of the objective, relative to the cost: smaller ones exceed the precision of HiGHS's coefficients."""


def priced_mode_costs(modes: Splitting, price: FloatArray) -> FloatArray:
    """Least cost plus price of CPU ``[2, ...]`` of the balanced split and of full offloading.

    Rounding of the minimising CPU has an effect of second order: the value exceeds the minimum by less than 1e-15.

    Parameters
    ----------
    modes : Splitting
        Arrays of shape ``[...]``.
    price : array [...]
        CPU prices, per Hz.
    """
    costs = []
    for mode in (np.asarray(False), np.asarray(True)):
        cpu = modes.best_cpu(mode, price)
        costs.append(np.where(np.isfinite(modes.send_s), modes.mode_cost(mode, cpu) + price * cpu, np.inf))
    return np.stack(costs)


class SharedServersMilp(CutSearch):
    """The MILP: columns x of undecided options, one per task for the own CPU, then z and t of pairs (server, users).

    Parameters
    ----------
    modes : Splitting
        Arrays ``[tasks, sites, numbers]`` of one slot.
    undecided : array [2, tasks, sites, numbers]
        Options that a better assignment may use, for the balanced split and full offloading.
    bound : DualBound
    costs : AssignmentCosts
    assignment : array [tasks]
        Incumbent.
    upper : float
        Its cost.
    allowance : float
        Absolute gap asked for.
    """

    def __init__(
        self, modes: Splitting, undecided: NDArray[np.bool_], bound: DualBound, costs: AssignmentCosts,
        assignment: IntArray, upper: float, allowance: float,
    ) -> None:  # fmt: skip
        self.modes, self.dual, self.costs, self.assignment = modes, bound, costs, assignment
        _, self.tasks, self.sites, numbers = undecided.shape
        mode, self.task, self.site, number = np.nonzero(undecided)
        self.whole = mode == 1
        self.option = modes.take((self.task, self.site, number))
        pair, pair_of = np.unique(self.site * numbers + number, return_inverse=True)
        self.pair_site, self.pair_number = pair // numbers, pair % numbers
        self.on_pair = [np.flatnonzero(pair_of == k) for k in range(len(pair))]
        self.local = len(self.task)
        self.z = self.local + self.tasks
        self.t = self.z + len(pair)
        unit = max(upper - bound.value, MIN_UNIT * upper)
        objective = np.zeros(self.t + len(pair))
        objective[self.local : self.z], objective[self.t :] = (1.0 - bound.task_price) / unit, 1.0
        free = np.full(len(pair), np.inf)
        programme = Programme(
            objective, np.append(np.zeros(self.t), -free), np.append(np.ones(self.t), free), np.arange(self.t)
        )
        super().__init__(programme, bound.value, upper, allowance, float(bound.task_price.sum()), unit)
        self._add_option_rows()
        for k in range(len(pair)):
            at_bound = float(bound.cpu_price[self.pair_site[k], self.pair_number[k]])
            for price in {factor * at_bound for factor in INITIAL_PRICES}:
                self._add_cut(k, price)
        self._cut_at(assignment)

    def _add_option_rows(self) -> None:
        """Each task takes one option; a pair has its number of users if it is chosen; a server has one pair."""
        add_row = self.programme.add_row
        for i in range(self.tasks):
            add_row(np.append(np.flatnonzero(self.task == i), self.local + i), 1.0, 1.0, 1.0)
        for k, own in enumerate(self.on_pair):
            add_row(np.append(own, self.z + k), np.append(np.ones(len(own)), -(self.pair_number[k] + 1.0)), 0.0, 0.0)
            for i in np.unique(self.task[own]):
                either = own[self.task[own] == i]
                add_row(np.append(either, self.z + k), np.append(np.ones(len(either)), -1.0), high=0.0)
        for j in range(self.sites):
            own = self.z + np.flatnonzero(self.pair_site == j)
            if len(own):
                add_row(own, 1.0, high=1.0)

    def _add_cut(self, k: int, price: float) -> None:
        """Add the cut of a pair at a CPU price."""
        own = self.on_pair[k]
        tasks_there = self.option.take(own)
        cpu = tasks_there.best_cpu(self.whole[own], np.full(len(own), price))
        priced_cost = tasks_there.mode_cost(self.whole[own], cpu) + price * cpu
        values = (priced_cost - self.dual.task_price[self.task[own]]) / self.unit
        all_cpu = price * self.modes.cpu_max_hz / self.unit
        self.programme.add_row(np.append(own, [self.z + k, self.t + k]), np.append(values, [-all_cpu, -1.0]), high=0.0)

    def _cut_at(self, assignment: IntArray) -> None:
        """Add cuts at the CPU prices of an assignment's optimal CPU shares."""
        for j in range(self.sites):
            members = np.flatnonzero((assignment > 0) & ((assignment - 1) % self.sites == j))
            for k in np.flatnonzero((self.pair_site == j) & (self.pair_number == len(members) - 1)):
                self._add_cut(int(k), clearing_price(self.modes, members, j, assignment[members] > self.sites))

    def refine(self, values: FloatArray) -> bool:
        """Assign tasks to the options taken, and add cuts at their CPU prices."""
        taken = np.flatnonzero(np.rint(values[: self.local]) > 0)
        found = np.zeros(self.tasks, dtype=np.int64)
        found[self.task[taken]] = self.site[taken] + 1 + np.where(self.whole[taken], self.sites, 0)
        cost = float(self.costs.cost(found[None])[0])
        if cost < self.upper:
            self.assignment, self.upper = found, cost
        new = self.first_time(found)
        if new:
            self._cut_at(found)
        return new


def clearing_price(modes: Splitting, members: IntArray, site: int, whole: NDArray[np.bool_]) -> float:
    """CPU price at which the demand of these tasks in these modes equals a server's CPU; 0 if the demand is less."""
    number = len(members)
    tasks = modes.take((members, np.full(number, site), np.full(number, number - 1))).packed()
    return float(share_server_cpu(number, whole, tasks, modes.time_weight, modes.cpu_max_hz, np.empty(number)))
