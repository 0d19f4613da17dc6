"""Hindsight for tasks in queues: who does each task, how fast, when everything that nature does is known.

`queue_model` states the whole window as a MILP whose cost is a lower bound of the problem's own: exact in queues,
starts, hurry, energy, transmissions, disconnections and batteries, from below in ageing. HiGHS solves it. What it
finds is scored by the problem, task by task, and where the model thought a task too cheap a cut says what it costs;
then HiGHS runs again. So the bound is proved, and meets the cost in the end: of windows up to some ten tasks; a time
limit ends longer ones with the bound that stands. The optimum is that of all agents' sum, not what each would choose.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import FloatArray, Instances, IntArray, Problem, Progress, Solutions, Solver
from offloadopt.solvers.task_queues.milp_model import Choice, QueueModel
from offloadopt.solvers.task_queues.task_options import SendOutcome, tasks_of
from offloadopt.structures.task_queues import TaskQueueProblem

TIGHT, USUAL = 1e-9, 1e-6
"""HiGHS's tolerances: the first that is tried, and its own default."""
SAFETY = 100.0
"""So many tolerances, per unit of cost and one, are taken off HiGHS's bound."""
ROUNDS = 200
SWEEPS = 20
"""Rounds of the local search that gives HiGHS something to beat."""


class TaskQueuesExact(Solver):
    """The cheapest decisions of a whole window, with a proved bound."""

    name = "exact"
    serves = TaskQueueProblem
    proves = True
    hindsight = True

    relative_gap: float = Field(
        1e-4, ge=0, description="stop once cost and bound are this close, relative to the bound"
    )

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Solve instance by instance; ``details`` count the rounds and say what HiGHS's first model proved."""
        self.require(problem)
        problem = cast(TaskQueueProblem[Any], problem)
        windows = []
        for row in range(instances.count):
            window = _Window(problem, instances.take([row]), self.relative_gap, self.time_limit_s)
            window.solve()
            windows.append(window)
            if progress is not None:
                progress(1)
        shape = (0, problem.horizon, problem.num_agents)
        empty = np.zeros(shape, dtype=np.int64)
        return Solutions.scored(
            problem,
            instances,
            problem.choose(
                np.concatenate([empty, *(window.target for window in windows)]),
                np.concatenate([empty, *(window.mode for window in windows)]),
            ),
            seconds=np.array([window.seconds for window in windows]),
            bound=np.array([window.bound for window in windows]),
            asked_gap=self.relative_gap,
            details={
                "rounds": np.array([window.rounds for window in windows], dtype=np.int64),
                "first_bound": np.array([window.first_bound for window in windows]),
            },
        )


