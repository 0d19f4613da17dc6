"""Proved optima of assignments priced by what they load (`offloadopt.structures.assignment.PricedAssignment`).

Equal tasks are a linear assignment (`slots`). Otherwise: prices give a lower bound (`pricing`), each task's best
response to them and local search an incumbent (`exchange`); reduced costs fix most options; a short tree (`tree`) and,
for what it leaves open, a MILP (`core_milp`) close the gap. Interchangeable servers are merged first (`twins`),
interchangeable tasks are counted. A limit returns the incumbent with the bound proved so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat, field_validator

from offloadopt.clock import clock
from offloadopt.core import ROUNDING, FloatArray, Instances, IntArray, Problem, Progress, Solutions, Solver
from offloadopt.errors import InvalidInput
from offloadopt.solvers.assignment.branch_and_bound import branch_and_bound
from offloadopt.solvers.assignment.core_milp import close_gap, groups_of_tasks
from offloadopt.solvers.assignment.dual_bound import EPS, best_responses, find_prices, price_bound, reduced_cost
from offloadopt.solvers.assignment.equal_tasks import MAX_MATRIX_ENTRIES, assign_to_positions, useful_positions
from offloadopt.solvers.assignment.identical_servers import groups_of_servers, merge_servers, split_servers
from offloadopt.solvers.assignment.local_search import assignment_cost, improve, perturb_and_improve, server_loads
from offloadopt.structures.assignment import PricedAssignmentProblem

CHAIN_TASKS = 400
"""Chains are tried among at most so many tasks, those whose second-best option costs least more."""
TREE_TASKS = 150
KICKS = 60


@dataclass(frozen=True)
class Proof:
    """An assignment, a lower bound on every assignment's cost, and root prices, in the units of the instance."""

    assignment: IntArray
    bound: float
    v: FloatArray


