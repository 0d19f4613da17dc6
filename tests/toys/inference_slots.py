"""Single slots of small `twin_inference` problems, and costs of their options by the problem itself."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import numpy as np

import offloadopt
from offloadopt.core import FloatArray, Instances
from offloadopt.physics.edge_inference import InferenceTasks
from offloadopt.problems.twin_inference import TwinInference
from offloadopt.solvers.inference.resource_allocation import SlotTasks, allocate, slot_tasks


def small_inference(**changes: Any) -> TwinInference:
    problem = offloadopt.problem("twin_inference", changes.pop("preset", "paper"), **changes)
    assert isinstance(problem, TwinInference)
    return problem


def slot_of(problem: TwinInference, instances: Instances, row: int, drain_price: float = 0.0) -> SlotTasks:
    work = problem.all_tasks(instances)
    tasks = InferenceTasks(**{f.name: getattr(work, f.name)[row, 0] for f in fields(work)})
    return slot_tasks(tasks, problem.cost_weights, np.full(problem.num_agents, drain_price), 0.0)


def shares_of(slot: SlotTasks, option: Any) -> FloatArray:
    arguments = (slot.first_task, slot.local, slot.remote, slot.second_price, slot.limit_s, slot.failure)
    return np.asarray(allocate(np.asarray(option), *arguments))


def cost_of_options(
    problem: TwinInference, instances: Instances, slots: list[SlotTasks], options: list[Any]
) -> FloatArray:
    """[count] the problem's cost of options with optimal shares."""
    shape = (instances.count, 1, problem.num_agents, problem.places)
    server, shares = np.zeros(shape, dtype=np.int64), np.zeros((2, *shape))
    for row, (slot, option) in enumerate(zip(slots, options, strict=True)):
        server[row, 0, slot.user, slot.place] = np.maximum(option, 0)
        shares[:, row, 0, slot.user, slot.place] = np.minimum(shares_of(slot, option).T, 1.0)
    return problem.evaluate(instances, problem.choose(server, shares[0], shares[1])).cost


def least_of_all(problem: TwinInference, instances: Instances, row: int) -> float:
    """The cheapest of all options, failures included."""
    slot = slot_of(problem, instances, row)
    every = np.array(list(itertools.product(range(-1, problem.servers + 1), repeat=slot.tasks)), dtype=np.int64)
    many = instances.take(np.full(len(every), row))
    return float(cost_of_options(problem, many, [slot] * len(every), list(every)).min())
