"""Offline optimum of task queues: device and speed of every task, with the whole instance known.

`milp_model` states the whole horizon as a MILP whose cost is a lower bound of the problem's: exact in queues, start
times, deadlines, energy, transmissions, disconnections and batteries, from below in ageing. HiGHS solves it. The
problem evaluates the solution task by task; where the model underestimates a task's cost, a cut corrects it, and HiGHS
runs again. The bound is therefore proved and finally meets the cost, for instances of up to some ten tasks; for larger
ones the time limit (60 s unless set) ends the search with the bound reached. The optimum minimises the sum over agents,
not each agent's own cost.

HiGHS's presolve cuts off optimal solutions of these models at tight feasibility tolerances (seen with 1.15.1: a model
that has solutions is called infeasible below 1e-8, with any seed, and solved rightly without presolve). Runs with
presolve therefore only find incumbents and cuts, in the first half of the time limit; the bound is that of a last run
without it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import FloatArray, Instances, IntArray, Problem, Progress, Solutions, Solver
from offloadopt.solvers.task_queues.milp_model import Choice, TaskQueueMilp
from offloadopt.solvers.task_queues.task_options import SendOutcome, build_tasks
from offloadopt.structures.task_queues import TaskQueueProblem

TIGHTEST_TOLERANCE, DEFAULT_TOLERANCE = 1e-9, 1e-6
"""Feasibility tolerances of HiGHS: the first that is tried, and its default."""
SAFETY = 100.0
"""Number of tolerances, times one plus the cost, that is subtracted from HiGHS's bound."""
ROUNDS = 200
"""Largest number of MILPs that are solved for an instance."""
SWEEPS = 20
"""Largest number of rounds of the local search that finds the first incumbent."""


class TaskQueuesExact(Solver):
    """Optimise the decisions of the whole horizon in hindsight, with a proved lower bound."""

    name = "exact"
    serves = TaskQueueProblem
    proves = True
    hindsight = True

    relative_gap: float = Field(
        1e-4, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )
    time_limit_s: float | None = Field(
        60.0, gt=0, description="wall-clock limit for each instance, compilation not counted; none: no limit"
    )

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve instance by instance; ``details`` hold the number of ``rounds`` and the first MILP's bound."""
        self.require(problem)
        problem = cast(TaskQueueProblem[Any], problem)
        searches = []
        for row in range(instances.count):
            search = _InstanceSearch(problem, instances.take([row]), self.relative_gap, self.time_limit_s)
            search.solve()
            searches.append(search)
            if progress is not None:
                progress(1)
        shape = (0, problem.horizon, problem.num_agents)
        empty = np.zeros(shape, dtype=np.int64)
        return Solutions.scored(
            problem,
            instances,
            problem.choose(
                np.concatenate([empty, *(search.target for search in searches)]),
                np.concatenate([empty, *(search.mode for search in searches)]),
            ),
            seconds=np.array([search.seconds for search in searches]),
            bound=np.array([search.bound for search in searches]),
            asked_gap=self.relative_gap,
            details={
                "rounds": np.array([search.rounds for search in searches], dtype=np.int64),
                "first_bound": np.array([search.first_bound for search in searches]),
            },
        )


