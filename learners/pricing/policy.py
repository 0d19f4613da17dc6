"""Policy that decides at predicted prices and certifies its decisions by the lower bound that these prices prove."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch

from offloadopt.clock import clock
from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    IntArray,
    Observation,
    Problem,
    Progress,
    Solutions,
)
from offloadopt.errors import Unsupported
from offloadopt.kernels import njit
from offloadopt.learners.common.saved_policy import Origin, TrainedPolicy
from offloadopt.learners.common.torch_utils import one_thread
from offloadopt.learners.pricing.network import NormalisedAssignment, PriceNetwork
from offloadopt.solvers.assignment.dual_bound import EPS, best_responses, price_bound
from offloadopt.solvers.assignment.local_search import (
    MIN_IMPROVEMENT,
    assignment_cost,
    move_tasks,
    server_loads,
    swap_tasks,
)
from offloadopt.structures.assignment import PricedAssignment, PricedAssignmentProblem

MAX_SWAP_TASKS = 60
"""Swaps are tried among so many tasks, those with the smallest margins."""
PAIRS_AT_ONCE = 1 << 20
"""Pairs of task and server in one pass of the network."""


class PricePolicy(TrainedPolicy):
    """Best responses of all tasks to predicted prices, a bounded number of moves and swaps, the exact allocation.

    `run` returns with each decision the lower bound that its prices prove.
    """

    name = "prices"
    serves = PricedAssignmentProblem

    def __init__(self, problem: PricedAssignmentProblem[Any], actor: PriceNetwork, origin: Origin) -> None:
        super().__init__(problem, actor, origin)
        self.sweeps: int = origin.settings["sweeps"]

    def root_prices(self, costs: PricedAssignment) -> FloatArray:
        """Predicted root prices ``[count, servers]`` in the instances' own units.

        They are the last round's unless those of an earlier one prove a larger bound, as may happen off the training
        data.
        """
        tasks, servers = costs.load.shape[1], costs.capacity.shape[1]
        v, chunk = np.empty((costs.count, servers)), max(1, PAIRS_AT_ONCE // (tasks * servers))
        with one_thread(), torch.inference_mode():
            for begin in range(0, costs.count, chunk):
                instances = NormalisedAssignment.of(costs.take(slice(begin, begin + chunk)))
                path = (
                    torch.stack(self.actor.price_iterates(instances), dim=1).numpy()
                    * instances.common_price[:, None, None]
                )
                for row, prices in enumerate(path, start=begin):
                    v[row] = _best_proved_prices(*_instance(costs, row), np.ascontiguousarray(prices))
        return v

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Assign at the predicted prices, then allocate."""
        costs = self.problem.costs(observation)
        assignment, _ = assign_all(costs, self.root_prices(costs), self.sweeps)
        return self.problem.allocate(observation, assignment), memory

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Decide as `act` does, with the bound; ``details["prices"]`` are those that prove it, per unit of capacity."""
        if not isinstance(problem, self.serves):
            raise Unsupported(f"policy {self.name!r} does not serve problem {problem.name!r}")
        begin = clock()
        costs = problem.costs(instances)
        v = self.root_prices(costs)
        assignment, bound = assign_all(costs, v, self.sweeps)
        decisions = problem.allocate(instances, assignment)
        seconds = (clock() - begin) / max(instances.count, 1)
        if progress is not None:
            progress(instances.count)
        return Solutions.scored(problem, instances, decisions, seconds=seconds, bound=bound, details={"prices": v**2})

    @classmethod
    def untrained(cls, problem: PricedAssignmentProblem[Any], origin: Origin) -> Self:
        """Create a policy; it decides any problem with priced servers, whatever its numbers of tasks and servers."""
        return cls(problem, PriceNetwork(origin.settings["width"], origin.settings["rounds"]), origin)


def assign_all(costs: PricedAssignment, v: FloatArray, sweeps: int) -> tuple[IntArray, FloatArray]:
    """Assignments ``[count, tasks]`` at root prices ``v [count, servers]``, and proved lower bounds ``[count]``."""
    assignment, bound = np.empty(costs.load.shape, np.int64), np.empty(costs.count)
    for row in range(costs.count):
        assignment[row], bound[row] = assign(*_instance(costs, row), np.ascontiguousarray(v[row]), sweeps)
    # The cost of a decision is summed in another order than its bound.
    return assignment, bound - 4.0 * EPS * (costs.load.shape[1] + 8) * np.abs(bound)


def _instance(costs: PricedAssignment, row: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One instance as contiguous arrays: a kernel compiled for one layout is enough."""
    option_cost, load, capacity = costs.option_cost[row], costs.load[row], costs.capacity[row]
    return np.ascontiguousarray(option_cost), np.ascontiguousarray(load), np.ascontiguousarray(capacity)


@njit(cache=True)
def _best_proved_prices(cost: FloatArray, load: FloatArray, capacity: FloatArray, candidates: FloatArray) -> FloatArray:
    """The root prices among ``[candidates, servers]`` whose bound is largest, the last of equal ones."""
    nothing, best, most = np.zeros(len(capacity)), 0, -np.inf
    for number in range(len(candidates)):
        bound = price_bound(cost, load, capacity, nothing, candidates[number])
        if bound >= most:
            best, most = number, bound
    return candidates[best]


@njit(cache=True)
def assign(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, v: FloatArray, sweeps: int
) -> tuple[IntArray, float]:
    """Best responses at root prices ``v`` of one instance, improved, and the bound that ``v`` proves.

    A sweep moves each task to its cheapest option, given the others, then swaps pairs of tasks. Tasks with the smallest
    margins come first: an order that does not depend on how tasks and servers are numbered.
    """
    nothing = np.zeros(len(capacity))
    bound = price_bound(cost, load, capacity, nothing, v)
    assignment, margin = best_responses(cost, load, v)
    order = np.argsort(margin)
    loads = server_loads(load, nothing, assignment)
    settled = MIN_IMPROVEMENT * abs(assignment_cost(cost, load, capacity, nothing, assignment))
    for _ in range(sweeps):
        moved = move_tasks(cost, load, capacity, loads, assignment, order, settled)
        swapped = swap_tasks(cost, load, capacity, loads, assignment, order[:MAX_SWAP_TASKS], settled)
        if not (moved or swapped):
            break
    return assignment, bound
