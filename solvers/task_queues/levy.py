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
from offloadopt.quantities import Factor
from offloadopt.solvers.levy import Coordinates, GainMutation, HorizonLevy, best_of, flight, levy_crossover
from offloadopt.solvers.task_queues.baselines import cheapest
from offloadopt.solvers.task_queues.lyapunov import TaskQueuesLyapunov, drift_plus_penalty
from offloadopt.structures.task_queues import TaskQueueProblem

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
        quality = link_quality(problem, instances)
        stability, threshold = self.stability(quality), self.threshold_for(shape[-1])
        target, first_mode = (
            np.repeat(first.reshape(shape[0], 1, shape[2]), self.population, axis=1)
            for first in best_rule(problem, instances)
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

        costs = _EvaluatedCosts(problem, instances)
        cost = self.select_greedily(costs.cost, (target, mode), propose, deadline)
        return costs.decisions(best_of(target, cost), best_of(mode, cost))


def link_quality(problem: TaskQueueProblem[Any], instances: Instances) -> FloatArray:
    """Normalised rates ``[count, horizon x agents, targets]``: 0 for the own device and where a task would be lost."""
    data = problem.hindsight_data(instances)
    with np.errstate(divide="ignore"):
        rate = np.where(data.linked & data.received[..., 0], 1.0 / data.send_s[..., 0], 0.0)
    rate = np.take_along_axis(rate, np.broadcast_to(devices_of_targets(problem, instances), rate.shape), axis=-1)
    best = rate.max(axis=-1, keepdims=True)
    quality = np.divide(rate, best, out=np.zeros_like(rate), where=best > 0)
    return np.asarray(quality.reshape(instances.count, problem.horizon * data.num_agents, problem.devices))


def devices_of_targets(problem: TaskQueueProblem[Any], instances: Instances) -> IntArray:
    """Device numbers ``[count, 1, agents, targets]`` of each agent's targets."""
    shape = (instances.count, problem.devices, problem.num_agents)
    targets = np.broadcast_to(np.arange(problem.devices)[:, None], shape)
    return np.moveaxis(problem.device(instances, targets), 1, -1)[:, None]


def best_rule(problem: TaskQueueProblem[Any], instances: Instances) -> tuple[IntArray, IntArray]:
    """Targets and modes ``[count, horizon, agents]`` of the cheapest of `greedy` and drift plus penalty at some V."""
    rule = TaskQueuesLyapunov()
    values = rule.reference_v(problem, rule.tuning_sample(problem)) * START_FACTORS
    copies, v = instances.take(np.tile(np.arange(instances.count), len(values))), np.repeat(values, instances.count)
    chosen = list[tuple[IntArray, IntArray]]()

    def decide(observation: Observation) -> Decisions:
        chosen.append(cheapest(drift_plus_penalty(problem, observation, v)))
        return problem.choose(*chosen[-1])

    cost = problem.evaluate(copies, rollout(problem, copies, decide)).cost.reshape(len(values), -1)
    target, mode = (
        np.stack(each, axis=1).reshape(len(values), instances.count, problem.horizon, problem.num_agents)
        for each in zip(*chosen, strict=True)
    )
    return best_of(np.swapaxes(target, 0, 1), cost.T), best_of(np.swapaxes(mode, 0, 1), cost.T)


class _EvaluatedCosts:
    """Costs of populations as the problem evaluates them."""

    def __init__(self, problem: TaskQueueProblem[Any], instances: Instances) -> None:
        self.problem, self.instances = problem, instances

    def decisions(self, target: IntArray, mode: FloatArray) -> Decisions:
        """Decisions of coordinates ``[some, horizon x agents]``."""
        problem = self.problem
        shape = (len(target), problem.horizon, problem.num_agents)
        modes = np.minimum(mode.astype(np.int64), problem.modes - 1)
        return problem.choose(target.reshape(shape), modes.reshape(shape))

    def cost(self, target: IntArray, mode: FloatArray) -> FloatArray:
        """Cost ``[count, population]`` of coordinates ``[count, population, horizon x agents]``."""
        count, members, places = target.shape
        copies = self.instances.take(np.repeat(np.arange(count), members))
        decisions = self.decisions(target.reshape(-1, places), mode.reshape(-1, places))
        return self.problem.evaluate(copies, decisions).cost.reshape(count, members)
