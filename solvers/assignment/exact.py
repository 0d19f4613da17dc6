"""Exact solver for assignments with congested servers (`offloadopt.structures.assignment.PricedAssignment`).

Tasks of equal load are solved as a linear assignment (`equal_tasks`). Otherwise dual prices of the servers give a lower
bound (`dual_bound`); the tasks' best responses to them, improved by local search (`local_search`), give an incumbent;
reduced costs fix most options; branch and bound with a node limit (`branch_and_bound`) or, for more tasks, branch and
price (`branch_and_price`) and, if that does not suffice, a MILP (`core_milp`) close the gap. Servers that cost the same
for every task are merged for the first prices and incumbent (`identical_servers`), and then priced together; the MILP
counts identical tasks. At a time limit the incumbent is returned with the bound proved so far.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat, field_validator

from offloadopt.clock import Deadline
from offloadopt.core import ROUNDING, FloatArray, Instances, IntArray
from offloadopt.errors import InvalidInput
from offloadopt.progress import in_units, report
from offloadopt.quantities import Factor, Rounds
from offloadopt.solvers.assignment.branch_and_bound import branch_and_bound
from offloadopt.solvers.assignment.branch_and_price.search import BranchAndPrice
from offloadopt.solvers.assignment.core_milp import AssignmentMilp, CoreCosts, groups_of_tasks
from offloadopt.solvers.assignment.dual_bound import EPS, best_responses, find_prices, price_bound, reduced_cost
from offloadopt.solvers.assignment.equal_tasks import MAX_MATRIX_ENTRIES, assign_to_positions, useful_positions
from offloadopt.solvers.assignment.identical_servers import groups_of_servers, merge_servers, split_servers
from offloadopt.solvers.assignment.local_search import assignment_cost, improve, perturb_and_improve, server_loads
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.structures.assignment import PricedAssignmentProblem

CHAIN_TASKS = 400
"""Largest number of tasks in local search with chains: those with the least cost difference to the second option."""
TREE_TASKS = 150
"""Largest number of undecided tasks that are given to branch and bound."""
PRICED_TASKS = 30, 75
"""Numbers of undecided tasks that are given to branch and price: branch and bound closes fewer, the MILP more."""
LEAST_UNIT = 1e-3
"""Least mean cost of the tasks' best options without load, relative to that with it, that is the unit of costs."""
PERTURBATIONS, PAIRS_BETWEEN_CHECKS = 60, 100_000
"""Iterations of iterated local search; pairs of tasks in the iterations between two checks of the deadline."""


@dataclass(frozen=True)
class ProvedAssignment:
    """An assignment with a proof of its quality, in the units of the instance.

    Attributes
    ----------
    assignment : array [tasks]
    bound : float
        Lower bound of every assignment's cost.
    v : array [servers]
        Root prices: their squares are the dual prices of the servers' capacities.
    """

    assignment: IntArray
    bound: float
    v: FloatArray


@dataclass(frozen=True)
class Root:
    """What prices of servers and local search find.

    Attributes
    ----------
    v : array [servers]
        Root prices.
    bound, upper : float
        The prices' bound, and the incumbent's cost.
    best, margin : array [tasks]
        Each task's best option at the prices, and the cost difference to its second-best one.
    assignment : array [tasks]
        Incumbent.
    """

    v: FloatArray
    bound: float
    best: IntArray
    margin: FloatArray
    assignment: IntArray
    upper: float


