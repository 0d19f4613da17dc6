"""Lévy flight search over targets and modes of a whole horizon, with all of nature's draws known.

The mutation, the flight, the crossover and the selection are those of `offloadopt.solvers.levy` (Jiang et al.,
arXiv:2005.12364). A task's target is an option of the h mutation (25): the gain of a link is its rate with a single
sender, relative to the task's best link, and 0 where the transmission would be lost. Its mode is, as the CPU frequency
in (24), a continuous coordinate that moves by the flight (23): mode ``m`` is the interval from ``m`` to ``m + 1``. The
crossover (27) takes or leaves both together, and the whole horizon's cost selects (28), as queues and batteries couple
all tasks. All members start at the cheapest of the rules `greedy` and `lyapunov` at five values of V.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Observation, rollout
from offloadopt.kernels import njit
from offloadopt.quantities import Factor
from offloadopt.solvers.levy import Coordinates, GainMutation, HorizonLevy, best_of, flight, levy_crossover
from offloadopt.solvers.task_queues.baselines import cheapest
from offloadopt.solvers.task_queues.lyapunov import TaskQueuesLyapunov, drift_plus_penalty
from offloadopt.solvers.task_queues.simulation import (
    Course,
    Room,
    change_of,
    course,
    keep_change,
    room,
    total_cost,
)
from offloadopt.solvers.task_queues.tables import Tables, tables
from offloadopt.structures.task_queues import HindsightData, TaskQueueProblem

START_FACTORS = np.append(np.geomspace(0.03, 3.0, 5), np.inf)
"""Values of V at which drift plus penalty gives starts, relative to the reference; infinite: `greedy`."""


class TaskQueuesLevy(HorizonLevy, GainMutation):
    """Take the best of several Lévy flight searches over the targets and modes of all tasks."""

    serves = TaskQueueProblem

    step_scale: Factor = Field(0.1, gt=0, description="alpha_s, scale of the flight's steps in modes")

    def search(
        self, problem: TaskQueueProblem[Any], instances: Instances, rng: np.random.Generator, deadline: Deadline
    ) -> Decisions:
        """Search all instances at the same time: decisions of the best members."""
        shape = (instances.count, self.population, problem.horizon * problem.num_agents)
        data = problem.hindsight_data(instances)
        quality = link_quality(problem, instances, data)
        stability, threshold = self.stability(quality), self.threshold_for(shape[-1])
        target, first_mode = (
            np.repeat(first.reshape(shape[0], 1, shape[2]), self.population, axis=1)
            for first in best_rule(problem, instances, deadline)
        )
        mode = first_mode + np.float64(0.5)

        def propose(weight: float) -> Coordinates:
            normal, uniform = rng.spawn(2)
            mutating, moving, crossing = self.steps(normal, shape, 3)
            mutants = (
                (target, self.mutated(target, quality, stability, mutating, uniform, weight)),
                (mode, flight(mode, moving, self.step_scale, 0.0, problem.modes)),
            )
            return tuple(levy_crossover(present, mutant, crossing, weight, threshold) for present, mutant in mutants)

        costs = SimulatedCosts(problem, instances, data)
        cost = self.select_greedily(costs.cost, (target, mode), propose, deadline)
        places = (instances.count, problem.horizon, problem.num_agents)
        best_mode = costs.modes(best_of(mode, cost))
        return problem.choose(best_of(target, cost).reshape(places), best_mode.reshape(places))


def link_quality(problem: TaskQueueProblem[Any], instances: Instances, data: HindsightData) -> FloatArray:
    """Normalised rates ``[count, horizon x agents, targets]``: 0 for the own device and where a task would be lost."""
    send_s = np.maximum(data.send_s[..., 0], np.finfo(float).tiny)  # a task without data takes no time
    rate = np.where(data.linked & data.received[..., 0], 1.0 / send_s, 0.0)
    rate = np.take_along_axis(rate, np.broadcast_to(devices_of_targets(problem, instances), rate.shape), axis=-1)
    best = rate.max(axis=-1, keepdims=True)
    quality = np.divide(rate, best, out=np.zeros_like(rate), where=best > 0)
    return np.asarray(quality.reshape(instances.count, problem.horizon * data.num_agents, problem.devices))


def devices_of_targets(problem: TaskQueueProblem[Any], instances: Instances) -> IntArray:
    """Device numbers ``[count, 1, agents, targets]`` of each agent's targets."""
    shape = (instances.count, problem.devices, problem.num_agents)
    targets = np.broadcast_to(np.arange(problem.devices)[:, None], shape)
    return np.moveaxis(problem.device(instances, targets), 1, -1)[:, None]


