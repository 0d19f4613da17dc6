"""The pieces of work behind the tables and figures; each is a function of JSON values that returns JSON values.

Methods that are compared decide the same instances: these are drawn from the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt import registry
from offloadopt.core import Instances, Solutions, Status
from offloadopt.problems.twin_inference import TwinInference, TwinInferenceScenario
from offloadopt.reproduce import training
from offloadopt.reproduce.training import Json

BOUND = "bound"
"""What the proved lower bound is called in every table: all of nature known beforehand."""


def make_problem(scenario: Mapping[str, Any]) -> TwinInference:
    """The problem of a scenario's JSON."""
    return TwinInference(TwinInferenceScenario(**scenario))


def averages(problem: TwinInference, instances: Instances, solutions: Solutions) -> Json:
    """Means over instances: ``cost`` of an episode, and what a task comes to.

    ``delay_s`` is of all tasks, of which failed ones wait until their limit. These spend nothing, so that ``energy_j``
    is of the finished ones: over all tasks, failing would count as saving. What has no denominator is left out.
    """
    outcome = problem.evaluate(instances, solutions.decisions)
    total = {name: float(values.sum()) for name, values in outcome.metrics.items()}
    ratios = {
        "cost_per_task": (float(outcome.cost.sum()), total["tasks"]),
        "delay_s": (total["time_s"], total["tasks"]),
        "energy_j": (total["energy_j"], total["tasks"] - total["failures"]),
        "failed": (total["failures"], total["tasks"]),
        "offloaded": (total["offloaded"], total["tasks"]),
    }
    found = {"cost": float(outcome.cost.mean())}
    return found | {name: part / whole for name, (part, whole) in ratios.items() if whole > 0}


def apply_solvers(scenario: Mapping[str, Any], solvers: Mapping[str, Json], count: int, seed: int) -> Json:
    """What some solvers achieve on average, by what they are called; ``solvers`` gives name and options of each.

    With one that proves bounds among them, these stand in a row of their own, and ``proved`` is the share of instances
    that it solved to the end.
    """
    problem = make_problem(scenario)
    instances = problem.sample(count, seed)
    tasks = float(instances["present"].sum())
    found: Json = {}
    for label, chosen in solvers.items():
        solutions = registry.solver(chosen["name"], problem, **chosen["options"]).run(problem, instances, seed=seed)
        found[label] = averages(problem, instances, solutions)
        if np.isfinite(solutions.bound).all():
            found[label]["proved"] = float(np.mean(solutions.status == Status.OPTIMAL))
            found[BOUND] = {"cost": float(solutions.bound.mean())}
            if tasks > 0:
                found[BOUND]["cost_per_task"] = float(solutions.bound.sum()) / tasks
    return found


# --------------------------------------------------------------------------------------------------------- training


def train(
    scenario: Mapping[str, Any],
    learner: Mapping[str, Any],
    steps: int,
    seed: int,
    test: Mapping[str, Any],
    demonstrations: Mapping[str, Any] | None = None,
) -> Json:
    """Train a policy, follow it while it learns, and test it in the same scenario.

    Parameters
    ----------
    learner : mapping
        ``name`` and ``settings``.
    test : mapping
        ``count`` and ``seed`` of held-out instances.
    demonstrations : mapping, optional
        ``solver``, ``options``, ``count``, ``seed`` by which an expert's are made.
    """
    problem = make_problem(scenario)
    trained = training.train(problem, learner, demonstrations, steps, seed)
    instances = problem.sample(test["count"], test["seed"])
    solutions = trained.policy.run(problem, instances, seed=test["seed"])
    return {
        "spent": trained.spent,
        "curve": training.thinned(learning_curve(trained.curve)),
        "test": averages(problem, instances, solutions),
    }


def learning_curve(curve: Sequence[Json]) -> list[Json]:
    """The cost of an episode while learning, the critics' loss where they have learned, and all bytes so far.

    Where a centre collects the experience, agents tell each other nothing. A loss that has grown beyond all numbers is
    left out.
    """
    found = []
    for point in curve:
        if "cost" not in point:
            continue
        row = {"step": point["step"], "cost": point["cost"]}
        if math.isfinite(point.get("loss/critic", math.nan)):
            row["loss"] = point["loss/critic"]
        for way in ("sent", "delivered"):
            exchanged = point.get(f"bytes/{way}", 0.0) + point.get(f"bytes/weights_{way}", 0.0)
            row[way] = point.get("bytes/collected") or exchanged
        found.append(row)
    return found


# ------------------------------------------------------------------------------------------------------------- twins


def imperfect_twin(
    scenario: Mapping[str, Any],
    kinds: Mapping[str, Sequence[str]],
    deviations: Sequence[float],
    options: Mapping[str, Any],
    count: int,
    seed: int,
) -> Json:
    """What it costs to plan on a twin and to pay in reality, relative to the optimum of the same instances.

    Parameters
    ----------
    scenario : mapping
        Of which all deviations are replaced.
    kinds : mapping of sequence of str
        Fields of the scenario that deviate together, by what they are called.
    deviations : sequence of float
    options : mapping
        Of the solver.
    """
    every = sorted({name for names in kinds.values() for name in names})
    exact = {**scenario, **dict.fromkeys(every, 0.0)}
    problem = make_problem(exact)
    instances = problem.sample(count, seed)
    optimum = registry.solver("exact", problem, **options).run(problem, instances, seed=seed)
    planner = registry.solver("exact", problem, **options, twin=True)
    rows = []
    for kind, names in kinds.items():
        for deviation in deviations:
            # Reality is drawn from streams of its own, so it is the same whatever the twin's errors.
            wrong = make_problem({**exact, **dict.fromkeys(names, deviation)})
            known = wrong.sample(count, seed)
            found = averages(wrong, known, planner.run(wrong, known, seed=seed))
            rows.append(
                {
                    "kind": kind,
                    "deviation": deviation,
                    "cost": found["cost"],
                    "failed": found.get("failed", 0.0),
                    "excess": found["cost"] / float(optimum.objective.mean()) - 1.0,
                    "proved": float(np.mean(optimum.status == Status.OPTIMAL)),
                }
            )
    return {"rows": rows}
