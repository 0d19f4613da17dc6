"""Proved optimum of edge inference (`InferenceProblem`) in hindsight, over all slots that share the batteries.

One slot: the cost of every set of a user's tasks on its own CPU is tabulated. Local search gives an incumbent
(`local_search`), prices of the servers' CPUs and bands a bound (`dual_bound`, `relaxation`), prices of tasks a better
one, and a small set-partitioning MILP closes the gap (`set_partitioning`).

Batteries couple the slots. With one price of energy for each user, the same in all slots as batteries are not
recharged, the slots are independent, and the sum of their bounds less the priced initial energy is a lower bound of
every decision over the horizon. Where no battery is exhausted the prices are 0, and the slots' optima are proved to be
the optimum. Otherwise prices and plans within the batteries are found by column generation (`column_generation`), and
the slots are proved at these prices. The remaining gap is due to convex combinations of plans: branch and bound divides
the plans by the most fractional quantity (number of a user's failures, option of a task), and each branch is priced and
proved alike; the branch of least bound is divided next. Where a gap remains, the placements are
enumerated if they are few (`exhaustive`); otherwise the status is `BOUNDED`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import FEASIBILITY_TOLERANCE, FloatArray, Instances, IntArray
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.progress import report, unreported
from offloadopt.quantities import Factor, Rounds
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.enumeration import few
from offloadopt.solvers.highs import checked_bound
from offloadopt.solvers.inference.base import LIMIT_TOLERANCE, slot_of_horizon
from offloadopt.solvers.inference.column_generation import BranchLimits, Column, MasterProblem
from offloadopt.solvers.inference.exhaustive import PlacementWindow, settle_placements
from offloadopt.solvers.inference.local_search import local_search
from offloadopt.solvers.inference.relaxation import relax
from offloadopt.solvers.inference.resource_allocation import SlotTasks, allocate, local_set_costs
from offloadopt.solvers.inference.set_partitioning import SetEnumeration, SetPartitioningMilp, improve_task_prices
from offloadopt.structures.inference import InferenceProblem

SMALLEST_GAP = 1e-11
"""Smallest relative gap that is aimed at: below the rounding of sums nothing can be proved."""
FEW_PLACEMENTS = 20_000
"""Largest number of placements that are enumerated where branching leaves a gap."""
LEAST_RISE = 0.02
"""Prices are final when the bound rises by at most this fraction of the gap."""
PRICE_PRECISION = 0.25
"""Prices of a node without fractional plans are final when its bound is this close to the master problem's cost, as a
fraction of the gap asked for."""

Plan = tuple[IntArray, FloatArray]
"""One slot's servers ``[users, places]`` and shares ``[2, users, places]``."""
Incumbent = tuple[float, IntArray, FloatArray]
"""The cost of a plan, its servers ``[horizon, users, places]`` and shares."""


@dataclass(frozen=True)
class Node:
    """Branch-and-bound node: limits, prices ``[2, users]`` of energy and failures, options of all slots, and bound."""

    limits: BranchLimits
    price: FloatArray
    options: list[IntArray]
    bound: float