def best_rule(problem: TaskQueueProblem[Any], instances: Instances, deadline: Deadline) -> tuple[IntArray, IntArray]:
    """Targets and modes ``[count, horizon, agents]`` of the cheapest of `greedy` and drift plus penalty at some V.

    In slots that are left when the deadline passes all tasks go to target 0 in the fastest mode.
    """
    rule = TaskQueuesLyapunov()
    values = rule.reference_v(problem, rule.tuning_sample(problem)) * START_FACTORS
    copies, v = instances.take(np.tile(np.arange(instances.count), len(values))), np.repeat(values, instances.count)
    chosen = list[tuple[IntArray, IntArray]]()

    def decide(observation: Observation) -> Decisions:
        shape = (observation.count, problem.num_agents)
        everything_0 = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        chosen.append(everything_0 if deadline.passed else cheapest(drift_plus_penalty(problem, observation, v)))
        return problem.choose(*chosen[-1])

    cost = problem.evaluate(copies, rollout(problem, copies, decide)).cost.reshape(len(values), -1)
    target, mode = (
        np.stack(each, axis=1).reshape(len(values), instances.count, problem.horizon, problem.num_agents)
        for each in zip(*chosen, strict=True)
    )
    return best_of(np.swapaxes(target, 0, 1), cost.T), best_of(np.swapaxes(mode, 0, 1), cost.T)


class SimulatedCosts:
    """Costs of populations by the simulation of changes: each member keeps what it is at, and tries its candidates.

    Parameters
    ----------
    problem : TaskQueueProblem
    instances : Instances
    data : HindsightData
        Of the instances.
    """

    def __init__(self, problem: TaskQueueProblem[Any], instances: Instances, data: HindsightData) -> None:
        self._problem, self._devices = problem, devices_of_targets(problem, instances)
        self._tables = [tables(data, row) for row in range(instances.count)]
        self._rooms = [room(each) for each in self._tables]
        self._courses: list[list[Course]] = []
        self._costs: FloatArray = np.zeros((instances.count, 0))

    def modes(self, mode: FloatArray) -> IntArray:
        """Modes of coordinates."""
        return np.minimum(mode.astype(np.int64), self._problem.modes - 1)

    def cost(self, target: IntArray, mode: FloatArray) -> FloatArray:
        """Cost ``[count, population]`` of coordinates ``[count, population, horizon x agents]``.

        The first call begins at the coordinates, later ones try them: what costs no more than before is kept (28).
        """
        count, members = target.shape[:2]
        shape = (count, members, self._problem.horizon, self._problem.num_agents)
        device = np.take_along_axis(self._devices[:, None], target.reshape(shape)[..., None], axis=-1)[..., 0]
        modes = self.modes(mode).reshape(shape)
        if not self._courses:
            self._courses = [
                [course(t, device[row, member], modes[row, member]) for member in range(members)]
                for row, t in enumerate(self._tables)
            ]
            self._costs = np.array([[total_cost(each) for each in row] for row in self._courses]).reshape(
                count, members
            )
            return self._costs.copy()
        found = self._costs.copy()
        for row, member in np.ndindex(count, members):
            t, w, made = self._tables[row], self._rooms[row], self._courses[row][member]
            found[row, member] = _try(
                t, made, w, device[row, member], modes[row, member], float(self._costs[row, member])
            )
        np.minimum(self._costs, found, out=self._costs)
        return found


@njit(cache=True)
def _try(t: Tables, made: Course, w: Room, device: IntArray, mode: IntArray, cost: float) -> float:
    """Cost of other devices and modes ``[horizon, agents]``, which are kept if it is not above ``cost``."""
    horizon, agents = t.arrives.shape
    first, last = horizon, -1
    for slot in range(horizon):
        for a in range(agents):
            if t.arrives[slot, a] and (made.device[slot, a] != device[slot, a] or made.mode[slot, a] != mode[slot, a]):
                made.device[slot, a], made.mode[slot, a] = device[slot, a], mode[slot, a]
                first, last = min(first, slot), slot
    if last < 0:
        return cost
    found = cost + change_of(t, made, w, first, last)
    if found <= cost:
        keep_change(t, made, w, first, last)
    else:
        for slot in range(first, last + 1):
            for a in range(agents):
                made.device[slot, a], made.mode[slot, a] = made.was_device[slot, a], made.was_mode[slot, a]
    return found
