"""Measurements behind the tables and figures: functions of JSON values that return JSON values.

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
"""Label of the proved lower bound, which assumes that all random quantities are known beforehand."""


def make_problem(scenario: Mapping[str, Any]) -> TwinInference:
    """Build the problem from the JSON fields of its scenario."""
    return TwinInference(TwinInferenceScenario(**scenario))


def averages(problem: TwinInference, instances: Instances, solutions: Solutions) -> Json:
    """Mean ``cost`` of an episode over instances, and cost, delay and energy of a task.

    ``delay_s`` is of all tasks; failed ones wait until their limit. Failed tasks spend no energy, so ``energy_j`` is of
    finished ones: over all tasks, failing would count as saving. A ratio whose denominator is 0 is left out.
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
    """Average results of solvers by label; ``solvers`` gives the registered name and options of each.

    If a solver proves lower bounds, their mean has a row of its own, and ``proved`` is the share of instances that it
    solved to optimality.
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
    """Train a policy, record its learning curve, and test it in the same scenario.

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
    """Learning curve: cost of an episode, critics' loss once they are updated, and all bytes so far.

    If a centre collects the experience, agents exchange nothing. A loss that is not finite is left out.
    """
    found = []
    for point in curve:
        if "episode/objective" not in point:
            continue
        row = {"step": point["step"], "cost": point["episode/objective"]}
        if math.isfinite(point.get("train/critic_loss", math.nan)):
            row["loss"] = point["train/critic_loss"]
        for way in ("sent", "delivered"):
            exchanged = point.get(f"communication/{way}_bytes", 0.0)
            exchanged += point.get(f"communication/weights_{way}_bytes", 0.0)
            row[way] = point.get("communication/collected_bytes") or exchanged
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
    """Cost of decisions optimised on a twin and evaluated on the true data, relative to the true optimum.

    Parameters
    ----------
    scenario : mapping
        Scenario whose deviations are all replaced.
    kinds : mapping of sequence of str
        Scenario fields that deviate together, by label.
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
