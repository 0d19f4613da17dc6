"""Base of online rules for edge inference: plans of one slot whose energy the batteries hold.

An observation gives the slot's tasks and the energy in the batteries. A plan gives each task an option (-1 fails, 0 own
CPU, j server j) and CPU and bandwidth shares. A plan's energy falls as the price of energy rises: the least price at
which the plan fits is searched for each user, and the plan of least cost found is chosen, with its cost computed as the
problem does (C5: tasks are served in their order).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FEASIBILITY_TOLERANCE, Decisions, FloatArray, IntArray, Observation
from offloadopt.kernels import njit
from offloadopt.physics.edge_inference import InferenceTasks, send_factor
from offloadopt.solvers.base import Rule
from offloadopt.solvers.inference.local_search import local_search
from offloadopt.solvers.inference.resource_allocation import SlotTasks, allocate, local_set_costs, slot_tasks
from offloadopt.structures.inference import CostWeights, InferenceProblem

PRICE_GROWTH = 4.0
"""Factor by which the price of energy rises until the plan fits."""
PRICE_RATIO, COARSE_PRICE_RATIO = 1.02, 2.0
"""Ratios of a feasible to an infeasible price at which the search ends: fine and coarse."""
FIRST_PRICE_FRACTION = 0.01
"""First increase of the price of energy, as a fraction of its cost in the objective."""
ROUNDS = 32
"""Largest number of prices that are tried."""
REPRICED_OPTIONS = 4
"""Number of last options that exceeded a battery for which shares are searched at separate prices."""
LIMIT_TOLERANCE = 1.01 * FEASIBILITY_TOLERANCE
"""Relative excess of limits that bounds allow for, just above the problem's tolerance."""

Planner = Callable[[SlotTasks], tuple[IntArray, FloatArray]]
"""A function that gives options ``[tasks]`` and shares ``[tasks, 2]`` for a slot."""


class InferenceRule(Rule):
    """Base of rules that plan the slot of each instance separately."""

    serves = InferenceProblem

    @abstractmethod
    def plan(
        self, problem: InferenceProblem[Any], tasks: InferenceTasks, held_j: FloatArray
    ) -> tuple[SlotTasks, IntArray, FloatArray]:
        """Plan one slot: its tasks with options ``[tasks]`` and shares ``[tasks, 2]``.

        Parameters
        ----------
        problem : InferenceProblem
        tasks : InferenceTasks
            Tasks of one slot of one instance, arrays ``[users, places]``.
        held_j : array [users]
            Energy in the batteries.
        """

    def decide(self, problem: InferenceProblem[Any], observation: Observation, rng: np.random.Generator) -> Decisions:
        """Decisions of each instance's plan."""
        tasks, held_j = problem.observed_tasks(observation)
        return slot_decisions(
            problem, [self.plan(problem, instance_tasks(tasks, row), held_j[row]) for row in range(len(held_j))]
        )


def slot_of_horizon(tasks: InferenceTasks, slot: int) -> InferenceTasks:
    """Select one slot's tasks of one instance."""
    return InferenceTasks(**{f.name: _slice(getattr(tasks, f.name), slot) for f in fields(InferenceTasks)})


def _slice(values: Any, slot: int) -> Any:
    return values[0, min(slot, values.shape[1] - 1)]  # constant data have one slot


def instance_tasks(tasks: InferenceTasks, row: int | IntArray) -> InferenceTasks:
    """Select one instance's tasks; of one instance's tasks, those of some users."""
    return InferenceTasks(**{f.name: getattr(tasks, f.name)[row] for f in fields(InferenceTasks)})


def slot_decisions(problem: InferenceProblem[Any], plans: list[tuple[SlotTasks, IntArray, FloatArray]]) -> Decisions:
    """Convert plans, one for each instance, to one slot's decisions; tasks that fail have shares of 0."""
    shape = (len(plans), 1, problem.num_agents, problem.places)
    server, shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
    for row, (slot, option, share) in enumerate(plans):
        server[row, 0, slot.user, slot.place] = np.maximum(option, 0)
        shares[:, row, 0, slot.user, slot.place] = np.clip(share.T, 0.0, 1.0)
    return problem.one_slot.choose(server, shares[0], shares[1])


def optimal_shares(slot: SlotTasks, option: IntArray) -> FloatArray:
    """[tasks, 2] optimal shares of CPU and band for given options; 0 for tasks that miss the time limit."""
    largest_failure_cost = float(slot.failure_costs.max(initial=slot.failure))
    shares = feasible_shares(
        option, slot.first_task, slot.local, slot.remote, slot.second_price, slot.limit_s, largest_failure_cost
    )
    return np.asarray(shares, dtype=np.float64)


