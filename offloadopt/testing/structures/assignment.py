"""The clauses of `AssignmentProblem`."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ROUNDING, Batch, Decisions, Instances, State
from offloadopt.structures.assignment import AssignmentProblem
from offloadopt.testing.clauses import COUNT, Rollout, check_fields, close, must, must_match

TRIALS = 200
"""Perturbations tried on each instance of an allocation that claims to be optimal."""


def check_assignment(problem: AssignmentProblem[Any], rollout: Rollout, seed: int) -> None:
    """Check costs, allocations and views of `AssignmentProblem` on the first slot."""
    rng, instances = np.random.default_rng(seed), rollout.instances
    tasks, servers = problem.tasks, problem.servers
    state = problem.reset(instances)
    observation = problem.observe(instances, state)
    costs = problem.costs(observation)
    assignments = rng.integers(0, servers + 1, (COUNT, 6, tasks))
    assignments[:, 0], assignments[:, 1] = 0, 1  # all local, and all on one server
    predicted = costs.cost(assignments)
    if problem.horizon == 1:
        from_instances = problem.costs(instances).cost(assignments)
        must(np.array_equal(predicted, from_instances), "instances do not cost what their observation costs")
    must(predicted.shape == (COUNT, 6), "costs(...).cost does not follow the axes of its assignments")
    rows = np.array([2, 0])
    must(costs.take(slice(0)).cost(assignments[:0]).shape == (0, 6), "costs(...).cost of no instances is not empty")
    must_match(
        Batch({"cost": costs.take(rows).cost(assignments[rows])}),
        Batch({"cost": predicted[rows]}),
        "costs(...).take(rows) are not the costs of these rows",
    )
    for column in range(assignments.shape[1]):
        assignment = assignments[:, column]
        decision = problem.allocate(observation, assignment)
        check_fields("allocate", decision, problem.decision_fields, COUNT)
        must(np.array_equal(problem.assignment(decision), assignment), "assignment(allocate(a)) is not a")
        outcome = problem.step(instances, state, decision)[1]
        exists = np.isfinite(predicted[:, column])
        must(bool(outcome.feasible[exists].all()), "allocate gives an infeasible decision at a finite cost")
        charged = np.where(outcome.feasible, outcome.cost, np.inf)
        if not problem.ties_decisions:
            _check_optimal(problem, instances, state, decision, rng)
        must(close(predicted[:, column], charged, ROUNDING), "costs(a) differ from what allocate(a) is charged")

    view, affinity = problem.server_view(observation), problem.affinity(observation)
    nearest = problem.nearest(observation)
    demand, capacity = problem.demand(observation)
    must(view.ndim == 3 and view.shape[:2] == (COUNT, servers), "server_view is not [count, servers, features]")
    must(bool(np.isfinite(view).all()), "server_view holds NaN or infinite values")
    must(affinity.shape == (COUNT, tasks, servers), "affinity is not [count, tasks, servers]")
    must(bool(((affinity >= 0) & (affinity <= 1)).all()), "affinity leaves [0, 1]")
    must(nearest.shape == (COUNT, tasks) and nearest.dtype.kind == "i", "nearest is not an integer [count, tasks]")
    must(bool(((nearest >= 1) & (nearest <= servers)).all()), f"nearest leaves 1 to {servers}")
    must(demand.shape == (COUNT, tasks) and capacity.shape == (servers,), "demand is not ([count, tasks], [servers])")
    must(bool((demand >= 0).all() and (capacity > 0).all()), "a demand is negative, or a capacity not positive")


def _check_optimal(
    problem: AssignmentProblem[Any], instances: Instances, state: State, decision: Decisions, rng: np.random.Generator
) -> None:
    """Check that no feasible perturbation of a continuous decision, nor exchange between two entries, costs less."""
    rows = np.repeat(np.arange(COUNT), TRIALS)
    every = np.arange(rows.size)
    repeated, stood, best = instances.take(rows), decision.take(rows), problem.step(instances, state, decision)[1]
    least = best.cost[rows] - ROUNDING * np.abs(best.cost[rows])  # costs may be negative
    for name, spec in problem.decision_fields.items():
        if spec.integer:
            continue
        entries = np.array(stood[name]).reshape(rows.size, -1)
        here, there = rng.integers(0, entries.shape[1], (2, rows.size))
        change = entries[every, here] * rng.choice([-1.0, 1.0], rows.size) * 10.0 ** rng.uniform(-4, -0.3, rows.size)
        entries[every, here] += change
        entries[every, there] -= change * rng.integers(
            0, 2, rows.size
        )  # half of the changes are exchanges between two entries
        tried = Decisions({**stood, name: np.clip(entries, spec.low, spec.high).reshape(stood[name].shape)})
        outcome = problem.step(repeated, State(state.slot, state.values.take(rows)), tried)[1]
        same = (problem.assignment(tried) == problem.assignment(stood)).all(axis=-1)
        better = outcome.feasible & same & (outcome.cost < least)
        must(not better.any(), f"allocate is not optimal: another {name} for the same assignment costs less")
