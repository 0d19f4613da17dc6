"""The decision rules that need no search: all local, nearest server, random server.

Greedy and Random are those of Jiang et al. (arXiv:2005.12364, section VI-C): a server takes tasks while its
"computational resource" suffices, the rest is computed locally. The paper's CPU shares are divisible, so a task has no
fixed need; what counts as one is the problem's `demand`. Both rules then share each server optimally among the tasks
that it admitted, and compute locally where the chosen link does not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.solvers.assignment.base import AssignmentSolver, without_dead_links
from offloadopt.structures.assignment import AssignmentProblem


def admit(assignment: IntArray, demand: FloatArray, capacity: FloatArray) -> IntArray:
    """The assignment after every overfull server has sent its largest tasks back until the others fit.

    Of equal tasks the one that stands last goes first.

    Parameters
    ----------
    assignment : array [count, tasks]
        0 is local, ``j`` is server ``j``.
    demand : array [count, tasks]
        Positive, in the unit of ``capacity``.
    capacity : array [servers]
    """
    # Sending the largest back until the rest fits keeps the longest run of smallest tasks that fits.
    order = np.argsort(demand, axis=-1, kind="stable")
    wanted, needed = np.take_along_axis(assignment, order, axis=-1), np.take_along_axis(demand, order, axis=-1)
    admitted = np.zeros_like(wanted)
    for server, most in enumerate(capacity, start=1):
        here = wanted == server
        admitted[here & (np.cumsum(needed * here, axis=-1) <= most)] = server
    result = np.empty_like(admitted)
    np.put_along_axis(result, order, admitted, axis=-1)
    return result


class Local(AssignmentSolver):
    """Every task computes locally."""

    name = "local"

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Option 0 for all."""
        return np.zeros((observation.count, problem.tasks), dtype=np.int64), None


class Greedy(AssignmentSolver):
    """Every task goes to its nearest server; where they do not fit, the largest ones compute locally."""

    name = "greedy"

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """The nearest server, then admission."""
        wanted = without_dead_links(problem, observation, problem.nearest(observation))
        return admit(wanted, *problem.demand(observation)), None