class Exact(InstanceSolver):
    """Proved optimum by dual prices, reduced-cost fixing, branch and bound and a MILP of the undecided tasks."""

    name = "exact"
    serves = PricedAssignmentProblem
    proves = True

    relative_gap: Factor = Field(
        1e-6, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    initial_prices: tuple[tuple[NonNegativeFloat, ...], ...] | None = Field(
        default=None, description="[count, servers] initial dual prices: cost per unit of each server's capacity"
    )
    tree_nodes: Rounds = Field(
        default=300, ge=1, description="node limit of branch and bound; the MILP closes what is left"
    )

    @field_validator("initial_prices", mode="before")
    @classmethod
    def _rows_of(cls, prices: Any) -> Any:
        return prices.tolist() if isinstance(prices, np.ndarray) else prices

    def separates(self, problem: Any) -> bool:
        """Whether each instance is solved on its own: always."""
        return True

    def searches(self, problem: PricedAssignmentProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Compute all costs; ``details["prices"]`` will be dual prices ``[count, servers]`` of capacity."""
        return _Searches(self, problem, instances, seed)

    def prove(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        *,
        deadline: Deadline,
        start: FloatArray | None = None,
        seed: int = 0,
    ) -> ProvedAssignment:
        """Solve one instance.

        Parameters
        ----------
        cost : array [tasks, servers + 1]
            Cost of each option without congestion; ``inf`` where a link is missing.
        load : array [tasks]
        capacity : array [servers]
        deadline : Deadline
        start : array [servers], optional
            Initial dual prices, per unit of capacity.
        seed : int
            Of iterated local search.
        """
        # Every task takes one option: where costs are negative, a constant per task makes them all at least 0.
        offset = np.minimum(cost.min(axis=1), 0.0)
        if offset.any():
            with in_units(1.0, float(offset.sum())):
                proof = self.prove(cost - offset[:, None], load, capacity, deadline=deadline, start=start, seed=seed)
            rounding = 4.0 * EPS * (len(cost) + 8) * (abs(proof.bound) - offset.sum())
            return replace(proof, bound=proof.bound + float(offset.sum()) - rounding)
        cost = _without_dominated_local(cost, load, capacity)
        if load.min() == load.max():
            counts = useful_positions(cost, float(load[0]), capacity)
            if len(cost) * (counts.sum() + len(cost)) <= MAX_MATRIX_ENTRIES:
                return _prove_equal_tasks(cost, load, capacity, counts)
        return self._prove_by_prices(cost, load, capacity, start, seed, deadline)

    def _prove_by_prices(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        start: FloatArray | None,
        seed: int,
        deadline: Deadline,
    ) -> ProvedAssignment:
        # Scale to costs and capacities near 1, so that no tolerance depends on the user's units.
        cost_unit, capacity_unit = float(cost.min(axis=1).mean()), float(capacity.mean())
        alone = float(np.minimum(cost[:, 0], (cost[:, 1:] + load[:, None] ** 2 / capacity).min(axis=1)).mean())
        if cost_unit < LEAST_UNIT * alone:  # the best options are nearly free: costs of load are left
            cost_unit = alone
        scaled = cost / cost_unit, load / np.sqrt(cost_unit * capacity_unit), capacity / capacity_unit
        v = None if start is None else np.sqrt(start * capacity_unit / cost_unit)
        with in_units(cost_unit):
            assignment, bound, v = self._search_with_merged_servers(*scaled, v, seed, deadline)
        # Sums of scaled terms may differ from those of evaluate by their rounding.
        rounding = 4.0 * EPS * (len(cost) + 8) * abs(bound)
        return ProvedAssignment(assignment, (bound - rounding) * cost_unit, v * np.sqrt(cost_unit / capacity_unit))

    def _search_with_merged_servers(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        start: FloatArray | None,
        seed: int,
        deadline: Deadline,
    ) -> tuple[IntArray, float, FloatArray]:
        """Solve with identical servers merged; solve the original instance only if their partition leaves a gap."""
        group = groups_of_servers(cost)
        if group.max() + 1 == len(capacity):
            return self._search(cost, load, capacity, start, None, seed, deadline)
        merged_cost, merged_capacity = merge_servers(cost, capacity, group)
        root = self._root(merged_cost, load, merged_capacity, None, None, seed, deadline)
        assignment = split_servers(root.assignment, load, capacity, group)
        candidates = np.sort(np.argsort(root.margin, kind="stable")[:CHAIN_TASKS])
        improve(cost, load, capacity, np.zeros(len(capacity)), assignment, candidates, True)
        return self._search(cost, load, capacity, root.v[group], assignment, seed, deadline)

    def _root(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        start: FloatArray | None,
        incumbent: IntArray | None,
        seed: int,
        deadline: Deadline,
    ) -> Root:
        """Find prices of servers and an incumbent, by local search from the tasks' best responses."""
        tasks, servers = len(cost), len(capacity)
        no_load = np.zeros(servers)
        v = find_prices(cost, load, capacity, start)
        bound = price_bound(cost, load, capacity, no_load, v)
        best, margin = best_responses(cost, load, v)
        assignment = best.copy()
        improve(cost, load, capacity, no_load, assignment, np.arange(tasks), False)

        upper = assignment_cost(cost, load, capacity, no_load, assignment)
        if incumbent is not None and assignment_cost(cost, load, capacity, no_load, incumbent) < upper:
            assignment = incumbent.copy()
            upper = assignment_cost(cost, load, capacity, no_load, assignment)
        candidates = np.flatnonzero(margin <= upper - bound)
        if len(candidates) > CHAIN_TASKS:
            candidates = np.sort(candidates[np.argsort(margin[candidates], kind="stable")[:CHAIN_TASKS]])
        if len(candidates):
            improve(cost, load, capacity, no_load, assignment, candidates, True)
            upper = assignment_cost(cost, load, capacity, no_load, assignment)
            if upper - bound > self._allowance(upper):
                rng = np.random.default_rng(seed)
                at_once = 1 + PAIRS_BETWEEN_CHECKS // len(candidates) ** 2
                for done in range(0, PERTURBATIONS, at_once):
                    if deadline.passed:
                        break
                    number = min(at_once, PERTURBATIONS - done)
                    assignment = perturb_and_improve(cost, load, capacity, no_load, assignment, candidates, number, rng)
                upper = assignment_cost(cost, load, capacity, no_load, assignment)
        return Root(v, bound, best, margin, assignment, upper)

    def _search(
        self,
        cost: FloatArray,
        load: FloatArray,
        capacity: FloatArray,
        start: FloatArray | None,
        incumbent: IntArray | None,
        seed: int,
        deadline: Deadline,
    ) -> tuple[IntArray, float, FloatArray]:
        no_load = np.zeros(len(capacity))
        root = self._root(cost, load, capacity, start, incumbent, seed, deadline)
        v, bound, margin, assignment, upper = root.v, root.bound, root.margin, root.assignment, root.upper
        allowance = self._allowance(upper)
        report(cost=upper, bound=bound)
        if upper - bound <= allowance:
            return assignment, bound, v

        # An option whose reduced cost exceeds the gap is in no better assignment (same prices as the bound). The factor
        # keeps the incumbent's own options in spite of rounding; keeping too many is always safe.
        slack = (upper - bound) * (1.0 + ROUNDING)
        open_tasks, fixed_tasks = np.flatnonzero(margin <= slack), np.flatnonzero(margin > slack)
        found = root.best
        fixed_cost = float(cost[fixed_tasks, found[fixed_tasks]].sum())
        fixed_load = server_loads(load[fixed_tasks], no_load, found[fixed_tasks])
        options, sizes = cost[open_tasks], load[open_tasks]
        core = np.where(reduced_cost(options, sizes, v) <= slack, options, np.inf), sizes, capacity, fixed_load
        if len(open_tasks):
            with in_units(1.0, fixed_cost):
                found[open_tasks], proved = self._close_gap(
                    core, v, assignment[open_tasks], allowance, upper - bound, deadline
                )
        else:
            proved = float(price_bound(*core, fixed_load / capacity))
        if assignment_cost(cost, load, capacity, no_load, found) < upper:
            assignment = found
        # Excluded options cannot improve on the incumbent that they were excluded with.
        return assignment, min(fixed_cost + proved, upper), v

    def _close_gap(
        self, core: CoreCosts, v: FloatArray, incumbent: IntArray, allowance: float, gap: float, deadline: Deadline
    ) -> tuple[IntArray, float]:
        """Solve the undecided tasks by branch and bound, then by the MILP; costs exclude those of the fixed tasks."""
        bound = float(price_bound(*core, v))
        group = groups_of_tasks(*core[:2])
        # Branch and bound and the MILP would enumerate permutations of servers that cost the same for every task.
        alike = groups_of_servers(core[0]).max() + 1 < len(v)
        if alike or PRICED_TASKS[0] <= len(incumbent) <= PRICED_TASKS[1]:
            search = BranchAndPrice(core, v, incumbent)
            bound, incumbent = max(bound, search.search(allowance, self.tree_nodes, deadline)), search.assignment
            if search.upper - bound <= allowance:
                return incumbent, bound
        elif len(incumbent) <= TREE_TASKS and group.max() + 1 == len(group):  # the tree would permute identical tasks
            temperature = 0.01 * gap / len(incumbent)
            incumbent, bound, nodes = branch_and_bound(*core, v, incumbent, allowance, temperature, self.tree_nodes)
            if nodes <= self.tree_nodes:
                return incumbent, bound
        milp = AssignmentMilp(core, v, incumbent, group, allowance)
        proved = milp.prove(deadline)
        return milp.assignment, max(proved, bound)

    def _allowance(self, upper: float) -> float:
        """Absolute gap asked for; a gap below the rounding of a sum cannot be proved."""
        return max(self.relative_gap, 1e-12) * abs(upper)


class _Searches:
    """The searches of one call of `Exact`; tasks of instances that were not searched are all local."""

    def __init__(self, solver: Exact, problem: PricedAssignmentProblem[Any], instances: Instances, seed: int) -> None:
        self.solver, self.problem, self.instances, self.seed = solver, problem, instances, seed
        self.costs = problem.costs(instances)
        self.assignment = np.zeros(self.costs.load.shape, dtype=np.int64)
        self.bound, self.prices = np.full(instances.count, -np.inf), np.zeros(self.costs.capacity.shape)
        self.starts = None if solver.initial_prices is None else np.asarray(solver.initial_prices)
        if self.starts is not None and self.starts.shape != self.prices.shape:
            raise InvalidInput(
                f"initial_prices has shape {list(self.starts.shape)}; allowed: {list(self.prices.shape)}"
            )

    def search(self, row: int, deadline: Deadline) -> None:
        """Prove one instance."""
        instance = self.costs.option_cost[row], self.costs.load[row], self.costs.capacity[row]
        start = None if self.starts is None else self.starts[row]
        proof = self.solver.prove(*instance, deadline=deadline, start=start, seed=self.seed)
        self.assignment[row], self.bound[row], self.prices[row] = proof.assignment, proof.bound, proof.v**2

    def found(self) -> Found:
        """Allocate the resources of all instances."""
        return Found(self.problem.allocate(self.instances, self.assignment), self.bound, {"prices": self.prices})


def _without_dominated_local(cost: FloatArray, load: FloatArray, capacity: FloatArray) -> FloatArray:
    """Lower the cost of local computing where it exceeds that of a server with all tasks, which is then never optimal.

    Otherwise sums with a local cost of any magnitude lose the digits of the options that matter.
    """
    crowded = (cost[:, 1:] + np.outer(load * (2.0 * load.sum() - load), 1.0 / capacity)).min(axis=1)
    if (cost[:, 0] <= 2.0 * crowded).all():
        return cost
    return np.column_stack([np.minimum(cost[:, 0], 2.0 * crowded), cost[:, 1:]])


def _prove_equal_tasks(cost: FloatArray, load: FloatArray, capacity: FloatArray, counts: IntArray) -> ProvedAssignment:
    assignment = assign_to_positions(cost, float(load[0]), capacity, counts)
    no_load = np.zeros(len(capacity))
    upper = assignment_cost(cost, load, capacity, no_load, assignment)
    # The algorithm only adds and compares: its result is optimal up to the rounding of sums along augmenting paths.
    magnitude = np.abs(cost[np.arange(len(cost)), assignment]).sum() + np.abs(cost[:, 0]).sum()
    bound = upper - 16.0 * EPS * len(cost) * magnitude
    return ProvedAssignment(assignment, bound, server_loads(load, no_load, assignment) / capacity)