class _Window:
    """One instance: the best decisions so far, and what is proved."""

    def __init__(
        self, problem: TaskQueueProblem[Any], instances: Instances, relative_gap: float, time_limit_s: float | None
    ) -> None:
        self.begin = clock()
        self.deadline = self.begin + (np.inf if time_limit_s is None else time_limit_s)
        self.problem, self.instances, self.relative_gap = problem, instances, relative_gap
        self.view = problem.hindsight_data(instances)
        shape = (1, problem.horizon, problem.num_agents)
        self.target = np.zeros(shape, dtype=np.int64)
        self.mode = np.full(shape, problem.modes - 1)
        self.cost = float(self._costs(self.target, self.mode)[0].sum())
        # Costs are sums of what is not negative.
        self.bound = self.first_bound = 0.0
        self.rounds, self.seconds = 0, 0.0

    def solve(self) -> None:
        """Search nearby, then prove."""
        self._search()
        tasks = tasks_of(self.view, 0)
        if tasks:
            self._prove(QueueModel(self.view, 0, tasks))
        self.seconds = clock() - self.begin

    def _costs(self, target: IntArray, mode: IntArray) -> FloatArray:
        """[rows, horizon, agents] what the tasks cost, for several decisions ``[rows, horizon, agents]``."""
        many = self.instances.take(np.zeros(len(target), dtype=np.int64))
        decisions, state, costs = self.problem.choose(target, mode), self.problem.reset(many), []
        for slot in range(self.problem.horizon):
            now = decisions if self.problem.horizon == 1 else decisions.at_slot(slot)
            state, outcome = self.problem.step(many, state, now)
            costs.append(outcome.agent_cost)
        return np.stack(costs, axis=1)

    def _search(self) -> None:
        """Change one task at a time, as long as that helps."""
        options = self.problem.devices * self.problem.modes
        option = np.arange(options)
        for _ in range(SWEEPS):
            before = self.cost
            for slot, agent in np.argwhere(self.view.arrives[0]):
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

    def _prove(self, model: QueueModel) -> None:
        import highspy

        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        columns = model.columns
        number = len(columns.low)
        options: dict[str, bool | int | float] = {
            "output_flag": False,
            "threads": 1,
            "mip_rel_gap": 0.0,
            # The incumbent is better than what heuristics find.
            "mip_heuristic_effort": 0.0,
            # Restarts take four fifths of the time.
            "mip_allow_restart": False,
        }
        for name, value in options.items():
            highs.setOptionValue(name, value)
        highs.addVars(number, np.array(columns.low), np.array(columns.high))
        highs.changeColsCost(number, np.arange(number, dtype=np.int32), np.array(columns.price))
        whole = np.array(columns.whole, dtype=np.int32)
        highs.changeColsIntegrality(len(whole), whole, np.full(len(whole), highspy.HighsVarType.kInteger))
        tolerance = TIGHT
        while self.rounds < ROUNDS and clock() < self.deadline:
            _hand_over(highs, model)
            for name in ("mip", "primal", "dual"):
                highs.setOptionValue(f"{name}_feasibility_tolerance", tolerance)
            margin = SAFETY * tolerance * (1.0 + self.cost)
            allowance = self.relative_gap * self.cost
            highs.setOptionValue("objective_bound", self.cost + margin)
            highs.setOptionValue("mip_abs_gap", 0.25 * allowance)
            left_s = self.deadline - clock()
            if np.isfinite(left_s):
                highs.setOptionValue("time_limit", highs.getRunTime() + max(left_s, 0.1))
            highs.run()
            self.rounds += 1
            status, info = highs.getModelStatus(), highs.getInfo()
            if status == highspy.HighsModelStatus.kInfeasible:
                self.bound = max(self.bound, self.cost - margin)
                return
            if status == highspy.HighsModelStatus.kSolveError:
                # Now and then HiGHS finds its own optimum infeasible by a rounding error (ERGO-Code/HiGHS issue 2782).
                if tolerance >= USUAL:
                    return
                tolerance *= 10.0
                highs.clearSolver()
                continue
            if np.isfinite(info.mip_dual_bound):
                self.bound = max(self.bound, min(info.mip_dual_bound - margin, self.cost))
            if self.rounds == 1:
                self.first_bound = self.bound
            if status != highspy.HighsModelStatus.kOptimal or self.cost - self.bound <= allowance:
                return
            if self._learn(model, model.choices(np.asarray(highs.getSolution().col_value))) == 0:
                return

    def _learn(self, model: QueueModel, choices: list[Choice]) -> int:
        """Score what HiGHS chose and say what its tasks cost, and those of what else may be as good; how much is new.

        As good may be what differs in one task and costs no more than the gap above the best.
        """
        nearby = [choices]
        for n, task in enumerate(model.tasks):
            for way, mode in np.ndindex(len(task.ways), self.problem.modes):
                if mode == 0 or task.ways[way].fate is SendOutcome.DONE:
                    nearby.append([*choices[:n], Choice(way, mode), *choices[n + 1 :]])
        target, mode_of = self._decisions(model, nearby)
        costs = self._costs(target, mode_of)
        total = costs.sum(axis=(1, 2))
        best = int(np.argmin(total))
        if total[best] < self.cost:
            self.cost, self.target, self.mode = float(total[best]), target[best : best + 1], mode_of[best : best + 1]
        slots, agents = [task.slot for task in model.tasks], [task.agent for task in model.tasks]
        good = np.flatnonzero(total <= 2.0 * self.cost - self.bound)
        return sum(self._insist(model, nearby[k], costs[k, slots, agents]) for k in {0, *good.tolist()})

    def _insist(self, model: QueueModel, choices: list[Choice], costs: FloatArray) -> int:
        """Only what can happen is said: how many send to each device follows from the choices."""
        senders: Counter[tuple[int, int]] = Counter()
        chosen = [task.ways[choice.way] for task, choice in zip(model.tasks, choices, strict=True)]
        for task, way in zip(model.tasks, chosen, strict=True):
            senders[task.slot, way.device] += way.senders > 0
        for task, way in zip(model.tasks, chosen, strict=True):
            if way.senders > 0 and way.senders != senders[task.slot, way.device]:
                return 0
        return model.insist(choices, costs)

    def _decisions(self, model: QueueModel, several: list[list[Choice]]) -> tuple[IntArray, IntArray]:
        shape = (len(several), self.problem.horizon, self.problem.num_agents)
        device, mode = (
            np.broadcast_to(np.arange(self.problem.num_agents), shape).copy(),
            np.zeros(shape, dtype=np.int64),
        )
        for row, choices in enumerate(several):
            for task, choice in zip(model.tasks, choices, strict=True):
                device[row, task.slot, task.agent] = task.ways[choice.way].device
                mode[row, task.slot, task.agent] = choice.mode
        many = self.instances.take(np.zeros(len(several), dtype=np.int64))
        return self.problem.target(many, device), mode


def _hand_over(highs: Any, model: QueueModel) -> None:
    """Give HiGHS the rows that it has not got yet."""
    rows = model.columns.rows
    if not rows:
        return
    sizes = [len(terms) for terms, _, _ in rows]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    columns = np.array([column for terms, _, _ in rows for column, _ in terms], dtype=np.int32)
    values = np.array([value for terms, _, _ in rows for _, value in terms])
    low, high = np.array([low for _, low, _ in rows]), np.array([high for _, _, high in rows])
    highs.addRows(len(rows), low, high, len(columns), starts, columns, values)
    rows.clear()
