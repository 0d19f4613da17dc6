"""Local search over devices and modes of all tasks of an instance: simulated annealing by single changes and swaps.

At first batteries may be overdrawn at a price per joule, so that every joule saved counts and not only the last one
that lets another task be done; drops may cost little, since failed tasks need none once any battery is empty. Then the
price rises, and the last stage has the problem's own cost. Runs with different first prices are compared, and the best
plan is run again. The best decision is kept, and is never worse than the greedy rule's, from which all runs start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, rollout
from offloadopt.kernels import njit
from offloadopt.quantities import Count, Factor
from offloadopt.solvers.base import Found, InstanceSolver
from offloadopt.solvers.task_queues.baselines import TaskQueuesGreedy
from offloadopt.solvers.task_queues.simulation import (
    Course,
    Room,
    change_of,
    course,
    keep_change,
    room,
    total_cost,
)
from offloadopt.solvers.task_queues.tables import Tables, overdrawn, tables
from offloadopt.structures.task_queues import TaskQueueProblem

CHUNK = 20_000
"""Moves between two checks of the deadline."""
REACH = 20
"""Largest distance between two tasks, in their order, that swap devices."""
PLANS = (
    (0.3, 0.2, 0.2),
    (0.6, 0.2, 0.2),
    (0.3, 1.0, 1.0),
    (0.6, 1.0, 0.0),
    (0.45, 0.2, 0.2),
    (0.9, 0.2, 0.2),
)
"""Of each run: its first joule price, in failures per energy of a usual task, and the shares of the cost of drops that
count until, and after, `LATE`. Which is best depends on how scarce energy is."""
LATE = 0.85
"""Share of the horizon."""
TRIAL = 0.1
"""Share of the moves for a run of each plan; the best one is then run with the rest, in `REPEATS` runs."""
REPEATS = 2

Stage = tuple[float, float, bool, float, float]
"""Share of the moves; joule price, 0 where no battery is overdrawn; whether drops have their whole cost; first and last
temperature, in eighths of a failure's cost."""


def stages(joules: float) -> tuple[Stage, ...]:
    """Stages of one run that begins with a joule price."""
    return (
        (0.4, joules, False, 0.6, 0.03),
        (0.15, max(2.0 * joules, 0.6), False, 0.15, 0.03),
        (0.25, 3.0, False, 0.1, 0.02),
        (0.2, 0.0, True, 0.1, 0.02),
    )


class TaskQueuesLocalSearch(InstanceSolver):
    """Simulated annealing over targets and modes in hindsight, without a bound."""

    name = "local-search"
    serves = TaskQueueProblem
    hindsight = True

    moves: Count = Field(20_000, description="tried changes per task")
    time_limit_s: Factor | None = Field(
        60.0, gt=0, description="wall-clock limit for each instance, compilation not counted; none: no limit"
    )

    def searches(self, problem: TaskQueueProblem[Any], instances: Instances, seed: int) -> _Searches:
        """Prepare the searches; ``details`` will hold the number of ``moves`` tried."""
        return _Searches(self, problem, instances, seed)


class _Searches:
    """The searches of one call; instances that were not searched have the greedy rule's decision."""

    def __init__(
        self, solver: TaskQueuesLocalSearch, problem: TaskQueueProblem[Any], instances: Instances, seed: int
    ) -> None:
        self.solver, self.problem, self.instances, self.seed = solver, problem, instances, seed
        self.device, self.mode = greedy_decision(problem, instances, Deadline(solver.time_limit_s, instances.count))
        self.moves = np.zeros(instances.count, dtype=np.int64)

    def search(self, row: int, deadline: Deadline) -> None:
        """Search one instance; its random numbers depend on the seed and its index alone."""
        t = tables(self.problem.hindsight_data(self.instances.take([row])), 0)
        search = Annealing(t, self.device[row], self.mode[row], np.random.default_rng([self.seed, row]))
        self.moves[row] = search.improve(self.solver.moves, deadline)
        self.device[row], self.mode[row] = search.device, search.mode

    def found(self) -> Found:
        """Combine the decisions."""
        decisions = self.problem.choose(self.problem.target(self.instances, self.device), self.mode)
        return Found(decisions, None, {"moves": self.moves})


