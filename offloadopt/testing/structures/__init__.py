"""Conformance checks of the structures, one module each; a problem is checked against every structure it claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offloadopt.core import Problem
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.assignment import AssignmentProblem, PricedAssignmentProblem, SlotwiseProblem
from offloadopt.structures.backlog import BacklogProblem
from offloadopt.structures.inference import InferenceProblem
from offloadopt.structures.shared_servers import SharedServersProblem
from offloadopt.structures.task_queues import TaskQueueProblem
from offloadopt.testing.clauses import Rollout
from offloadopt.testing.structures.agents import check_agents
from offloadopt.testing.structures.assignment import check_assignment
from offloadopt.testing.structures.backlog import check_backlog
from offloadopt.testing.structures.inference import check_inference
from offloadopt.testing.structures.priced_assignment import check_priced_assignment
from offloadopt.testing.structures.shared_servers import check_shared_servers
from offloadopt.testing.structures.slotwise import check_slotwise
from offloadopt.testing.structures.task_queues import check_task_queues

CHECKS: tuple[tuple[type[Any], Callable[[Any, Rollout, int], None]], ...] = (
    (AssignmentProblem, check_assignment),
    (PricedAssignmentProblem, check_priced_assignment),
    (SlotwiseProblem, check_slotwise),
    (SharedServersProblem, check_shared_servers),
    (AgentProblem, check_agents),
    (BacklogProblem, check_backlog),
    (TaskQueueProblem, check_task_queues),
    (InferenceProblem, check_inference),
)
"""Each structure with its check, the more general structures first."""


def check_structures(problem: Problem[Any], rollout: Rollout, seed: int) -> None:
    """Check a problem against all structures of which it is an instance.

    Parameters
    ----------
    problem : Problem
    rollout : Rollout
        Instances of the problem and the slots of random decisions.
    seed : int
        Seed of further random draws.

    Raises
    ------
    ConformanceError
        Naming the first clause that does not hold.
    """
    for structure, check in CHECKS:
        if isinstance(problem, structure):
            check(problem, rollout, seed)
