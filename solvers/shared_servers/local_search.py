"""Local search over who is on which server, whole or split, with exact costs of the servers that change.

A server's modes follow from its users: at the price where the tasks' cheaper modes use up the CPU, from either side of
it, where a task may change its mode; the better of both is a cost that can be had. One slot, compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.physics.task_splitting import cheaper_mode, mode_cost, settle
from offloadopt.solvers.shared_servers.dual_bound import Slot

BETTER = 1e-11
"""Relative fall of the cost below which a change is rounding."""
TURNS = 10
"""Of tasks, between two looks at the clock."""
PRICE_STEPS = 24
"""Halvings of a bracket of the price, in its logarithm: closer modes do not matter."""


@njit(cache=True)
def _choose_modes(number: int, price: float, here: Any, bt: float, most: float, whole: Any) -> float:
    """Every task's cheaper mode at a price of CPU; fills ``whole`` and returns the demand."""
    total = 0.0
    for place in range(number):
        _, cpu, whole[place] = cheaper_mode(price, here[place], bt, most)
        total += cpu
    return total


@njit(cache=True)
def _settled_cost(number: int, whole: Any, here: Any, bt: float, most: float, cpu: Any) -> float:
    """Cost of a server's users with these modes and CPU shared optimally."""
    settle(number, whole, here, bt, most, cpu)
    cost = 0.0
    for place in range(number):
        cost += mode_cost(whole[place], cpu[place], here[place], bt)
    return cost


@njit(cache=True)
def site_cost(members: Any, number: int, site: int, tasks: Any, bt: float, most: float, whole: Any) -> float:
    """Cost of a server with the users ``members[:number]``; fills their modes ``whole[:number]``.

    ``tasks [tasks, sites, numbers, 5]`` as packed. ``inf`` where a link is missing.
    """
    if number == 0:
        return 0.0
    here, cpu = np.empty((number, 5)), np.empty(number)
    for place in range(number):
        here[place] = tasks[members[place], site, number - 1]
        if not np.isfinite(here[place, 1]):
            return np.inf
    if _choose_modes(number, 0.0, here, bt, most, whole) <= most:
        return _settled_cost(number, whole, here, bt, most, cpu)
    low, high = 0.0, 0.0
    price = 1.0 / most
    other = np.empty(number, np.bool_)
    for _ in range(2 * PRICE_STEPS):
        if low > 0.0 and high > 0.0:
            if high <= low * (1.0 + 1e-6):
                break
            price = np.sqrt(low * high)
        if _choose_modes(number, price, here, bt, most, other) > most:
            low = price
            price *= 4.0
        else:
            high = price
            price /= 4.0
    _choose_modes(number, high, here, bt, most, whole)
    _choose_modes(number, low, here, bt, most, other)
    cost = _settled_cost(number, whole, here, bt, most, cpu)
    differ = False
    for place in range(number):
        differ = differ or whole[place] != other[place]
    if differ:
        another = _settled_cost(number, other, here, bt, most, cpu)
        if another < cost:
            cost = another
            whole[:number] = other[:number]
    return cost


@njit(cache=True)
def _users(server: Any, site: int, without: int, others: Any) -> int:
    """Lists the tasks on a server, all but one, in ``others``; their number."""
    number = 0
    for i in range(len(server)):
        if server[i] == site and i != without:
            others[number] = i
            number += 1
    return number


@njit(cache=True)
def improve(server: Any, tasks: Any, bt: float, most: float, swaps: bool, first: int, quiet: int) -> Any:
    """Some turns, in which a task takes its best move or, if asked for, swap; ``server [tasks]`` changes.

    The tasks' turns begin with ``first``, after ``quiet`` in which nothing paid; the number of these is returned.
    """
    count, sites = len(server), tasks.shape[1]
    users, whole = np.empty(count, np.int64), np.empty(count, np.bool_)
    cost = np.empty(sites)
    for site in range(sites):
        cost[site] = site_cost(users, _users(server, site, -1, users), site, tasks, bt, most, whole)
    for turn in range(TURNS):
        if quiet >= count:
            break
        task = (first + turn) % count
        here, saved = server[task], 1.0
        best, target, partner = BETTER * (1.0 + cost.sum()), here, -1
        if here >= 0:
            number = _users(server, here, task, users)
            saved = cost[here] - site_cost(users, number, here, tasks, bt, most, whole)
            if saved - 1.0 > best:
                best, target = saved - 1.0, -1
        for site in range(sites):
            if site != here:
                number = _users(server, site, -1, users)
                users[number] = task
                fall = saved - site_cost(users, number + 1, site, tasks, bt, most, whole) + cost[site]
                if fall > best:
                    best, target = fall, site
        if target == here and here >= 0 and swaps:
            for other in range(count):
                there = server[other]
                if there == here:
                    continue
                number = _users(server, here, task, users)
                users[number] = other
                fall = cost[here] - site_cost(users, number + 1, here, tasks, bt, most, whole)
                if there >= 0 and fall + cost[there] > best:
                    number = _users(server, there, other, users)
                    users[number] = task
                    fall += cost[there] - site_cost(users, number + 1, there, tasks, bt, most, whole)
                elif there >= 0:
                    continue
                if fall > best:
                    best, target, partner = fall, there, other
        if target == here:
            quiet += 1
            continue
        quiet = 0
        server[task] = target
        if partner >= 0:
            server[partner] = here
        for site in (here, target):
            if site >= 0:
                cost[site] = site_cost(users, _users(server, site, -1, users), site, tasks, bt, most, whole)
    return quiet


@njit(cache=True)
def account(server: Any, tasks: Any, bt: float, most: float) -> Any:
    """Cost of the tasks on these servers, their modes, and what each one's absence would save its server."""
    count = len(server)
    users, modes, without = np.empty(count, np.int64), np.empty(count, np.bool_), np.empty(count, np.bool_)
    total, whole, saving = 0.0, np.zeros(count, np.bool_), np.ones(count)
    for site in range(-1, tasks.shape[1]):
        number = _users(server, site, -1, users)
        if site < 0:
            total += number
            continue
        cost = site_cost(users, number, site, tasks, bt, most, modes)
        total += cost
        for place in range(number):
            task = users[place]
            whole[task] = modes[place]
            others = users[:number].copy()
            others[place] = others[number - 1]
            saving[task] = cost - site_cost(others, number - 1, site, tasks, bt, most, without)
    return total, whole, saving


def search(slot: Slot, start: IntArray, deadline: float) -> tuple[IntArray, float, FloatArray]:
    """Local optimum from servers ``start [tasks]`` (-1: local): the assignment, its cost, and each task's saving.

    Moves first, then swaps as well. The assignment counts options as `SharedServersProblem` does.
    """
    server, bt, most = start.copy(), slot.time_weight, slot.cpu_max_hz
    # A first start over missing links would compare infinite costs.
    linked = np.isfinite(slot.tasks[np.arange(len(server)), np.maximum(server, 0), 0, 1])
    server[~linked] = -1
    for swaps in (False, True):
        first, quiet = 0, 0
        while quiet < len(server) and clock() < deadline:
            quiet = improve(server, slot.tasks, bt, most, swaps, first, quiet)
            first += TURNS
    cost, whole, saving = account(server, slot.tasks, bt, most)
    return np.where(server < 0, 0, server + 1 + np.where(whole, slot.sites, 0)), float(cost), saving