class _InstanceSearch:
    """Search of one instance: incumbent and proved bound."""

    def __init__(
        self, problem: TaskQueueProblem[Any], instances: Instances, relative_gap: float, time_limit_s: float | None
    ) -> None:
        self.begin = clock()
        self.deadline = self.begin + (np.inf if time_limit_s is None else time_limit_s)
        self.problem, self.instances, self.relative_gap = problem, instances, relative_gap
        self.data = problem.hindsight_data(instances)
        shape = (1, problem.horizon, problem.num_agents)
        self.target = np.zeros(shape, dtype=np.int64)
        self.mode = np.full(shape, problem.modes - 1)
        self.cost = float(self._costs(self.target, self.mode)[0].sum())
        # Costs are sums of nonnegative terms.
        self.bound = self.first_bound = self.claimed = 0.0
        self.rounds, self.seconds = 0, 0.0

    def solve(self) -> None:
        """Find an incumbent by local search, then prove and improve it by the MILP, until the deadline."""
        self._local_search()
        if clock() < self.deadline and (tasks := build_tasks(self.data, 0)):
            # Where time ends while the model is built, the incumbent and the bound 0 remain.
            with suppress(TimeoutError):
                self._prove(TaskQueueMilp(self.data, 0, tasks, self.deadline))
        self.seconds = clock() - self.begin

    def _costs(self, target: IntArray, mode: IntArray) -> FloatArray:
        """Tasks' costs ``[rows, horizon, agents]`` of several decisions ``[rows, horizon, agents]``."""
        copies = self.instances.take(np.zeros(len(target), dtype=np.int64))
        decisions, state, costs = self.problem.choose(target, mode), self.problem.reset(copies), []
        for slot in range(self.problem.horizon):
            decision_of_slot = decisions if self.problem.horizon == 1 else decisions.at_slot(slot)
            state, outcome = self.problem.step(copies, state, decision_of_slot)
            costs.append(outcome.agent_cost)
        return np.stack(costs, axis=1)

    def _local_search(self) -> None:
        """Improve the incumbent by changes of one task at a time, until none reduces the cost."""
        options = self.problem.devices * self.problem.modes
        option = np.arange(options)
        for _ in range(SWEEPS):
            before = self.cost
            for slot, agent in np.argwhere(self.data.arrives[0]):
                if clock() > self.deadline:
                    return
                target, mode = (np.repeat(values, options, axis=0) for values in (self.target, self.mode))
                target[:, slot, agent], mode[:, slot, agent] = option // self.problem.modes, option % self.problem.modes
                cost = self._costs(target, mode).sum(axis=(1, 2))
                best = int(np.argmin(cost))
                if cost[best] < self.cost:
                    self.cost = float(cost[best])
                    self.target, self.mode = target[best : best + 1], mode[best : best + 1]
            if self.cost >= before:
                return

    def _prove(self, model: TaskQueueMilp) -> None:
        """Solve the MILP and add cuts until bound and cost meet."""
        import highspy

        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        milp = model.milp
        number = len(milp.low)
        options: dict[str, bool | int | float] = {
            "output_flag": False,
            "threads": 1,
            "mip_rel_gap": 0.0,
            # The incumbent is better than the solutions of HiGHS's heuristics.
            "mip_heuristic_effort": 0.0,
            # Restarts would take four fifths of the time.
            "mip_allow_restart": False,
        }
        for name, value in options.items():
            highs.setOptionValue(name, value)
        highs.addVars(number, np.array(milp.low), np.array(milp.high))
        highs.changeColsCost(number, np.arange(number, dtype=np.int32), np.array(milp.costs))
        integers = np.array(milp.integers, dtype=np.int32)
        highs.changeColsIntegrality(len(integers), integers, np.full(len(integers), highspy.HighsVarType.kInteger))
        tolerance, presolve = TIGHTEST_TOLERANCE, True
        search_end = self.deadline - 0.5 * (self.deadline - clock()) if np.isfinite(self.deadline) else np.inf
        while self.rounds < ROUNDS and clock() < self.deadline:
            _pass_new_rows(highs, model)
            highs.setOptionValue("presolve", "choose" if presolve else "off")
            for name in ("mip", "primal", "dual"):
                highs.setOptionValue(f"{name}_feasibility_tolerance", tolerance)
            margin = SAFETY * tolerance * (1.0 + self.cost)
            allowance = self.relative_gap * self.cost
            highs.setOptionValue("objective_bound", self.cost + margin)
            highs.setOptionValue("mip_abs_gap", 0.25 * allowance)
            left_s = (search_end if presolve else self.deadline) - clock()
            if np.isfinite(left_s):
                highs.setOptionValue("time_limit", highs.getRunTime() + max(left_s, 0.1))
            highs.run()
            self.rounds += 1
            status, info = highs.getModelStatus(), highs.getInfo()
            if status == highspy.HighsModelStatus.kSolveError and tolerance < DEFAULT_TOLERANCE:
                # HiGHS sometimes finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
                tolerance *= 10.0
                highs.clearSolver()
                continue
            if status == highspy.HighsModelStatus.kInfeasible:
                self.claimed = max(self.claimed, self.cost - margin)
            elif status != highspy.HighsModelStatus.kSolveError and np.isfinite(info.mip_dual_bound):
                self.claimed = max(self.claimed, min(info.mip_dual_bound - margin, self.cost))
            if not presolve:
                self.bound = self.claimed
            if self.rounds == 1:
                self.first_bound = self.claimed
            solved = status == highspy.HighsModelStatus.kOptimal and self.cost - self.claimed > allowance
            if solved and self._add_cuts(model, model.choices(np.asarray(highs.getSolution().col_value))) > 0:
                continue
            if not presolve:
                return
            # What was claimed so far only steered the search for cuts; the proof is a run without presolve.
            presolve, tolerance, self.claimed = False, TIGHTEST_TOLERANCE, self.bound
            highs.clearSolver()

    def _add_cuts(self, model: TaskQueueMilp, choices: list[Choice]) -> int:
        """Add cuts with exact costs at HiGHS's choices and at near-optimal neighbours; returns how many are new.

        Neighbours differ in one task; near-optimal ones cost at most the gap more than the incumbent.
        """
        candidates = [choices]
        for n, task in enumerate(model.tasks):
            for option, mode in np.ndindex(len(task.options), self.problem.modes):
                if mode == 0 or task.options[option].outcome is SendOutcome.DELIVERED:
                    candidates.append([*choices[:n], Choice(option, mode), *choices[n + 1 :]])
        target, mode_of = self._decisions(model, candidates)
        costs = self._costs(target, mode_of)
        total = costs.sum(axis=(1, 2))
        best = int(np.argmin(total))
        if total[best] < self.cost:
            self.cost, self.target, self.mode = float(total[best]), target[best : best + 1], mode_of[best : best + 1]
        slots, agents = [task.slot for task in model.tasks], [task.agent for task in model.tasks]
        near_best = np.flatnonzero(total <= 2.0 * self.cost - self.claimed)
        return sum(
            self._add_consistent_cuts(model, candidates[k], costs[k, slots, agents]) for k in {0, *near_best.tolist()}
        )

    def _add_consistent_cuts(self, model: TaskQueueMilp, choices: list[Choice], costs: FloatArray) -> int:
        """Add cuts for choices whose numbers of senders are consistent; others cannot occur."""
        senders: Counter[tuple[int, int]] = Counter()
        chosen = [task.options[choice.option] for task, choice in zip(model.tasks, choices, strict=True)]
        for task, option in zip(model.tasks, chosen, strict=True):
            senders[task.slot, option.device] += option.senders > 0
        for task, option in zip(model.tasks, chosen, strict=True):
            if option.senders > 0 and option.senders != senders[task.slot, option.device]:
                return 0
        return model.add_cost_cuts(choices, costs)

    def _decisions(self, model: TaskQueueMilp, several: list[list[Choice]]) -> tuple[IntArray, IntArray]:
        shape = (len(several), self.problem.horizon, self.problem.num_agents)
        device, mode = (
            np.broadcast_to(np.arange(self.problem.num_agents), shape).copy(),
            np.zeros(shape, dtype=np.int64),
        )
        for row, choices in enumerate(several):
            for task, choice in zip(model.tasks, choices, strict=True):
                device[row, task.slot, task.agent] = task.options[choice.option].device
                mode[row, task.slot, task.agent] = choice.mode
        copies = self.instances.take(np.zeros(len(several), dtype=np.int64))
        return self.problem.target(copies, device), mode


def _pass_new_rows(highs: Any, model: TaskQueueMilp) -> None:
    """Pass rows to HiGHS that have been added since the last call."""
    rows = model.milp.rows
    if not rows:
        return
    sizes = [len(terms) for terms, _, _ in rows]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    columns = np.array([column for terms, _, _ in rows for column, _ in terms], dtype=np.int32)
    values = np.array([value for terms, _, _ in rows for _, value in terms])
    low, high = np.array([low for _, low, _ in rows]), np.array([high for _, _, high in rows])
    highs.addRows(len(rows), low, high, len(columns), starts, columns, values)
    rows.clear()
