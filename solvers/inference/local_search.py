"""Local search over the placement of inference tasks: moves of one task and exchanges of two, with optimal shares.

Options are -1 (the task fails), 0 (own CPU) and j (server j).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.clock import Deadline, clock, steps_until_look
from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.solvers.inference.resource_allocation import SlotTasks, share_server

LEAST_SAVING = 1e-12
"""Least relative reduction of the cost for which a move is made."""


@njit(cache=True)
def _server_cost(
    option: Any, k: int, without: int, extra: int, remote: Any, second_price: float, limit: float, failure_costs: Any,
    prices: Any, work: Any, ones: Any,
) -> float:  # fmt: skip
    """Cost of server k without one of its tasks and with an extra one (-1: none)."""
    number, cost_limit = 0, 0.0
    for j in range(len(option)):
        if (option[j] == k + 1 and j != without) or j == extra:
            work[number, :5] = remote[j, k]
            cost_limit += failure_costs[j]
            number += 1
    return share_server(number, work[:, :5], ones, second_price, limit, cost_limit, prices, work[:, 5], work[:, 6])


@njit(cache=True)
def _local_set(option: Any, first_task: Any, user: int) -> int:
    """Set of a user's tasks on its own CPU, as bits."""
    chosen = 0
    for j in range(first_task[user], first_task[user + 1]):
        if option[j] == 0:
            chosen |= 1 << (j - first_task[user])
    return chosen


@njit(cache=True)
def total_cost(
    option: Any, user: Any, first_task: Any, local_cost: Any, remote: Any, second_price: float, limit: float,
    failure_costs: Any, costs: Any, prices: Any,
) -> float:  # fmt: skip
    """Cost of options ``[tasks]``; writes each server's cost and its resources' ``prices [servers, 2]``."""
    tasks, servers = remote.shape[0], remote.shape[1]
    work, ones = np.empty((tasks + 1, 7)), np.ones(tasks + 1)
    total = 0.0
    for j in range(tasks):
        if option[j] < 0:
            total += failure_costs[j]
    for i in range(len(first_task) - 1):
        total += local_cost[i, _local_set(option, first_task, i)]
    for k in range(servers):
        costs[k] = _server_cost(option, k, -1, -1, remote, second_price, limit, failure_costs, prices[k], work, ones)
        total += costs[k]
    return total


@njit(cache=True)
def _fail_infeasible(option: Any, first_task: Any, local_cost: Any, costs: Any) -> None:
    """Set the tasks on a CPU to fail where they cannot all meet the time limit."""
    for j in range(len(option)):
        if option[j] > 0 and not np.isfinite(costs[option[j] - 1]):
            option[j] = -1
    for i in range(len(first_task) - 1):
        if not np.isfinite(local_cost[i, _local_set(option, first_task, i)]):
            for j in range(first_task[i], first_task[i + 1]):
                option[j] = -1 if option[j] == 0 else option[j]


@njit(cache=True)
def _best_move(
    option: Any, j: int, user: Any, first_task: Any, local_cost: Any, remote: Any, second_price: float, limit: float,
    failure_costs: Any, least: float, costs: Any, prices: Any, trial_prices: Any, work: Any, ones: Any,
) -> Any:  # fmt: skip
    """Option of task j that changes the cost most, if below ``least``; else its present one."""
    current, i = option[j], user[j]
    bit = 1 << (j - first_task[i])
    chosen = _local_set(option, first_task, i)
    if current < 0:
        removal_change = -failure_costs[j]
    elif current == 0:
        removal_change = local_cost[i, chosen ^ bit] - local_cost[i, chosen]
    else:
        trial_prices[:] = prices[current - 1]
        rest_cost = _server_cost(
            option, current - 1, j, -1, remote, second_price, limit, failure_costs, trial_prices, work, ones
        )
        removal_change = rest_cost - costs[current - 1]
    best, target = least, current
    for candidate in range(-1, remote.shape[1] + 1):
        if candidate == current:
            continue
        if candidate < 0:
            change = removal_change + failure_costs[j]
        elif candidate == 0:
            change = removal_change + local_cost[i, chosen | bit] - local_cost[i, chosen]
        else:
            trial_prices[:] = prices[candidate - 1]
            new_cost = _server_cost(
                option, candidate - 1, -1, j, remote, second_price, limit, failure_costs, trial_prices, work, ones
            )
            change = removal_change + new_cost - costs[candidate - 1]
        if change < best:
            best, target = change, candidate
    return target