def greedy_decision(
    problem: TaskQueueProblem[Any], instances: Instances, deadline: Deadline
) -> tuple[IntArray, IntArray]:
    """Return devices and modes ``[count, horizon, agents]`` of the greedy rule.

    In slots that are left when the deadline passes all tasks go to target 0 in the fastest mode.
    """
    rng, everything_0 = np.random.default_rng(0), np.zeros((instances.count, problem.num_agents), dtype=np.int64)

    def decide(observation: Observation) -> Decisions:
        if deadline.passed:
            return problem.choose(everything_0, everything_0)
        return TaskQueuesGreedy().decide(problem, observation, rng)

    decisions = rollout(problem, instances, decide)
    shape = (instances.count, problem.horizon, problem.num_agents)
    return problem.device(instances, decisions["target"].reshape(shape)), np.array(decisions["mode"]).reshape(shape)


class Annealing:
    """Search of one instance.

    Attributes
    ----------
    device, mode : int array [horizon, agents]
        The best decision found.
    cost : float
        Its cost.
    """

    def __init__(self, t: Tables, device: IntArray, mode: IntArray, rng: np.random.Generator) -> None:
        self.t, self.rng, self.space = t, rng, room(t)
        self.device, self.mode, self.cost = device.copy(), mode.copy(), total_cost(course(t, device, mode))
        self.tasks, self.devices, self.number = task_devices(t)

    def improve(self, moves: int, deadline: Deadline) -> int:
        """Run all `PLANS`, then the best one again, with so many moves per task in all; returns the moves made."""
        total, made, found = moves * len(self.tasks), 0, list[float]()
        if total == 0:
            return 0
        first = self.device, self.mode
        shares = [TRIAL] * len(PLANS) + [(1.0 - TRIAL * len(PLANS)) / REPEATS] * REPEATS
        for run, share in enumerate(shares):
            if deadline.passed:
                break
            plan = PLANS[run if run < len(PLANS) else int(np.argmin(found[: len(PLANS)]))]
            part = deadline.part(min(share / sum(shares[run:]), 1.0))
            more, cost = self._run(*first, plan, max(int(share * total), 1), part)
            made += more
            found.append(cost)
        return made

    def _run(
        self, device: IntArray, mode: IntArray, plan: tuple[float, float, float], moves: int, deadline: Deadline
    ) -> tuple[int, float]:
        """Go through the stages of a plan from a decision; returns the number of moves made and the least cost."""
        t, least, made = self.t, np.inf, 0
        least_j = np.min(t.cycles[..., None, None] * (t.power_w / t.speed_hz), axis=(-2, -1))
        usual_j = float(np.median(least_j[t.arrives]))
        if usual_j == 0.0:  # most tasks need no cycles
            usual_j = float(np.max(least_j[t.arrives])) or np.inf
        failure = float(t.failure_cost)
        eighth = failure / 8.0 if failure > 0 else self.cost / len(self.tasks)
        late = np.arange(len(t.begin_s)) >= LATE * len(t.begin_s)
        cheap_drops = np.where(late, plan[2], plan[1]) * t.drop_cost
        for share, joules, whole, hot, cold in stages(plan[0]):
            drops = t.drop_cost if whole else cheap_drops
            relaxed = t if joules == 0.0 else overdrawn(t, joules * failure / usual_j, drops)
            device, mode, more = self._anneal(
                relaxed, device, mode, max(int(share * moves), 1), hot * eighth, cold * eighth, deadline
            )
            least = min(least, self._keep_best(device, mode))
            made += more
        return made, least

    def _anneal(
        self, t: Tables, device: IntArray, mode: IntArray, moves: int, hot: float, cold: float, deadline: Deadline
    ) -> tuple[IntArray, IntArray, int]:
        """Anneal once; returns the best decision in its own cost and the number of moves."""
        made, best = course(t, device, mode), Best(course(t, device, mode))
        left_s = deadline.left_s / 2.0  # so that a later part has its time, too
        for done in range(0, moves, CHUNK):
            gone = 1.0 - deadline.left_s / (2.0 * left_s) if np.isfinite(left_s) and left_s > 0 else 0.0
            progress = max(done / moves, min(2.0 * gone, 1.0))
            if deadline.passed or progress >= 1.0:
                return best.device, best.mode, done
            heat = hot * (cold / hot) ** progress if hot > 0 else 0.0
            anneal(
                t, made, self.space, self.tasks, self.devices, self.number, min(CHUNK, moves - done), heat, self.rng,
                best.device, best.mode, best.change,
            )  # fmt: skip
        return best.device, best.mode, moves

    def _keep_best(self, device: IntArray, mode: IntArray) -> float:
        """Keep a decision if it is the best; returns its cost."""
        cost = total_cost(course(self.t, device, mode))
        if cost < self.cost:
            self.device, self.mode, self.cost = device.copy(), mode.copy(), cost
        return cost