class Exact(Solver):
    """Proved optimum by prices, fixing and a small core."""

    name = "exact"
    serves = PricedAssignmentProblem
    proves = True

    relative_gap: float = Field(
        1e-6, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    initial_prices: tuple[tuple[NonNegativeFloat, ...], ...] | None = Field(
        default=None, description="[count, servers] cost per unit of each server's capacity, to begin with"
    )
    tree_nodes: int = Field(default=300, ge=1, description="nodes of the tree before the MILP core takes over")

    @field_validator("initial_prices", mode="before")
    @classmethod
    def _rows_of(cls, prices: Any) -> Any:
        return prices.tolist() if isinstance(prices, np.ndarray) else prices

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve every instance on its own; ``details["prices"]`` is the saving per unit of each server's capacity."""
        self.require(problem)
        costs = problem.costs(instances)  # type: ignore[attr-defined]
        count, servers = costs.capacity.shape
        starts = self._starts(count, servers)
        assignment = np.zeros(costs.load.shape, dtype=np.int64)
        bound, seconds, prices = np.empty(count), np.empty(count), np.empty((count, servers))
        for row in range(count):
            begin = clock()
            instance = costs.option_cost[row], costs.load[row], costs.capacity[row]
            proof = self.prove(*instance, start=None if starts is None else starts[row], seed=seed)
            assignment[row], bound[row], prices[row] = proof.assignment, proof.bound, proof.v**2
            seconds[row] = clock() - begin
            if progress is not None:
                progress(1)
        decisions = problem.allocate(instances, assignment)  # type: ignore[attr-defined]
        return Solutions.scored(
            problem,
            instances,
            decisions,
            seconds=seconds,
            bound=bound,
            asked_gap=self.relative_gap,
            details={"prices": prices},
        )

    def _starts(self, count: int, servers: int) -> FloatArray | None:
        if self.initial_prices is None:
            return None
        starts = np.asarray(self.initial_prices)
        if starts.shape != (count, servers):
            raise InvalidInput(f"initial_prices has shape {list(starts.shape)}; allowed: [{count}, {servers}]")
        return starts

    def prove(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        *,
        start: FloatArray | None = None,
        seed: int = 0,
    ) -> Proof:
        """Solve one instance: ``cost [tasks, servers + 1]``, ``load [tasks]``, ``capacity [servers]``.

        ``start [servers]`` are prices to begin with, per unit of capacity.
        """
        if load.min() == load.max():
            counts = useful_positions(cost, float(load[0]), capacity)
            if len(cost) * (counts.sum() + len(cost)) <= MAX_MATRIX_ENTRIES:
                return _prove_equal_tasks(cost, load, capacity, counts)
        return self._prove_by_prices(cost, load, capacity, start, seed)

    def _prove_by_prices(
        self, cost: FloatArray, load: FloatArray, capacity: FloatArray, start: FloatArray | None, seed: int
    ) -> Proof:
        deadline = np.inf if self.time_limit_s is None else clock() + self.time_limit_s
        # Scale to costs and capacities near 1, so that no tolerance depends on the user's units.
        money, size = float(cost.min(axis=1).mean()), float(capacity.mean())
        scaled = cost / money, load / np.sqrt(money * size), capacity / size
        v = None if start is None else np.sqrt(start * size / money)
        assignment, bound, v = self._search_merged(*scaled, v, seed, deadline)
        # Sums of scaled terms may differ from those of evaluate by their rounding.
        rounding = 4.0 * EPS * (len(cost) + 8) * abs(bound)
        return Proof(assignment, (bound - rounding) * money, v * np.sqrt(money / size))

    def _search_merged(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        start: FloatArray | None,
        seed: int,
        deadline: float,
    ) -> tuple[IntArray, float, FloatArray]:
        """Search with interchangeable servers merged first; the whole instance only if their partition leaves a gap."""
        group = groups_of_servers(cost)
        if group.max() + 1 == len(capacity):
            return self._search(cost, load, capacity, start, None, seed, deadline)
        merged_cost, merged_capacity = merge_servers(cost, capacity, group)
        merged, bound, v = self._search(merged_cost, load, merged_capacity, None, None, seed, deadline)
        nothing = np.zeros(len(capacity))
        assignment = split_servers(merged, load, capacity, group)
        _, margin = best_responses(merged_cost, load, v)
        candidates = np.sort(np.argsort(margin, kind="stable")[:CHAIN_TASKS])
        improve(cost, load, capacity, nothing, assignment, candidates, True)
        upper = assignment_cost(cost, load, capacity, nothing, assignment)
        if upper - bound <= self._allowance(upper) or clock() > deadline:
            return assignment, bound, v[group]
        assignment, proved, v = self._search(cost, load, capacity, start, assignment, seed, deadline)
        return assignment, max(bound, proved), v

    def _search(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        start: FloatArray | None,
        incumbent: IntArray | None,
        seed: int,
        deadline: float,
    ) -> tuple[IntArray, float, FloatArray]:
        tasks, servers = len(cost), len(capacity)
        nothing = np.zeros(servers)
        v = find_prices(cost, load, capacity, start)
        bound = price_bound(cost, load, capacity, nothing, v)
        best, margin = best_responses(cost, load, v)
        assignment = best.copy()
        improve(cost, load, capacity, nothing, assignment, np.arange(tasks), False)

        upper = assignment_cost(cost, load, capacity, nothing, assignment)
        if incumbent is not None and assignment_cost(cost, load, capacity, nothing, incumbent) < upper:
            assignment = incumbent.copy()
            upper = assignment_cost(cost, load, capacity, nothing, assignment)
        candidates = np.flatnonzero(margin <= upper - bound)
        if len(candidates) > CHAIN_TASKS:
            candidates = np.sort(candidates[np.argsort(margin[candidates], kind="stable")[:CHAIN_TASKS]])
        if len(candidates):
            improve(cost, load, capacity, nothing, assignment, candidates, True)
            upper = assignment_cost(cost, load, capacity, nothing, assignment)
            if upper - bound > self._allowance(upper):
                rng = np.random.default_rng(seed)
                assignment = perturb_and_improve(cost, load, capacity, nothing, assignment, candidates, KICKS, rng)
                upper = assignment_cost(cost, load, capacity, nothing, assignment)
        allowance = self._allowance(upper)
        if upper - bound <= allowance:
            return assignment, bound, v

        # Options that cost more than the gap are in no better assignment (same prices as the bound). The slack keeps
        # the incumbent's own options in spite of rounding; keeping too many is always safe.
        room = (upper - bound) * (1.0 + ROUNDING)
        open_tasks, settled = np.flatnonzero(margin <= room), np.flatnonzero(margin > room)
        found = best
        base = float(cost[settled, found[settled]].sum())
        placed = server_loads(load[settled], nothing, found[settled])
        options, sizes = cost[open_tasks], load[open_tasks]
        rest = np.where(reduced_cost(options, sizes, v) <= room, options, np.inf), sizes, capacity, placed
        if len(open_tasks):
            found[open_tasks], proved = self._close(rest, v, assignment[open_tasks], allowance, upper - bound, deadline)
        else:
            proved = float(price_bound(*rest, placed / capacity))
        if assignment_cost(cost, load, capacity, nothing, found) < upper:
            assignment = found
        # What was fixed away cannot beat the incumbent that it was fixed with.
        return assignment, min(base + proved, upper), v

    def _close(
        self,
        rest: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
        v: FloatArray,
        incumbent: IntArray,
        allowance: float,
        gap: float,
        deadline: float,
    ) -> tuple[IntArray, float]:
        """Tree first, MILP for what it leaves open; costs without the settled tasks' own."""
        bound = float(price_bound(*rest, v))
        alike = groups_of_tasks(*rest[:2])
        if len(incumbent) <= TREE_TASKS and alike.max() + 1 == len(
            alike
        ):  # a tree would try tasks that are alike in turn
            cold = 0.01 * gap / len(incumbent)
            incumbent, bound, nodes = branch_and_bound(*rest, v, incumbent, allowance, cold, self.tree_nodes)
            if nodes <= self.tree_nodes:
                return incumbent, bound
        core = close_gap(*rest, v, incumbent, alike, allowance, deadline)
        return core.assignment, max(core.bound, bound)

    def _allowance(self, upper: float) -> float:
        """Absolute gap that is asked for; less than the rounding of a sum cannot be proved."""
        return max(self.relative_gap, 1e-12) * abs(upper)


def _prove_equal_tasks(cost: FloatArray, load: FloatArray, capacity: FloatArray, counts: IntArray) -> Proof:
    assignment = assign_to_positions(cost, float(load[0]), capacity, counts)
    nothing = np.zeros(len(capacity))
    upper = assignment_cost(cost, load, capacity, nothing, assignment)
    # The method only adds and compares: its result is optimal up to the rounding of the sums along its paths.
    magnitude = np.abs(cost[np.arange(len(cost)), assignment]).sum() + np.abs(cost[:, 0]).sum()
    bound = upper - 16.0 * EPS * len(cost) * magnitude
    return Proof(assignment, bound, server_loads(load, nothing, assignment) / capacity)
