"""Rules for inference at the edge that nobody coordinates: each user for itself, all at home, servers in turn.

Yuan et al. (doi:10.11897/SP.J.1016.2025.01763) compare with "Greedy": individually rational decisions without a
coordinating layer. What a user then knows is left open; here it knows its own row of the observation, and supposes
that nobody else is there. Its tasks do share its own CPU and what they ask of a server. So the decision is exact: the
best partition of its tasks among own CPU, servers and failures, each shared optimally.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit

from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.solvers.inference.base import InferenceRule, Plan, best_shares_of, by_user, drained, joules_of, within
from offloadopt.solvers.inference.resource_allocation import Slot, allocate, local_costs, settle_server, slot_of
from offloadopt.structures.inference import InferenceProblem


class InferenceGreedy(InferenceRule):
    """Every user takes what is best for itself alone; what all ask for together is cut pro rata."""

    name = "greedy"

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[Slot, IntArray, FloatArray]:
        """Each user's own plan."""
        return _plans(problem, tasks, held_j, _each_alone)


class InferenceLocal(InferenceRule):
    """Every task on its user's own CPU, as many as these can do in time."""

    name = "local"

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[Slot, IntArray, FloatArray]:
        """What is best for each user where there are no servers."""
        return _plans(problem, tasks, held_j, _each_at_home)


class RoundRobin(InferenceRule):
    """Tasks dealt out to the servers in turn, which share CPU and band optimally among them."""

    name = "round-robin"

    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[Slot, IntArray, FloatArray]:
        """Servers 1 to the last, again and again, in the order of users and places; batteries are not looked at."""
        slot = slot_of(tasks, problem.prices, np.zeros(len(held_j)), 0.0)
        option = np.arange(slot.tasks, dtype=np.int64) % slot.servers + 1
        return slot, option, best_shares_of(slot, option)


def _plans(
    problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray, plan: Plan
) -> tuple[Slot, IntArray, FloatArray]:
    """Plans of users who do not touch each other; those whose batteries do not suffice are made again one by one."""
    nothing = np.zeros(len(held_j))
    slot, joules = slot_of(tasks, problem.prices, nothing, 0.0), joules_of(tasks, problem.prices)
    option, shares = plan(slot)
    needed = by_user(slot, drained(option, shares, joules.local, joules.away))
    for i in np.flatnonzero(needed > held_j):
        alone = replace(tasks, present=tasks.present & (np.arange(len(held_j)) == i)[:, None])
        own = slice(slot.first[i], slot.first[i + 1])
        _, option[own], shares[own] = within(alone, problem.prices, nothing, held_j, plan)
    return slot, option, shares


def _each_alone(slot: Slot) -> tuple[IntArray, FloatArray]:
    """Options and shares that are best for each user if nobody else is there."""
    if slot.tasks == 0:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 2))
    sets = 1 << int(np.diff(slot.first).max())
    own = local_costs(slot.first, slot.local, slot.second, slot.limit_s, sets)
    option, shares = best_alone(slot.first, own, slot.local, slot.away, slot.second, slot.limit_s, slot.failure)
    return option, shares


def _each_at_home(slot: Slot) -> tuple[IntArray, FloatArray]:
    """Likewise without servers."""
    return _each_alone(replace(slot, away=np.ascontiguousarray(slot.away[:, :0])))


@njit(cache=True)
def best_alone(first: Any, own: Any, local: Any, away: Any, second: float, limit: float, failure: float) -> Any:
    """Options ``[tasks]`` and shares ``[tasks, 2]`` that are best for each user if nobody else is there.

    ``own [users, sets]`` is what sets cost at home. Sets of a user's tasks are numbered by bits. Place after place, the
    least cost of each set is the least over what of it is there and what is at the places before.
    """
    places = away.shape[1] + 2
    option, shares = np.empty(len(local), np.int64), np.zeros((len(local), 2))
    for i in range(len(first) - 1):
        begin, size = first[i], first[i + 1] - first[i]
        sets = 1 << size
        rows, cpu, band = np.empty((size + 1, 5)), np.empty(size + 1), np.empty(size + 1)
        ones, prices = np.ones(size + 1), np.zeros(2)
        least, taken = np.full((places, sets), np.inf), np.zeros((places, sets), np.int64)
        for chosen in range(sets):  # places: failures, the own CPU, servers
            number = 0
            for j in range(size):
                number += chosen >> j & 1
            least[0, chosen], taken[0, chosen] = failure * number, chosen
        there = np.empty(sets)
        for place in range(1, places):
            for chosen in range(sets):
                number = 0
                for j in range(size):
                    if chosen >> j & 1 and place > 1:
                        rows[number] = away[begin + j, place - 2]
                        number += 1
                if place == 1:
                    there[chosen] = own[i, chosen]
                else:
                    prices[:] = 0.0
                    most = failure * number
                    there[chosen] = settle_server(number, rows, ones, second, limit, most, prices, cpu, band)
            for chosen in range(sets):
                part = chosen
                while True:
                    cost = there[part] + least[place - 1, chosen ^ part]
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
        alone = np.array([0, size])
        end = begin + size
        shares[begin:end] = allocate(
            option[begin:end], alone, local[begin:end], away[begin:end], second, limit, failure
        )  # fmt: skip
    return option, shares