class Best:
    """The best decision of an annealing; ``change`` holds the change of cost since its begin, and the least one."""

    def __init__(self, made: Course) -> None:
        self.device, self.mode, self.change = made.device, made.mode, np.zeros(2)


def task_devices(t: Tables) -> tuple[IntArray, IntArray, IntArray]:
    """Return slot and agent of each task ``[tasks, 2]``, devices it may be given ``[tasks, devices]``, their number.

    These are the own device, the linked ones, and one that is not linked, if there is any: the task is dropped.
    """
    tasks, devices = np.argwhere(t.arrives), len(t.link_w)
    allowed, number = np.zeros((len(tasks), devices), dtype=np.int64), np.zeros(len(tasks), dtype=np.int64)
    for n, (slot, agent) in enumerate(tasks):
        linked = np.flatnonzero(t.linked[slot, agent])
        others = np.setdiff1d(np.arange(devices), [*linked, agent])
        found = [agent, *linked, *others[:1]]
        allowed[n, : len(found)], number[n] = found, len(found)
    return tasks, allowed, number


@njit(cache=True)
def anneal(
    t: Tables, c: Course, w: Room, tasks: IntArray, devices: IntArray, number: IntArray, moves: int, heat: float,
    rng: np.random.Generator, best_device: IntArray, best_mode: IntArray, change: FloatArray,
) -> None:  # fmt: skip
    """Try random moves at one temperature, see `Best` for the last three parameters."""
    old = np.zeros((2, 4), dtype=np.int64)
    for _ in range(moves):
        changed = _propose(t, c, tasks, devices, number, rng, old)
        if changed == 0:
            continue
        first, last = min(old[0, 0], old[changed - 1, 0]), max(old[0, 0], old[changed - 1, 0])
        more = change_of(t, c, w, first, last)
        if more <= 0.0 or (heat > 0.0 and rng.random() < np.exp(-more / heat)):
            keep_change(t, c, w, first, last)
            change[0] += more
            if change[0] < change[1] - 1e-12:
                change[1] = change[0]
                best_device[:] = c.device
                best_mode[:] = c.mode
        else:
            for n in range(changed):
                c.device[old[n, 0], old[n, 1]], c.mode[old[n, 0], old[n, 1]] = old[n, 2], old[n, 3]


@njit(cache=True)
def _propose(
    t: Tables, c: Course, tasks: IntArray, devices: IntArray, number: IntArray, rng: np.random.Generator, old: IntArray
) -> int:  # fmt: skip
    """Change one or two tasks at random; ``old`` holds their slots, agents, devices and modes. Returns how many."""
    modes, n, draw = t.speed_hz.shape[1], int(rng.integers(0, len(tasks))), rng.random()
    slot, a = tasks[n]
    d, k = c.device[slot, a], c.mode[slot, a]
    old[0, 0], old[0, 1], old[0, 2], old[0, 3] = slot, a, d, k
    if draw < 0.3:  # the next mode
        other = k + (1 if rng.random() < 0.5 else -1)
        if not 0 <= other < modes:
            return 0
        c.mode[slot, a] = other
        return 1
    if draw < 0.7:  # any option
        c.device[slot, a], c.mode[slot, a] = devices[n, rng.integers(0, number[n])], rng.integers(0, modes)
        return 1 if c.device[slot, a] != d or c.mode[slot, a] != k else 0
    m = int(n + rng.integers(-REACH, REACH + 1))  # the devices of two tasks
    if m == n or m < 0 or m >= len(tasks):
        return 0
    other_slot, b = int(tasks[m, 0]), int(tasks[m, 1])
    e, f = c.device[other_slot, b], c.mode[other_slot, b]
    if e == d or not (_among(devices, number, n, e) and _among(devices, number, m, d)):
        return 0
    old[1, 0], old[1, 1], old[1, 2], old[1, 3] = other_slot, b, e, f
    c.device[slot, a], c.device[other_slot, b] = e, d
    if rng.random() < 0.5:
        c.mode[slot, a], c.mode[other_slot, b] = f, k
    return 2


@njit(cache=True)
def _among(devices: IntArray, number: IntArray, n: int, d: int) -> bool:
    """Whether a task may be given a device."""
    found = False
    for place in range(number[n]):
        found |= devices[n, place] == d
    return found
