"""Optima by enumeration of decisions and the problem's own evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt.core import Decisions, Instances, Problem
from offloadopt.structures.assignment import AssignmentProblem


def best_by_enumeration(problem: AssignmentProblem, instance: Instances) -> float:
    """The least cost of all assignments, each allocated and evaluated by the problem."""
    assignments = np.array(list(itertools.product(range(problem.servers + 1), repeat=problem.tasks)))
    copies = instance.take(np.zeros(len(assignments), dtype=int))
    return float(problem.evaluate(copies, problem.allocate(copies, assignments)).cost.min())


def best_of_all_decisions(problem: Problem[Any], instance: Instances, values: Mapping[str, Sequence[float]]) -> float:
    """The least cost of all decisions whose entries, also over slots, take the given values."""
    slots = (problem.horizon,) if problem.horizon > 1 else ()
    shapes = {name: (*slots, *problem.decision_fields[name].shape) for name in values}
    every = [itertools.product(values[name], repeat=int(np.prod(shape))) for name, shape in shapes.items()]
    table = list(itertools.product(*every))
    decisions = {
        name: np.array([row[column] for row in table]).reshape(len(table), *shapes[name])
        for column, name in enumerate(shapes)
    }
    copies = instance.take(np.zeros(len(table), dtype=int))
    return float(problem.evaluate(copies, Decisions(decisions)).cost.min())
