"""Local search over the assignment of one slot's tasks to shared servers, by moves and swaps.

The modes (balanced split or full offloading) of a server's users follow from its set of users: they are the cheaper
ones at the CPU price at which demand equals the server's CPU. Demand is discontinuous where a task changes its mode;
the modes on both sides of the price are tried, and the cheaper ones are taken. Every cost is that of a feasible
decision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.kernels import njit
from offloadopt.physics.task_splitting import cheaper_mode, mode_cost, share_server_cpu
from offloadopt.solvers.shared_servers.dual_bound import SlotTasks

MIN_IMPROVEMENT = 1e-11
"""Relative decrease of the cost below which a change is attributed to rounding."""
TURNS, TURNS_PAIRS = 10, 100_000
"""Most tasks that are tried between two checks of the deadline, and most pairs of tasks that swaps of these make."""
SAVINGS_QUICKLY = 16
"""Tasks of a server for each one whose saving is computed where time is short."""
PRICE_STEPS = 24
"""Bisection steps of the logarithm of the price on either side."""


@njit(cache=True)
def _choose_modes(number: int, price: float, packed: Any, time_weight: float, cpu_max: float, whole: Any) -> float:
    """Choose every task's cheaper mode at a CPU price: fill ``whole`` and return the demand for CPU."""
    total = 0.0
    for k in range(number):
        _, cpu, whole[k] = cheaper_mode(price, packed[k], time_weight, cpu_max)
        total += cpu
    return total


@njit(cache=True)
def _cost_of_modes(number: int, whole: Any, packed: Any, time_weight: float, cpu_max: float, cpu: Any) -> float:
    """Cost of a server's users in these modes with optimal CPU shares, which fill ``cpu``."""
    share_server_cpu(number, whole, packed, time_weight, cpu_max, cpu)
    cost = 0.0
    for k in range(number):
        cost += mode_cost(whole[k], cpu[k], packed[k], time_weight)
    return cost


@njit(cache=True)
def site_cost(
    members: Any, number: int, site: int, tasks: Any, time_weight: float, cpu_max: float, whole: Any
) -> float:
    """Cost of a server with the users ``members[:number]``; fills their modes ``whole[:number]``.

    ``tasks [tasks, sites, numbers, 5]`` as in `SlotTasks`. The cost is ``inf`` where a link is missing.
    """
    if number == 0:
        return 0.0
    packed, cpu = np.empty((number, 5)), np.empty(number)
    for k in range(number):
        packed[k] = tasks[members[k], site, number - 1]
        if not np.isfinite(packed[k, 1]):
            return np.inf
    if _choose_modes(number, 0.0, packed, time_weight, cpu_max, whole) <= cpu_max:
        return _cost_of_modes(number, whole, packed, time_weight, cpu_max, cpu)
    low, high = 0.0, 0.0
    price = 1.0 / cpu_max
    other = np.empty(number, np.bool_)
    for _ in range(2 * PRICE_STEPS):
        if low > 0.0 and high > 0.0:
            if high <= low * (1.0 + 1e-6):
                break
            price = np.sqrt(low * high)
        if _choose_modes(number, price, packed, time_weight, cpu_max, other) > cpu_max:
            low = price
            price *= 4.0
        else:
            high = price
            price /= 4.0
    _choose_modes(number, high, packed, time_weight, cpu_max, whole)
    _choose_modes(number, low, packed, time_weight, cpu_max, other)
    cost = _cost_of_modes(number, whole, packed, time_weight, cpu_max, cpu)
    differ = False
    for k in range(number):
        differ = differ or whole[k] != other[k]
    if differ:
        another = _cost_of_modes(number, other, packed, time_weight, cpu_max, cpu)
        if another < cost:
            cost = another
            whole[:number] = other[:number]
    return cost


@njit(cache=True)
def _list_users(server: Any, site: int, without: int, others: Any) -> int:
    """Fill ``others`` with the tasks on a server except ``without``; return their number."""
    number = 0
    for i in range(len(server)):
        if server[i] == site and i != without:
            others[number] = i
            number += 1
    return number


@njit(cache=True)
def _cost_after(
    server: Any, site: int, leaving: int, joining: int, tasks: Any, time_weight: float, cpu_max: float, users: Any,
    whole: Any,
) -> float:  # fmt: skip
    """Cost of a server without the task ``leaving`` and with the task ``joining``, each -1 for none."""
    number = _list_users(server, site, leaving, users)
    if joining >= 0:
        users[number] = joining
        number += 1
    return float(site_cost(users, number, site, tasks, time_weight, cpu_max, whole))


@njit(cache=True)
def _best_move(
    server: Any, task: int, cost: Any, least: float, tasks: Any, time_weight: float, cpu_max: float, users: Any,
    whole: Any,
) -> tuple[float, int]:  # fmt: skip
    """Largest decrease of the cost by a move of ``task``, if more than ``least``, and its target."""
    old, saved = server[task], 1.0
    best, target = least, old
    if old >= 0:
        saved = cost[old] - _cost_after(server, old, task, -1, tasks, time_weight, cpu_max, users, whole)
        if saved - 1.0 > best:
            best, target = saved - 1.0, -1
    for site in range(len(cost)):
        if site != old:
            after = _cost_after(server, site, -1, task, tasks, time_weight, cpu_max, users, whole)
            decrease = saved - after + cost[site]
            if decrease > best:
                best, target = decrease, site
    return best, target