@njit(cache=True)
def feasible_shares(
    option: Any, first_task: Any, local: Any, remote: Any, second_price: float, limit: float, failure: float
) -> Any:
    """Like `optimal_shares`, from the slot's arrays. Where not all tasks of a server can be in time, some may be."""
    shares = allocate(option, first_task, local, remote, second_price, limit, failure)
    requested = np.zeros((remote.shape[1], 2))
    for j in range(len(option)):
        if option[j] > 0:
            requested[option[j] - 1] += shares[j]
    for j in range(len(option)):
        cpu, band = shares[j, 0], shares[j, 1]
        if cpu <= 0.0 or option[j] <= 0:
            continue
        k = option[j] - 1
        cpu, band = cpu / max(requested[k, 0], 1.0), band / max(requested[k, 1], 1.0)
        row = remote[j, k]
        if row[0] / cpu + row[2] * send_factor(band, row[3]) > limit * (1.0 + FEASIBILITY_TOLERANCE):
            cpu = band = 0.0
        shares[j, 0], shares[j, 1] = cpu, band
    return shares


def search_plan(
    slot: SlotTasks, start: IntArray, exchanges: bool = True, deadline: Deadline | None = None
) -> tuple[IntArray, FloatArray]:
    """Find options ``[tasks]`` and shares ``[tasks, 2]`` by local search from ``start [tasks]``, until the deadline.

    Without ``exchanges`` of two tasks the search is faster and its result costs slightly more.
    """
    option = start.copy()
    if slot.tasks == 0:
        return option, np.zeros((0, 2))
    local_cost = local_set_costs(
        slot.first_task, slot.local, slot.second_price, slot.limit_s, 1 << int(np.diff(slot.first_task).max())
    )
    option, _, _ = local_search(slot, local_cost, option, deadline or Deadline(), exchanges)
    return option, optimal_shares(slot, option)


@njit(cache=True)
def options_cost(
    option: Any, first_task: Any, local: Any, remote: Any, second_price: float, limit: float, failure_costs: Any
) -> float:
    """Cost of options with optimal shares, at the slot's prices; tasks that miss the time limit fail."""
    largest_failure_cost = 0.0
    for j in range(len(failure_costs)):
        largest_failure_cost = max(largest_failure_cost, failure_costs[j])
    shares = feasible_shares(option, first_task, local, remote, second_price, limit, largest_failure_cost)
    unlimited = np.full(len(first_task) - 1, np.inf)
    total = plan_cost(option, shares, first_task, local, remote, local, remote, second_price, 0.0, unlimited)
    for j in range(len(failure_costs)):
        if option[j] < 0 or shares[j, 0] <= 0.0:
            total += failure_costs[j]
    return total


def slot_in_joules(tasks: InferenceTasks, weights: CostWeights) -> SlotTasks:
    """The slot with energies in joules drained from the batteries instead of energy costs."""
    return slot_tasks(tasks, replace(weights, per_joule=0.0), np.ones(len(tasks.present)), 0.0)


def sum_by_user(slot: SlotTasks, values: FloatArray) -> FloatArray:
    """[users] sums of values ``[tasks]`` over each user's tasks."""
    return np.bincount(slot.user, values, minlength=len(slot.first_task) - 1).astype(np.float64)


@njit(cache=True)
def task_energies(option: Any, shares: Any, local: Any, remote: Any) -> Any:
    """``[tasks]`` energies of options and shares, in the unit of the rows; 0 for tasks without CPU."""
    energies = np.zeros(len(option))
    for j in range(len(option)):
        cpu, band = shares[j, 0], shares[j, 1]
        if cpu > 0.0 and option[j] == 0:
            energies[j] = local[j, 1] * cpu * cpu
        elif cpu > 0.0 and option[j] > 0:
            row = remote[j, option[j] - 1]
            energies[j] = row[1] * cpu * cpu + row[4] * row[2] * send_factor(band, row[3])
    return energies


