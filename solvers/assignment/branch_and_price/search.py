"""Branch and bound with the bound of prices of tasks (`column_generation`), best bound first.

A node allows a part of the options. It is closed where its prices of tasks prove that no assignment in it costs less
than the incumbent by more than the allowance. Otherwise the options of one task are branched on: the task that the
linear programme divides most. Identical servers are one option, as their permutations cost nothing; where only the
division of tasks among identical servers is left open, the node stays open.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, IntArray
from offloadopt.progress import report
from offloadopt.solvers.assignment.branch_and_price.column_generation import ColumnGeneration, TaskSet, prices_of_tasks
from offloadopt.solvers.assignment.core_milp import CoreCosts
from offloadopt.solvers.assignment.local_search import assignment_cost


@dataclass
class Node:
    """A part of the assignments.

    Attributes
    ----------
    parent : int
        Index of the node whose task was branched on; -1 for the root.
    task : int
        The task that was branched on; -1 for the root.
    options : array
        The options that it is left with.
    bound : float
        Proved lower bound of the node's assignments, at least the parent's.
    price : array [tasks]
        Prices of tasks that prove it where it is more than the parent's.
    """

    parent: int
    task: int
    options: IntArray
    bound: float
    price: FloatArray


class BranchAndPrice:
    """The search of one instance or of the tasks that are left undecided.

    Parameters
    ----------
    core : CoreCosts
    v : array [servers]
        Root prices of servers, from which the search for prices of tasks begins.
    assignment : array [tasks]
        Incumbent.

    Attributes
    ----------
    nodes : list of Node
        All nodes so far, parents before children.
    bound : float
        Proved lower bound of all assignments in the core.
    assignment, upper
        The best assignment so far and its cost.
    """

    def __init__(self, core: CoreCosts, v: FloatArray, assignment: IntArray) -> None:
        self.core, self.assignment = core, assignment.copy()
        self.upper, self.bound = float(assignment_cost(*core, assignment)), -np.inf
        self.nodes: list[Node] = []
        self._allowance = self._precision = 0.0
        self._target: float | None = None
        servers = range(len(core[2]))
        self._open: list[tuple[float, int, CoreCosts, ColumnGeneration]] = []
        self._first = prices_of_tasks(core, v), [(j, assignment == j + 1) for j in servers]

    def search(
        self, allowance: float, node_limit: int, deadline: Deadline, *, target: float | None = None
    ) -> float:  # fmt: skip
        """Search until the bound is within ``allowance`` of the incumbent, or a limit is met; return the bound.

        With a ``target``, until the bound is at least that, whatever incumbent is found; ``allowance`` is then how
        precisely prices are found.
        """
        self._allowance, self._target, self._precision = allowance, target, 0.5 * allowance
        self._enter(-1, -1, np.arange(self.core[0].shape[1]), self.core, *self._first, deadline)
        while self._open:
            self.bound = min(self._open[0][0], self.upper)
            report(cost=self.upper, bound=self.bound)
            if self.upper - self.bound <= self.allowance or len(self.nodes) >= node_limit or deadline.passed:
                return self.bound
            _, index, core, columns = self._open[0]
            task, parts = self._branches(core, columns)
            if task < 0:
                return self.bound
            heappop(self._open)
            for options in parts:
                part = core[0].copy()
                part[task] = np.inf
                part[task, options] = core[0][task, options]
                self._enter(index, task, options, (part, *core[1:]), columns.best.price, columns.sets, deadline)
        self.bound = min((node.bound for node in self._leaves()), default=self.upper)
        return self.bound

    @property
    def allowance(self) -> float:
        """Difference of the incumbent's cost and a bound that closes a node."""
        return self._allowance if self._target is None else self.upper - self._target

    def _leaves(self) -> list[Node]:
        inner = {node.parent for node in self.nodes}
        return [node for index, node in enumerate(self.nodes) if index not in inner]

    def _enter(
        self, parent: int, task: int, options: IntArray, core: CoreCosts, price: FloatArray, sets: list[TaskSet],
        deadline: Deadline,
    ) -> None:  # fmt: skip
        """Bound a node and keep it open unless it is closed by its bound."""
        columns = ColumnGeneration(core, price, self.assignment, self.upper, sets)
        found = columns.search(self.allowance, self._precision, deadline)
        if found.upper < self.upper:
            self.assignment, self.upper = found.assignment, found.upper
        index = len(self.nodes)
        bound = found.bound if parent < 0 else max(found.bound, self.nodes[parent].bound)
        self.nodes.append(Node(parent, task, options, bound, found.price))
        if self.upper - bound > self.allowance:
            heappush(self._open, (bound, index, core, columns))

    def _branches(self, core: CoreCosts, columns: ColumnGeneration) -> tuple[int, list[IntArray]]:
        """The task that the linear programme divides most, and its options by groups of servers; -1 if none has two."""
        group = np.append(0, 1 + columns.group)
        allowed = np.isfinite(core[0])
        first = np.argmax(allowed, axis=1)
        several = (allowed & (group != group[first][:, None])).any(axis=1)
        if not several.any():
            return -1, []
        task = int(np.argmin(np.where(several, columns.fractions().max(axis=1), np.inf)))
        options = np.flatnonzero(allowed[task])
        return task, [options[group[options] == number] for number in np.unique(group[options])]
