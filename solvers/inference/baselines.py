"""Uncoordinated baselines for edge inference: greedy users, local computing only, and round-robin over the servers.

Yuan et al. (doi:10.11897/SP.J.1016.2025.01763) compare with "Greedy": individually rational decisions without a
coordinating layer, and leave open what a user knows. Here a user knows its own observation and assumes that there are
no other users. Its tasks share its CPU and the servers. Under this assumption the decision is exact: the best partition
of its tasks among own CPU, servers and failures, with optimal shares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.inference.base import (
    InferenceRule,
    Planner,
    instance_tasks,
    optimal_shares,
    plan_within_batteries,
    slot_in_joules,
    sum_by_user,
    task_energies,
)
from offloadopt.solvers.inference.resource_allocation import (
    SlotTasks,
    allocate,
    local_set_costs,
    share_server,
    slot_tasks,
)
from offloadopt.structures.inference import InferenceProblem


class InferenceGreedy(InferenceRule):
    """Optimise each user's tasks as if it were alone; requested shares that exceed a resource are scaled down."""

    name = "greedy"

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[SlotTasks, IntArray, FloatArray]:
        """Combine the plans of all users; where a battery does not suffice, energy gets a price."""
        deadline = Deadline(self.time_limit_s, 1.0 / problem.horizon)
        return _independent_plans(problem, tasks, held_j, self.plan_alone, deadline)

    def plan_alone(self, slot: SlotTasks) -> tuple[IntArray, FloatArray]:
        """Options and shares that are optimal for each user without the others."""
        return _selfish_plan(slot)


class InferenceLocal(InferenceGreedy):
    """Compute on the users' own CPUs only, the best set of tasks that meets the time limit."""

    name = "local"

    def plan_alone(self, slot: SlotTasks) -> tuple[IntArray, FloatArray]:
        """Options and shares that are optimal for each user without servers."""
        return _selfish_plan(replace(slot, remote=np.ascontiguousarray(slot.remote[:, :0])))


class RoundRobin(InferenceRule):
    """Assign tasks to the servers in turn, with optimal shares of CPU and band."""

    name = "round-robin"

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[SlotTasks, IntArray, FloatArray]:
        """Servers 1 to the last in rotation, in the order of users and places; batteries are ignored."""
        slot = slot_tasks(tasks, problem.cost_weights, np.zeros(len(held_j)), 0.0)
        option = np.arange(slot.tasks, dtype=np.int64) % slot.servers + 1
        return slot, option, optimal_shares(slot, option)


def _independent_plans(
    problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray, planner: Planner, deadline: Deadline
) -> tuple[SlotTasks, IntArray, FloatArray]:
    """Plan users independently; users whose battery does not suffice are planned again with prices of energy.

    Those that are left when the deadline passes keep their plan, so that tasks fail.
    """
    zeros = np.zeros(len(held_j))
    slot, joules = slot_tasks(tasks, problem.cost_weights, zeros, 0.0), slot_in_joules(tasks, problem.cost_weights)
    option, shares = planner(slot)
    needed_j = sum_by_user(slot, task_energies(option, shares, joules.local, joules.remote))
    for i in np.flatnonzero(needed_j > held_j):
        if deadline.passed:
            break
        own_tasks = slice(slot.first_task[i], slot.first_task[i + 1])
        _, option[own_tasks], shares[own_tasks] = plan_within_batteries(
            instance_tasks(tasks, np.array([i])),
            problem.cost_weights,
            zeros[[i]],
            held_j[[i]],
            planner,
            deadline=deadline,
        )
    return slot, option, shares


def _selfish_plan(slot: SlotTasks) -> tuple[IntArray, FloatArray]:
    """Options and shares that are optimal for each user without the others."""
    if slot.tasks == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 2))
    sets = 1 << int(np.diff(slot.first_task).max())
    local_cost = local_set_costs(slot.first_task, slot.local, slot.second_price, slot.limit_s, sets)
    option, shares = best_without_others(
        slot.first_task, local_cost, slot.local, slot.remote, slot.second_price, slot.limit_s, slot.failure
    )
    return option, shares


@njit(cache=True)
def best_without_others(
    first_task: Any, local_cost: Any, local: Any, remote: Any, second_price: float, limit: float, failure: float
) -> Any:
    """Compute options ``[tasks]`` and shares ``[tasks, 2]`` that are optimal for each user without the others.

    ``local_cost [users, sets]`` is the cost of sets on the own CPU; sets of a user's tasks are numbered by bits.
    Dynamic programming over places (failures, own CPU, servers): the least cost of a set at the first places is the
    minimum over its subsets at the last of them.
    """
    places = remote.shape[1] + 2
    option, shares = np.empty(len(local), np.int64), np.zeros((len(local), 2))
    for i in range(len(first_task) - 1):
        begin, size = first_task[i], first_task[i + 1] - first_task[i]
        sets = 1 << size
        rows, cpu, band = np.empty((size + 1, 5)), np.empty(size + 1), np.empty(size + 1)
        ones, prices = np.ones(size + 1), np.zeros(2)
        least, taken = np.full((places, sets), np.inf), np.zeros((places, sets), np.int64)
        for chosen in range(sets):  # places: failures, the own CPU, servers
            number = 0
            for j in range(size):
                number += chosen >> j & 1
            least[0, chosen], taken[0, chosen] = failure * number, chosen
        place_cost = np.empty(sets)
        for place in range(1, places):
            for chosen in range(sets):
                number = 0
                for j in range(size):
                    if chosen >> j & 1 and place > 1:
                        rows[number] = remote[begin + j, place - 2]
                        number += 1
                if place == 1:
                    place_cost[chosen] = local_cost[i, chosen]
                else:
                    prices[:] = 0.0
                    cost_limit = failure * number
                    place_cost[chosen] = share_server(
                        number, rows, ones, second_price, limit, cost_limit, prices, cpu, band
                    )
            for chosen in range(sets):
                part = chosen
                while True:
                    cost = place_cost[part] + least[place - 1, chosen ^ part]
                    if cost < least[place, chosen]:
                        least[place, chosen], taken[place, chosen] = cost, part
                    if part == 0:
                        break
                    part = (part - 1) & chosen
        remaining = sets - 1
        for place in range(places - 1, -1, -1):
            part = taken[place, remaining]
            for j in range(size):
                if part >> j & 1:
                    option[begin + j] = place - 1
            remaining ^= part
        one_user = np.array([0, size])
        end = begin + size
        shares[begin:end] = allocate(
            option[begin:end], one_user, local[begin:end], remote[begin:end], second_price, limit, failure,
        )  # fmt: skip
    return option, shares
