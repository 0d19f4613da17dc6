"""Offline optimum of task queues: device and speed of every task, with the whole instance known.

Local search finds the first incumbent, and the relaxation of `dual_bound`, in which each device schedules alone, the
first bound: at the paper's size (400 tasks) they are what there is. For up to `WINDOW` tasks both are then improved.
`milp_model` states the whole horizon as a MILP whose cost is a lower bound of the problem's: exact in queues, start
times, deadlines, energy, transmissions, disconnections and batteries, from below in ageing. HiGHS solves it
(`offloadopt.solvers.highs`). The problem evaluates the solution task by task; where the model underestimates a task's
cost, a cut corrects it, and HiGHS runs again. The bound therefore finally meets the cost, for instances of up to some
ten tasks; for larger ones the time limit (60 s unless set) ends the search with the bound reached. The optimum
minimises the sum over agents, not each agent's own cost.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances, IntArray
from offloadopt.progress import report
from offloadopt.quantities import Factor
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.highs import SAFETY, CutSearch, Programme, checked_bound
from offloadopt.solvers.task_queues.dual_bound import Relaxation
from offloadopt.solvers.task_queues.local_search import Annealing, greedy_decision
from offloadopt.solvers.task_queues.milp_model import Choice, TaskQueueMilp
from offloadopt.solvers.task_queues.tables import Tables, tables
from offloadopt.solvers.task_queues.task_options import SendOutcome, build_tasks
from offloadopt.structures.task_queues import TaskQueueProblem

LARGEST_COST = 1e6
"""Cost beyond which the MILP's costs are scaled to 1."""
MOVES = 20_000, 120_000
"""Changes per task that the local search tries in windows, and beyond, where it alone gives the incumbent."""
PARTS = 0.3, 0.97
"""Share of the time that is left which the local search gets, in windows and beyond."""
WINDOW = 60
"""Largest number of tasks for which the MILP is built: its rows grow by the square."""


