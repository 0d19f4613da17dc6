"""The optimum of `multi_server` by enumeration and the problem's own evaluation."""

from __future__ import annotations

import itertools

import numpy as np

from offloadopt.core import Instances
from offloadopt.structures.assignment import AssignmentProblem


def best_by_enumeration(problem: AssignmentProblem, instance: Instances) -> float:
    """The least cost of all assignments, each allocated and evaluated by the problem."""
    assignments = np.array(list(itertools.product(range(problem.servers + 1), repeat=problem.tasks)))
    copies = instance.take(np.zeros(len(assignments), dtype=int))
    return float(problem.evaluate(copies, problem.allocate(copies, assignments)).cost.min())