@njit(cache=True)
def plan_cost(
    option: Any, shares: Any, first_task: Any, local: Any, remote: Any, local_j: Any, remote_j: Any,
    second_price: float, failure: float, held_j: Any,
) -> float:  # fmt: skip
    """Cost of options and shares that meet the time limit, with energies ``held_j [users]`` in the batteries.

    ``local_j`` and ``remote_j`` are the rows of `slot_in_joules`. Shares of each CPU and band must not exceed 1.
    """
    energies, drain = task_energies(option, shares, local, remote), task_energies(option, shares, local_j, remote_j)
    total = 0.0
    for i in range(len(first_task) - 1):
        left = held_j[i]
        for j in range(first_task[i], first_task[i + 1]):
            cpu = shares[j, 0]
            if option[j] < 0 or cpu <= 0.0 or drain[j] > left:
                total += failure
                continue
            left -= drain[j]
            if option[j] == 0:
                seconds = local[j, 0] / cpu
            else:
                row = remote[j, option[j] - 1]
                seconds = row[0] / cpu + row[2] * send_factor(shares[j, 1], row[3])
            total += second_price * seconds + energies[j]
    return total


def plan_within_batteries(
    tasks: InferenceTasks,
    weights: CostWeights,
    price: FloatArray,
    held_j: FloatArray,
    planner: Planner,
    coarse: bool = False,
    deadline: Deadline | None = None,
) -> tuple[SlotTasks, IntArray, FloatArray]:
    """Plan a slot within the batteries, by raising the price of energy from ``price [users]`` until the plan fits.

    The best plan found is returned; plans are compared by their cost at the initial prices, where tasks fail that the
    battery does not suffice for. As prices reach only plans on the lower convex hull, shares are also searched for the
    last options that exceeded a battery, unless ``coarse``. When the deadline passes no more prices are tried.
    """
    joules, start_slot = slot_in_joules(tasks, weights), slot_tasks(tasks, weights, price, 0.0)
    rows = (
        start_slot.first_task,
        start_slot.local,
        start_slot.remote,
        joules.local,
        joules.remote,
        start_slot.second_price,
        start_slot.failure,
    )
    start = FIRST_PRICE_FRACTION * (weights.per_joule if weights.per_joule > 0 else weights.per_second)
    best = np.inf, start_slot, np.full(start_slot.tasks, -1, dtype=np.int64), np.zeros((start_slot.tasks, 2))
    unaffordable: dict[bytes, IntArray] = {}

    def evaluate_prices(current: FloatArray, planner: Planner) -> FloatArray:
        nonlocal best
        slot = slot_tasks(tasks, weights, current, 0.0)
        option, shares = planner(slot)
        cost = float(plan_cost(option, shares, *rows, held_j))
        if cost < best[0]:
            best = cost, slot, option, shares
        energies = sum_by_user(slot, task_energies(option, shares, joules.local, joules.remote))
        if (energies > held_j).any():
            unaffordable[option.tobytes()] = option
        return energies

    deadline = deadline or Deadline()
    close = COARSE_PRICE_RATIO if coarse else PRICE_RATIO
    search_joule_prices(partial(evaluate_prices, planner=planner), price, held_j, start, close, deadline)
    for option in [] if coarse else list(unaffordable.values())[-REPRICED_OPTIONS:]:
        if deadline.passed:
            break
        given = partial(evaluate_prices, planner=partial(_plan_of_given_options, option))
        search_joule_prices(given, price, held_j, start, PRICE_RATIO, deadline)
    return best[1], best[2], best[3]


def search_joule_prices(
    drained_energy: Callable[[FloatArray], FloatArray],
    price: FloatArray,
    held_j: FloatArray,
    start: float,
    close: float,
    deadline: Deadline,
) -> None:
    """Search the least prices of energy, from ``price [users]`` upwards, at which no battery is exceeded.

    ``drained_energy`` gives the energy ``[users]`` that a plan at prices takes; it may record plans. The first increase
    is to ``start``; the search ends when feasible and infeasible prices are within a factor ``close``, or at the
    deadline after one price.
    """
    low, high, current = price, np.full(len(price), np.inf), price
    exceeded = np.zeros(len(price), dtype=np.bool_)
    for _ in range(ROUNDS):
        over = drained_energy(current) > held_j
        if deadline.passed:
            return
        exceeded |= over
        low = np.where(over, current, low)
        high = np.where(over, np.where(high <= current, np.inf, high), np.minimum(high, current))
        close_enough = high <= close * np.maximum(low, start)
        if not over.any() and close_enough[exceeded].all():
            return
        known = np.isfinite(high)
        between = np.sqrt(np.maximum(low, start) * np.where(known, high, 1.0))
        next_price = np.where(known, np.where(close_enough, high, between), PRICE_GROWTH * np.maximum(low, start))
        current = np.where(exceeded, next_price, price)


def _plan_of_given_options(option: IntArray, slot: SlotTasks) -> tuple[IntArray, FloatArray]:
    return option, optimal_shares(slot, option)