@njit(cache=True)
def _best_swap(
    server: Any, task: int, cost: Any, least: float, tasks: Any, time_weight: float, cpu_max: float, users: Any,
    whole: Any,
) -> int:  # fmt: skip
    """Task whose swap with ``task`` decreases the cost most, if by more than ``least``; -1 if there is none."""
    old, best, partner = server[task], least, -1
    for other in range(len(server)):
        there = server[other]
        if there == old:
            continue
        decrease = cost[old] - _cost_after(server, old, task, other, tasks, time_weight, cpu_max, users, whole)
        if there >= 0:
            if decrease + cost[there] <= best:
                continue
            after = _cost_after(server, there, other, task, tasks, time_weight, cpu_max, users, whole)
            decrease += cost[there] - after
        if decrease > best:
            best, partner = decrease, other
    return partner


@njit(cache=True)
def improve(
    server: Any, tasks: Any, time_weight: float, cpu_max: float, swaps: bool, turns: int, first: int, idle_turns: int
) -> Any:
    """Try ``turns`` tasks: each makes its best improving move or, if ``swaps``, swap; ``server [tasks]`` changes.

    Parameters
    ----------
    first : int
        Number of the first turn; the tasks take turns cyclically.
    idle_turns : int
        Number of turns since the last improvement.

    Returns
    -------
    int
        The same after these turns; ``len(server)`` at a local optimum.
    """
    count = len(server)
    users, whole, cost = np.empty(count, np.int64), np.empty(count, np.bool_), np.empty(tasks.shape[1])
    for site in range(len(cost)):
        cost[site] = _cost_after(server, site, -1, -1, tasks, time_weight, cpu_max, users, whole)
    for turn in range(turns):
        if idle_turns >= count:
            break
        task = (first + turn) % count
        old, least = server[task], MIN_IMPROVEMENT * (1.0 + cost.sum())
        best, target = _best_move(server, task, cost, least, tasks, time_weight, cpu_max, users, whole)
        if target == old and old >= 0 and swaps:
            partner = _best_swap(server, task, cost, best, tasks, time_weight, cpu_max, users, whole)
            if partner >= 0:
                target = server[partner]
                server[partner] = old
        if target == old:
            idle_turns += 1
            continue
        idle_turns = 0
        server[task] = target
        for site in (old, target):
            if site >= 0:
                cost[site] = _cost_after(server, site, -1, -1, tasks, time_weight, cpu_max, users, whole)
    return idle_turns


@njit(cache=True)
def evaluate_assignment(server: Any, tasks: Any, time_weight: float, cpu_max: float, quickly: bool = False) -> Any:
    """Cost of the tasks on ``server [tasks]``, their modes, and the saving ``[tasks]`` of a server without the task.

    Quick savings are computed for every so many tasks of a server and taken over for the next ones.
    """
    count = len(server)
    users, modes, without = np.empty(count, np.int64), np.empty(count, np.bool_), np.empty(count, np.bool_)
    total, whole, saving = 0.0, np.zeros(count, np.bool_), np.ones(count)
    for site in range(-1, tasks.shape[1]):
        number = _list_users(server, site, -1, users)
        if site < 0:
            total += number
            continue
        cost = site_cost(users, number, site, tasks, time_weight, cpu_max, modes)
        total += cost
        for k in range(number):
            task = users[k]
            whole[task] = modes[k]
            if quickly and k % SAVINGS_QUICKLY > 0:
                saving[task] = saving[users[k - 1]]
                continue
            others = users[:number].copy()
            others[k] = others[number - 1]
            saving[task] = cost - site_cost(others, number - 1, site, tasks, time_weight, cpu_max, without)
    return total, whole, saving


def local_search(slot: SlotTasks, start: IntArray, deadline: Deadline) -> tuple[IntArray, float, FloatArray]:
    """Improve an assignment by moves, then by moves and swaps, to a local optimum.

    Parameters
    ----------
    slot : SlotTasks
    start : array [tasks]
        Initial server of each task, -1 for local.
    deadline : Deadline

    Returns
    -------
    array [tasks]
        The assignment, with options as in `SharedServersProblem`.
    float
        Its cost.
    array [tasks]
        Decrease of the cost of a task's server if the task were absent, quickly estimated after the deadline; 1, the
        local cost, for local tasks.
    """
    server, time_weight, cpu_max = start.copy(), slot.time_weight, slot.cpu_max_hz
    # Missing links would make the search compare infinite costs.
    linked = np.isfinite(slot.tasks[np.arange(len(server)), np.maximum(server, 0), 0, 1])
    server[~linked] = -1
    turns = max(1, min(TURNS, TURNS_PAIRS // len(server) ** 2))
    for swaps in (False, True):
        first, idle_turns = 0, 0
        while idle_turns < len(server) and not deadline.passed:
            idle_turns = improve(server, slot.tasks, time_weight, cpu_max, swaps, turns, first, idle_turns)
            first += turns
    cost, whole, saving = evaluate_assignment(server, slot.tasks, time_weight, cpu_max, deadline.passed)
    return np.where(server < 0, 0, server + 1 + np.where(whole, slot.sites, 0)), float(cost), saving
