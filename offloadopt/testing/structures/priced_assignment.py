"""The clauses of `PricedAssignmentProblem`."""

from __future__ import annotations

from typing import Any

from offloadopt.structures.assignment import PricedAssignmentProblem
from offloadopt.testing.clauses import COUNT, Rollout, must, must_have_shape


def check_priced_assignment(problem: PricedAssignmentProblem[Any], rollout: Rollout, seed: int) -> None:
    """Check shapes and signs of the `PricedAssignment`; that it gives the costs is checked for all assignments."""
    tasks, servers = problem.tasks, problem.servers
    priced = problem.costs(rollout.slots[0].observation)
    cost = priced.option_cost
    must(cost.shape == (COUNT, tasks, servers + 1), "option_cost is not [count, tasks, servers + 1]")
    must(not (cost == -float("inf")).any() and not (cost != cost).any(), "option_cost holds NaN or -inf")
    must_have_shape("load", priced.load, (COUNT, tasks))
    must(bool((priced.load > 0).all()), "load is not positive")
    must_have_shape("capacity", priced.capacity, (COUNT, servers))
    must(bool((priced.capacity > 0).all()), "capacity is not positive")