@njit(cache=True)
def _best_exchange(
    option: Any, j: int, remote: Any, second_price: float, limit: float, failure_costs: Any, least: float, costs: Any,
    prices: Any, trial_prices: Any, work: Any, ones: Any,
) -> int:  # fmt: skip
    """Task on another server whose exchange with task j changes the cost most, if below ``least``; else -1."""
    best, partner, current = least, -1, option[j]
    for other in range(len(option)):
        place = option[other]
        if place <= 0 or place == current:
            continue
        trial_prices[:] = prices[current - 1]
        new_cost = _server_cost(
            option, current - 1, j, other, remote, second_price, limit, failure_costs, trial_prices, work, ones
        )
        change = new_cost - costs[current - 1] - costs[place - 1]
        if change >= best:
            continue
        trial_prices[:] = prices[place - 1]
        change += _server_cost(
            option, place - 1, other, j, remote, second_price, limit, failure_costs, trial_prices, work, ones
        )
        if change < best:
            best, partner = change, other
    return partner


@njit(cache=True)
def improve(
    option: Any, user: Any, first_task: Any, local_cost: Any, remote: Any, second_price: float, limit: float,
    failure_costs: Any, swaps: bool, place: Any, total: Any, costs: Any, prices: Any, steps: int,
) -> None:  # fmt: skip
    """Improve options in place until no move, and with ``swaps`` no exchange between servers, helps.

    After so many ``steps`` the search stops, and the same call continues it: ``place`` holds the next task and the
    number of tasks since the last change; ``total [1]``, ``costs`` and ``prices`` are those of `total_cost`, finite.
    """
    tasks = len(option)
    trial = np.zeros(2), np.empty((tasks + 1, 7)), np.ones(tasks + 1)  # prices, work, ones
    slot = user, first_task, local_cost, remote, second_price, limit, failure_costs
    for _ in range(steps):
        if place[1] == tasks:
            break
        j = place[0]
        current, partner = option[j], -1
        least = -LEAST_SAVING * (1.0 + abs(total[0]))
        target = _best_move(option, j, *slot, least, costs, prices, *trial)
        if swaps and target == current and current > 0:
            partner = _best_exchange(
                option, j, remote, second_price, limit, failure_costs, least, costs, prices, *trial
            )  # fmt: skip
            if partner >= 0:
                target = option[partner]
        if target == current:
            place[1] += 1
        else:
            place[1] = 0
            option[j] = target
            if partner >= 0:
                option[partner] = current
            total[0] = total_cost(option, *slot, costs, prices)
        place[0] = (j + 1) % tasks


def local_search(
    slot: SlotTasks, local_cost: FloatArray, start: IntArray, deadline: Deadline, exchanges: bool = True
) -> tuple[IntArray, float, FloatArray]:
    """Find a local optimum from ``start [tasks]``: options, their cost, and resource prices ``[servers, 2]``.

    Where the tasks on a CPU cannot all meet the time limit, they are first set to fail: a single move could not make
    them feasible. Without ``exchanges`` of two tasks only moves are tried.
    """
    option = start.copy()
    arguments = (
        slot.user,
        slot.first_task,
        local_cost,
        slot.remote,
        slot.second_price,
        slot.limit_s,
        slot.failure_costs,
    )
    steps = 1
    for swaps in (False, True) if exchanges else (False,):
        if deadline.passed:
            break
        costs, prices = np.empty(slot.servers), np.zeros((slot.servers, 2))
        place, total = np.zeros(2, dtype=np.int64), np.array([total_cost(option, *arguments, costs, prices)])
        if not np.isfinite(total[0]):
            _fail_infeasible(option, slot.first_task, local_cost, costs)
            total[0] = total_cost(option, *arguments, costs, prices)
        while place[1] < slot.tasks and not deadline.passed:
            begin = clock()
            improve(option, *arguments, swaps, place, total, costs, prices, steps)
            steps = steps_until_look(steps, clock() - begin)
    costs, prices = np.empty(slot.servers), np.zeros((slot.servers, 2))
    cost = float(total_cost(option, *arguments, costs, prices))
    return option, cost, prices
