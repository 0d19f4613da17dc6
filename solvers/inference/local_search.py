"""Local search over where tasks are computed: moves of one task, exchanges of two, CPUs and bands shared optimally.

Options: -1 fails, 0 is the own CPU, j is server j.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from offloadopt.clock import clock
from offloadopt.core import FloatArray, IntArray
from offloadopt.solvers.inference.resource_allocation import Slot, settle_server

BETTER = 1e-12
"""Least relative saving that counts."""


@njit(cache=True)
def _server_cost(
    option: Any, k: int, without: int, extra: int, away: Any, second: float, limit: float, failing: Any, prices: Any,
    work: Any, ones: Any,
) -> float:  # fmt: skip
    """What server k costs without one of its tasks and with an extra one (-1: nobody)."""
    number, most = 0, 0.0
    for j in range(len(option)):
        if (option[j] == k + 1 and j != without) or j == extra:
            work[number, :5] = away[j, k]
            most += failing[j]
            number += 1
    return settle_server(number, work[:, :5], ones, second, limit, most, prices, work[:, 5], work[:, 6])


@njit(cache=True)
def _own_set(option: Any, first: Any, user: int) -> int:
    """The set of a user's tasks on its own CPU."""
    chosen = 0
    for j in range(first[user], first[user + 1]):
        if option[j] == 0:
            chosen |= 1 << (j - first[user])
    return chosen


@njit(cache=True)
def total_cost(
    option: Any, user: Any, first: Any, own: Any, away: Any, second: float, limit: float, failing: Any, costs: Any,
    prices: Any,
) -> float:  # fmt: skip
    """Cost of options ``[tasks]``; fills each server's cost and ``prices [servers, 2]``."""
    tasks, servers = away.shape[0], away.shape[1]
    work, ones = np.empty((tasks + 1, 7)), np.ones(tasks + 1)
    total = 0.0
    for j in range(tasks):
        if option[j] < 0:
            total += failing[j]
    for i in range(len(first) - 1):
        total += own[i, _own_set(option, first, i)]
    for k in range(servers):
        costs[k] = _server_cost(option, k, -1, -1, away, second, limit, failing, prices[k], work, ones)
        total += costs[k]
    return total


@njit(cache=True)
def improve(
    option: Any, user: Any, first: Any, own: Any, away: Any, second: float, limit: float, failing: Any, swaps: bool
) -> float:
    """Improve options until no move, and with ``swaps`` no exchange between two servers, saves anything; the cost.

    Tasks on a CPU that cannot do all that it is given fail at first: one move alone would not mend that.
    """
    tasks, servers = away.shape[0], away.shape[1]
    costs, prices = np.empty(servers), np.zeros((servers, 2))
    work, ones, guess = np.empty((tasks + 1, 7)), np.ones(tasks + 1), np.zeros(2)
    total = total_cost(option, user, first, own, away, second, limit, failing, costs, prices)
    if not np.isfinite(total):
        for j in range(tasks):
            if option[j] > 0 and not np.isfinite(costs[option[j] - 1]):
                option[j] = -1
        for i in range(len(first) - 1):
            if not np.isfinite(own[i, _own_set(option, first, i)]):
                for j in range(first[i], first[i + 1]):
                    option[j] = -1 if option[j] == 0 else option[j]
        total = total_cost(option, user, first, own, away, second, limit, failing, costs, prices)
    quiet, j = 0, 0
    while quiet < tasks:
        here, i = option[j], user[j]
        bit = 1 << (j - first[i])
        chosen = _own_set(option, first, i)
        if here < 0:
            left = -failing[j]
        elif here == 0:
            left = own[i, chosen ^ bit] - own[i, chosen]
        else:
            guess[:] = prices[here - 1]
            left = (
                _server_cost(option, here - 1, j, -1, away, second, limit, failing, guess, work, ones) - costs[here - 1]
            )
        best, target, partner = -BETTER * (1.0 + abs(total)), here, -1
        for there in range(-1, servers + 1):
            if there == here:
                continue
            if there < 0:
                change = left + failing[j]
            elif there == 0:
                change = left + own[i, chosen | bit] - own[i, chosen]
            else:
                guess[:] = prices[there - 1]
                grown = _server_cost(option, there - 1, -1, j, away, second, limit, failing, guess, work, ones)
                change = left + grown - costs[there - 1]
            if change < best:
                best, target = change, there
        if swaps and target == here and here > 0:
            for other in range(tasks):
                there = option[other]
                if there <= 0 or there == here:
                    continue
                guess[:] = prices[here - 1]
                mine = _server_cost(option, here - 1, j, other, away, second, limit, failing, guess, work, ones)
                change = mine - costs[here - 1] - costs[there - 1]
                if change >= best:
                    continue
                guess[:] = prices[there - 1]
                change += _server_cost(option, there - 1, other, j, away, second, limit, failing, guess, work, ones)
                if change < best:
                    best, target, partner = change, there, other
        if target == here:
            quiet += 1
        else:
            quiet = 0
            option[j] = target
            if partner >= 0:
                option[partner] = here
            total = total_cost(option, user, first, own, away, second, limit, failing, costs, prices)
        j = (j + 1) % tasks
    return total


def search(slot: Slot, own: FloatArray, start: IntArray, deadline: float) -> tuple[IntArray, float, FloatArray]:
    """Local optimum from options ``start [tasks]``: the options, their cost, and prices ``[servers, 2]``."""
    option = start.copy()
    arguments = (slot.user, slot.first, own, slot.away, slot.second, slot.limit_s, slot.failing)
    for swaps in (False, True):
        if slot.tasks and clock() < deadline:
            improve(option, *arguments, swaps)
    costs, prices = np.empty(slot.servers), np.zeros((slot.servers, 2))
    cost = float(total_cost(option, *arguments, costs, prices))
    return option, cost, prices