class TaskQueuesExact(InstanceSolver):
    """Optimise the decisions of the whole horizon in hindsight, with a proved lower bound."""

    name = "exact"
    serves = TaskQueueProblem
    proves = True
    hindsight = True

    relative_gap: Factor = Field(
        1e-4, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    time_limit_s: Factor | None = Field(
        60.0, gt=0, description="wall-clock limit for each instance, compilation not counted; none: no limit"
    )

    def separates(self, problem: Any) -> bool:
        """Whether each instance is solved on its own: always."""
        return True

    def searches(self, problem: TaskQueueProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Prepare the searches; ``details`` will hold the number of ``rounds``, MILPs solved."""
        return _Searches(self, problem, instances)


class _Searches:
    """The searches of one call; tasks of instances that were not searched go to target 0 in the slowest mode."""

    def __init__(self, solver: TaskQueuesExact, problem: TaskQueueProblem[Any], instances: Instances) -> None:
        self.solver, self.problem, self.instances = solver, problem, instances
        shape = (instances.count, problem.horizon, problem.num_agents)
        self.target, self.mode = np.zeros(shape, dtype=np.int64), np.full(shape, problem.modes - 1)
        self.bound, self.rounds = np.full(instances.count, -np.inf), np.zeros(instances.count, dtype=np.int64)

    def search(self, row: int, deadline: Deadline) -> None:
        """Solve one instance."""
        search = _InstanceSearch(self.problem, self.instances.take([row]), self.solver.relative_gap, deadline)
        search.solve()
        self.target[row], self.mode[row] = search.target[0], search.mode[0]
        self.bound[row], self.rounds[row] = search.bound, search.rounds

    def found(self) -> Found:
        """Combine the decisions."""
        return Found(self.problem.choose(self.target, self.mode), self.bound, {"rounds": self.rounds})


class _InstanceSearch:
    """Search of one instance: incumbent and proved bound."""

    def __init__(
        self, problem: TaskQueueProblem[Any], instances: Instances, relative_gap: float, deadline: Deadline
    ) -> None:
        self.deadline = deadline
        self.problem, self.instances, self.relative_gap = problem, instances, relative_gap
        self.data = problem.hindsight_data(instances)
        shape = (1, problem.horizon, problem.num_agents)
        self.target = np.zeros(shape, dtype=np.int64)
        self.mode = np.full(shape, problem.modes - 1)
        self.cost = float(self.costs(self.target, self.mode)[0].sum())
        # Costs are sums of nonnegative terms.
        self.bound = 0.0
        self.rounds = 0

    def solve(self) -> None:
        """Find incumbent and bound, then prove and improve both by the MILP, until the deadline."""
        t = tables(self.data, 0)
        small = t.arrives.sum() <= WINDOW
        if small:  # the search takes less than a second there, which a bound must not take from it
            self._local_search(t)
        self.bound = max(self.bound, self._relaxation(t))
        if not small:
            self._local_search(t)
        self.bound = checked_bound(self.bound, self.cost)
        if self.cost - self.bound <= self.relative_gap * self.cost or t.arrives.sum() > WINDOW:
            return
        if not self.deadline.passed and (tasks := build_tasks(self.data, 0)):
            # Where time ends while the model is built, the incumbent and the bound of the relaxation remain.
            with suppress(TimeoutError):
                proof = _CutSearch(self, TaskQueueMilp(self.data, 0, tasks, self.deadline))
                self.bound = proof.prove(self.deadline)
                self.rounds = proof.rounds

    def costs(self, target: IntArray, mode: IntArray) -> FloatArray:
        """Tasks' costs ``[rows, horizon, agents]`` of several decisions ``[rows, horizon, agents]``."""
        copies = self.instances.take(np.zeros(len(target), dtype=np.int64))
        decisions, state, costs = self.problem.choose(target, mode), self.problem.reset(copies), []
        for slot in range(self.problem.horizon):
            decision_of_slot = decisions if self.problem.horizon == 1 else decisions.at_slot(slot)
            state, outcome = self.problem.step(copies, state, decision_of_slot)
            costs.append(outcome.agent_cost)
        return np.stack(costs, axis=1)

    def keep_best(self, target: IntArray, mode: IntArray, cost: FloatArray) -> None:
        """Keep the best of several decisions with their costs ``[rows]``, if it is better than the incumbent."""
        best = int(np.argmin(cost))
        if cost[best] < self.cost:
            self.cost, self.target, self.mode = float(cost[best]), target[best : best + 1], mode[best : best + 1]
            report(cost=self.cost, bound=self.bound)

    def _relaxation(self, t: Tables) -> float:
        if self.deadline.passed:
            return 0.0
        return Relaxation(t).ascend(self.deadline.part(0.4))

    def _local_search(self, t: Tables) -> None:
        """Anneal from the greedy rule's decision."""
        device, mode = greedy_decision(self.problem, self.instances, self.deadline)
        large = bool(t.arrives.sum() > WINDOW)
        search = Annealing(t, device[0], mode[0], np.random.default_rng(0))
        search.improve(MOVES[large], self.deadline.part(PARTS[large]))
        target = self.problem.target(self.instances, search.device[None])
        self.keep_best(target, search.mode[None], self.costs(target, search.mode[None]).sum(axis=(1, 2)))


class _CutSearch(CutSearch):
    """The MILP of an instance, with cuts that make the cost exact at the decisions found."""

    def __init__(self, search: _InstanceSearch, model: TaskQueueMilp) -> None:
        self.search, self.model = search, model
        milp = model.milp
        # Large costs of joules or losses would leave rows whose tolerance hides the delays: such costs are scaled.
        self.cost_unit = search.cost if search.cost > LARGEST_COST else 1.0
        self.unit_of = np.where(np.asarray(milp.costs) > 0.0, self.cost_unit, 1.0)
        programme = Programme(
            milp.costs, np.asarray(milp.low) / self.unit_of, np.asarray(milp.high) / self.unit_of, milp.integers
        )
        # The incumbent is better than the solutions of HiGHS's heuristics; restarts would take four fifths of the time.
        programme.set_options(mip_heuristic_effort=0.0, mip_allow_restart=False)
        super().__init__(programme, search.bound, search.cost, search.relative_gap * search.cost, 0.0, self.cost_unit)
        self._pass_new_rows()

    def precision(self, tolerance: float) -> float:
        """Tolerances are relative to one plus the cost."""
        return SAFETY * tolerance * (1.0 + self.upper)

    def _pass_new_rows(self) -> None:
        for terms, low, high in self.model.milp.rows:
            columns = np.array([column for column, _ in terms], dtype=np.int64)
            values = np.array([value for _, value in terms]) * self.unit_of[columns]
            size = 1.0 if self.cost_unit == 1.0 else float(np.abs(values).max(initial=0.0)) or 1.0
            self.programme.add_row(columns, values / size, low / size, high / size)
        self.model.milp.rows.clear()

    def refine(self, values: FloatArray) -> bool:
        """Add cuts with exact costs at the choices of a solution and at near-optimal neighbours.

        Neighbours differ in one task; near-optimal ones cost at most the gap more than the incumbent.
        """
        model, search = self.model, self.search
        choices = model.choices(values)
        candidates = [choices]
        for n, task in enumerate(model.tasks):
            for option, mode in np.ndindex(len(task.options), search.problem.modes):
                if mode == 0 or task.options[option].outcome is SendOutcome.DELIVERED:
                    candidates.append([*choices[:n], Choice(option, mode), *choices[n + 1 :]])
        target, mode_of = self._decisions(candidates)
        costs = search.costs(target, mode_of)
        total = costs.sum(axis=(1, 2))
        search.keep_best(target, mode_of, total)
        self.upper, self.allowance = search.cost, search.relative_gap * search.cost
        slots, agents = [task.slot for task in model.tasks], [task.agent for task in model.tasks]
        near_best = np.flatnonzero(total <= 2.0 * self.upper - self.claim)
        added = sum(self._add_cuts(candidates[k], costs[k, slots, agents]) for k in {0, *near_best.tolist()})
        self._pass_new_rows()
        return added > 0

    def _add_cuts(self, choices: list[Choice], costs: FloatArray) -> int:
        """Add cuts for choices whose numbers of senders are consistent; others cannot occur."""
        model = self.model
        senders: Counter[tuple[int, int]] = Counter()
        chosen = [task.options[choice.option] for task, choice in zip(model.tasks, choices, strict=True)]
        for task, option in zip(model.tasks, chosen, strict=True):
            senders[task.slot, option.device] += option.senders > 0
        for task, option in zip(model.tasks, chosen, strict=True):
            if option.senders > 0 and option.senders != senders[task.slot, option.device]:
                return 0
        return model.add_cost_cuts(choices, costs)

    def _decisions(self, several: list[list[Choice]]) -> tuple[IntArray, IntArray]:
        problem = self.search.problem
        shape = (len(several), problem.horizon, problem.num_agents)
        device, mode = np.broadcast_to(np.arange(problem.num_agents), shape).copy(), np.zeros(shape, dtype=np.int64)
        for row, choices in enumerate(several):
            for task, choice in zip(self.model.tasks, choices, strict=True):
                device[row, task.slot, task.agent] = task.options[choice.option].device
                mode[row, task.slot, task.agent] = choice.mode
        copies = self.search.instances.take(np.zeros(len(several), dtype=np.int64))
        return problem.target(copies, device), mode
