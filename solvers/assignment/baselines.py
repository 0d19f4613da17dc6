"""Baselines without search: all tasks local, or all at their nearest server.

Greedy is that of Jiang et al. (arXiv:2005.12364, section VI-C), as is `offloadopt.solvers.random.Random`: a server
admits tasks while its "computational resource" suffices, the others compute locally. The paper's CPU shares are
divisible, so that a task has no fixed demand; the problem defines one by `AssignmentProblem.demand`. Both rules then
share each server's CPU optimally among the admitted tasks, and tasks whose chosen link is missing compute locally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.solvers.assignment.base import AssignmentSolver, without_missing_links
from offloadopt.structures.assignment import AssignmentProblem


def admit(assignment: IntArray, demand: FloatArray, capacity: FloatArray) -> IntArray:
    """Apply admission control: an overloaded server rejects its largest tasks until the others fit.

    Rejected tasks compute locally. Of tasks with equal demand the one with the highest index is rejected first.

    Parameters
    ----------
    assignment : array [count, tasks]
        0 is local, ``j`` is server ``j``.
    demand : array [count, tasks]
        Positive, in the unit of ``capacity``.
    capacity : array [servers]

    Returns
    -------
    array [count, tasks]
    """
    # Rejecting the largest until the rest fits admits the longest prefix of the tasks in ascending demand that fits.
    order = np.argsort(demand, axis=-1, kind="stable")
    requested, ascending = np.take_along_axis(assignment, order, axis=-1), np.take_along_axis(demand, order, axis=-1)
    admitted = np.zeros_like(requested)
    for server, limit in enumerate(capacity, start=1):
        on_server = requested == server
        admitted[on_server & (np.cumsum(ascending * on_server, axis=-1) <= limit)] = server
    result = np.empty_like(admitted)
    np.put_along_axis(result, order, admitted, axis=-1)
    return result


class Local(AssignmentSolver):
    """Every task computes locally."""

    name = "local"

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Choose option 0 for all tasks."""
        return np.zeros((observation.count, problem.tasks), dtype=np.int64), None


class Greedy(AssignmentSolver):
    """Every task requests its nearest server; an overloaded server rejects its largest tasks, which compute locally."""

    name = "greedy"

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Choose the nearest servers, then apply admission control."""
        requested = without_missing_links(problem, observation, problem.nearest(observation))
        return admit(requested, *problem.demand(observation)), None