class InferenceExact(InstanceSolver):
    """Optimise placement and shares over the horizon in hindsight, with a proved lower bound."""

    name = "exact"
    serves = InferenceProblem
    proves = True
    hindsight = True

    relative_gap: Factor = Field(1e-6, ge=0, description="stop once cost and bound are this close, per slot")
    time_limit_s: Factor | None = Field(
        60.0, gt=0, description="wall-clock limit for each instance, checked between stages; none: no limit"
    )
    twin: bool = Field(False, description="plan on the digital twin's data; costs are the real ones, nothing is proved")
    price_rounds: Rounds = Field(12, ge=1, description="largest number of battery prices at which slots are proved")
    branchings: Rounds = Field(40, ge=0, description="largest number of branchings of the plans within batteries")

    def separates(self, problem: Any) -> bool:
        """Whether each instance is solved on its own: always."""
        return True

    def searches(self, problem: InferenceProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Prepare the searches of instances or, with ``twin``, of what the digital twin knows of them."""
        return _Searches(self, problem, problem.twin_instances(instances) if self.twin else instances)

    def prove_all(
        self, problem: InferenceProblem[Any], master: MasterProblem, node: Node, deadline: Deadline
    ) -> tuple[list[IntArray], float]:
        """Options of all slots at a node's prices, and a lower bound of every decision within its limits."""
        # Including the problem's tolerance for the energy of each task.
        most_j = master.held_j * (1.0 + FEASIBILITY_TOLERANCE * problem.horizon * problem.places)
        options, proved = [], -float(node.price[0] @ most_j) - node.limits.price_term(node.price[1])
        for t, start in enumerate(node.options):
            found, low = self.prove(
                master.slot(t, node.price, node.limits, LIMIT_TOLERANCE),
                start,
                deadline.part(1.0 / (len(node.options) - t)),
            )
            options.append(found)
            proved += low
        return options, proved

    def prove(self, slot: SlotTasks, start: IntArray | None, deadline: Deadline) -> tuple[IntArray, float]:
        """Solve one slot: options ``[tasks]`` (-1 fails, 0 own CPU, j server j), and a lower bound of the cost."""
        if slot.tasks == 0:
            return np.zeros(0, dtype=np.int64), 0.0
        local_cost = local_set_costs(
            slot.first_task, slot.local, slot.second_price, slot.limit_s, 1 << int(np.diff(slot.first_task).max())
        )
        all_failing = np.full(slot.tasks, -1, dtype=np.int64)
        option, upper, prices = local_search(slot, local_cost, all_failing if start is None else start, deadline)
        relaxed = relax(slot, local_cost, prices, upper, self._allowance(upper), deadline)
        option, upper = _improved_options(slot, local_cost, option, upper, relaxed.options, deadline)
        bound = relaxed.bound.value
        report(cost=upper, bound=bound)
        if upper - bound > self._allowance(upper) and not deadline.passed:
            enumeration = SetEnumeration(slot, local_cost, relaxed.bound, deadline)
            relative = max(self.relative_gap, SMALLEST_GAP)
            improved = improve_task_prices(enumeration, relaxed.task_price, option, upper, relative, deadline)
            if improved is None:
                return option, checked_bound(bound, upper)
            option, upper, bound = improved.option, improved.upper, max(bound, improved.bound)
            if upper - bound > self._allowance(upper) and not deadline.passed:
                slack = upper - improved.bound
                core = enumeration.sets_within(improved.task_price, np.full(slot.servers, np.inf), slack)
                if core is not None:
                    milp = SetPartitioningMilp(slot, core[0], improved, self._allowance(upper))
                    bound = max(bound, milp.prove(deadline))
                    option, upper = _improved_options(slot, local_cost, option, upper, milp.option, deadline)
        return option, checked_bound(bound, upper)

    def _allowance(self, upper: float) -> float:
        """Absolute gap at which the search ends."""
        return max(self.relative_gap, SMALLEST_GAP) * upper


class _HorizonSearch:
    """Search of one instance: its incumbent, and the master problem of its plans.

    Attributes
    ----------
    best : Incumbent
        Before the search all tasks fail.
    """

    def __init__(
        self, solver: InferenceExact, problem: InferenceProblem[Any], instance: Instances, deadline: Deadline
    ) -> None:
        self.solver, self.problem, self.instance, self.deadline = solver, problem, instance, deadline
        all_tasks, held_j = problem.all_tasks(instance), problem.start_j(instance)[0]
        slots = [slot_of_horizon(all_tasks, t) for t in range(problem.horizon)]
        self.master = MasterProblem(slots, problem.cost_weights, held_j)
        zeros = np.zeros((problem.horizon, problem.num_agents, problem.places))
        self.best: Incumbent = np.inf, zeros.astype(np.int64), np.stack([zeros, zeros])

    def solve(self) -> float:
        """Improve the incumbent, and return a lower bound of every decision's cost."""
        master, deadline = self.master, self.deadline
        node = Node(
            master.unrestricted,
            np.zeros((2, self.problem.num_agents)),
            [np.full(slot.tasks, -1) for slot in master.unpriced],
            -np.inf,
        )
        for pricing in range(self.solver.price_rounds):
            starts, proved = self._prove_all(node)
            self._keep_cheaper(self._plans_ignoring_batteries(node.price, starts))
            rise, node = proved - node.bound, replace(node, options=starts, bound=max(node.bound, proved))
            report(cost=self.best[0], bound=node.bound)
            closed = self.best[0] - node.bound <= self.solver._allowance(self.best[0])
            if closed or pricing + 1 == self.solver.price_rounds or deadline.passed:
                break
            if pricing == 0:
                price, _ = master.find_prices(starts, node.price, node.limits, deadline)
            else:
                master.add_columns(starts, node.price, node.limits)
            self._keep_better(master.find_plan(node.limits, deadline))
            if pricing > 0:
                if rise <= LEAST_RISE * (self.best[0] - node.bound):
                    break
                price = 0.5 * (node.price + master.solve(master.columns, node.limits)[1])
            node = replace(node, price=price, options=master.search_slots(price, starts, node.limits))
        return self._enumerate(self._branch(node))

    def _enumerate(self, bound: float) -> float:
        """Improve the incumbent and a bound by enumeration where a gap is left and the placements are few."""
        solver, problem, deadline = self.solver, self.problem, self.deadline
        window = PlacementWindow(problem, self.instance)
        closed = self.best[0] - bound <= solver._allowance(self.best[0])
        if closed or deadline.passed or not few(window.options, window.tasks, FEW_PLACEMENTS):
            return bound
        found = settle_placements(window, max(solver.relative_gap, SMALLEST_GAP), deadline)
        if found.cost < self.best[0]:
            self.best = found.cost, found.server, found.shares
        return max(bound, found.bound)

    def _branch(self, root: Node) -> float:
        """Branch and bound: improve incumbent and bound by dividing the node of least bound."""
        master, deadline = self.master, self.deadline
        waiting, finished_bound = [root], np.inf
        for _ in range(self.solver.branchings):
            waiting.sort(key=lambda node: node.bound)
            closed_bound = min(finished_bound, self.best[0] - self.solver._allowance(self.best[0]))
            report(cost=self.best[0], bound=min([finished_bound, *(node.bound for node in waiting[:1])]))
            if not waiting or waiting[0].bound >= closed_bound or deadline.passed:
                break
            node = waiting.pop(0)
            branches = master.branches(node.limits)
            if not branches:
                node = self._converge(node)
                branches = master.branches(node.limits)
                if not branches:
                    finished_bound = min(finished_bound, node.bound)
            for limits in filter(master.possible, branches):
                price, options = master.find_prices(node.options, node.price, limits, deadline)
                child = Node(limits, price, options, node.bound)
                options, proved = self._prove_all(child)
                master.add_columns(options, price, limits)
                child = replace(child, options=options, bound=max(node.bound, proved))
                if self.best[0] - child.bound > self.solver._allowance(self.best[0]):
                    self._keep_better(master.find_plan(limits, deadline))
                waiting.append(child)
        return min([finished_bound, *(node.bound for node in waiting)])

    def _converge(self, node: Node) -> Node:
        """Price a node whose plans are not fractional by proofs, until its bound meets the incumbent or its own plan.

        Plans with the same options average to a plan that costs no more, so that the two meet unless further plans
        make the master problem fractional.
        """
        master = self.master
        for turn in range(2 * self.solver.price_rounds):
            cost, dual, fractions = master.solve(master.columns, node.limits)
            self._keep_better(master.plan_of_fractions(fractions))
            if (
                self.deadline.passed
                or self.best[0] - node.bound <= self.solver._allowance(self.best[0])
                or cost - node.bound <= PRICE_PRECISION * self.solver._allowance(cost)
            ):
                break
            # The dual prices themselves and the mean of these and the best ones, in turn: the former are exact where
            # no battery binds, the latter are close where shares make the bound smooth.
            trial = replace(node, price=dual if turn % 2 == 0 else 0.5 * (node.price + dual))
            options, proved = self._prove_all(trial)
            master.add_columns(options, trial.price, node.limits)
            node = replace(trial, options=options, bound=proved) if proved > node.bound else node
        return node

    def _prove_all(self, node: Node) -> tuple[list[IntArray], float]:
        whole = self.problem.horizon == 1 and not node.price.any()  # the slot's cost is then the instance's
        with nullcontext() if whole else unreported():
            return self.solver.prove_all(self.problem, self.master, node, self.deadline)

    def _plans_ignoring_batteries(self, price: FloatArray, options: list[IntArray]) -> list[Plan]:
        """Plans of options with optimal shares at prices, whether or not the batteries suffice."""
        master = self.master
        return [
            _optimal_plan(
                master.slot(t, price, master.unrestricted, LIMIT_TOLERANCE), tasks, master.weights.limit_s, option
            )
            for t, (tasks, option) in enumerate(zip(master.tasks, options, strict=True))
        ]

    def _keep_better(self, found: tuple[float, list[Column]]) -> None:
        """Take the plan of columns as the incumbent if its cost is lower."""
        if found[0] < self.best[0]:
            slots = zip(self.master.unpriced, self.master.tasks, found[1], strict=True)
            self._keep_cheaper([_plan_of_shares(slot, tasks, each.option, each.shares) for slot, tasks, each in slots])

    def _keep_cheaper(self, plans: list[Plan]) -> None:
        """Take the slots' plans as the incumbent if the problem's cost of them is lower."""
        server = np.stack([plan[0] for plan in plans])
        shares = np.stack([plan[1] for plan in plans], axis=1)
        decisions = self.problem.choose(server[None], shares[0][None], shares[1][None])
        cost = float(self.problem.evaluate(self.instance, decisions).cost[0])
        if cost < self.best[0]:
            self.best = cost, server, shares


class _Searches:
    """The searches of one call; tasks of instances that were not searched fail."""

    def __init__(self, solver: InferenceExact, problem: InferenceProblem[Any], known: Instances) -> None:
        self.solver, self.problem, self.known = solver, problem, known
        shape = (known.count, problem.horizon, problem.num_agents, problem.places)
        self.server, self.shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
        self.bound = np.full(known.count, -np.inf)

    def search(self, row: int, deadline: Deadline) -> None:
        """Plan one instance; on the digital twin's data nothing is proved."""
        search = _HorizonSearch(self.solver, self.problem, self.known.take([row]), deadline)
        proved = search.solve()
        _, self.server[row], self.shares[:, row] = search.best
        if not self.solver.twin:
            self.bound[row] = proved

    def found(self) -> Found:
        """Combine the decisions."""
        return Found(self.problem.choose(self.server, *self.shares), self.bound)


def _improved_options(
    slot: SlotTasks, local_cost: FloatArray, option: IntArray, upper: float, start: IntArray, deadline: Deadline
) -> tuple[IntArray, float]:
    """The better of given options and the result of a local search from ``start``."""
    found, cost, _ = local_search(slot, local_cost, start, deadline)
    return (found, cost) if cost < upper else (option, upper)


def _optimal_plan(slot: SlotTasks, tasks: InferenceTasks, limit_s: float, option: IntArray) -> Plan:
    """Servers ``[users, places]`` and optimal shares ``[2, users, places]`` of options; 0 for tasks that fail."""
    limit = limit_s * (1.0 + 0.5 * FEASIBILITY_TOLERANCE)
    best = allocate(option, slot.first_task, slot.local, slot.remote, slot.second_price, limit, slot.failure)
    return _plan_of_shares(slot, tasks, option, best)


def _plan_of_shares(slot: SlotTasks, tasks: InferenceTasks, option: IntArray, share: FloatArray) -> Plan:
    """Servers ``[users, places]`` and given shares ``[tasks, 2]`` as a plan."""
    server = np.zeros(tasks.present.shape, dtype=np.int64)
    shares = np.zeros((2, *tasks.present.shape))
    server[slot.user, slot.place] = np.maximum(option, 0)
    shares[:, slot.user, slot.place] = np.clip(share.T, 0.0, 1.0)
    return server, shares
