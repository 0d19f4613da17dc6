"""Measurements behind the tables and figures: functions of JSON values that return JSON values.

Methods that are compared decide the same instances: these are drawn from the seed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt import registry
from offloadopt.core import Instances, Method, Solutions, Status
from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d import BatteryD2DScenario
from offloadopt.problems.battery_d2d.problem import KINDS, BatteryD2D
from offloadopt.reproduce import training
from offloadopt.reproduce.training import Json

BOUND = "hindsight bound"
"""Label of the proved lower bound, which assumes that all random quantities are known beforehand."""
TERMS = ("cost_energy", "cost_failures", "cost_drops", "cost_degradation")
"""Terms of equation (20), in its order."""
SECONDS_PER_YEAR = 365.25 * 24 * 3600
WORN = 0.2
"""Share of its capacity that a battery has lost when it counts as worn out: the usual convention of 80 % left."""


def make_problem(scenario: Mapping[str, Any]) -> BatteryD2D:
    """Build the problem from the JSON fields of its scenario."""
    return BatteryD2D(BatteryD2DScenario(**scenario))


def draw(problem: BatteryD2D, count: int, seed: int, most_tasks: int | None = None) -> Instances:
    """Sample instances, or the first ones that have at most ``most_tasks`` tasks."""
    if most_tasks is None:
        return problem.sample(count, seed)
    many = count
    while many <= 1000 * count:
        instances = problem.sample(many, seed)
        small = np.flatnonzero(instances["arrives"].sum(axis=(1, 2)) <= most_tasks)
        if len(small) >= count:
            return instances.take(small[:count])
        many *= 2
    raise InvalidInput(f"most_tasks = {most_tasks}; allowed: what at least one instance in 1,000 does not exceed")


def averages(problem: BatteryD2D, instances: Instances, solutions: Solutions) -> Json:
    """Mean cost of an episode of the fleet over instances, and its parts; shares are of all tasks.

    ``delay_1_s`` is a finished task's of kind 1, ``finished_j`` the energy of all tasks per finished one. A battery
    life is consumed at the rate at which the fleet's batteries age in the episode, each with the same share:
    ``life_years = devices * horizon * slot_s / degradation`` in years of operation without a pause, and ``worn_years``
    is the time until `WORN` of the capacity is lost. A ratio whose denominator is 0 is left out.
    """
    outcome = problem.evaluate(instances, solutions.decisions)
    total = {name: float(values.sum()) for name, values in outcome.metrics.items()}
    count, s = instances.count, problem.scenario
    found = {name: total[name] / count for name in (*TERMS, "energy_j", "transmit_j", "receive_j", "execute_j")}
    found |= {"cost": float(outcome.cost.mean()), "degradation": total["degradation"] / count}
    ratios = {
        "cost_per_task": (float(outcome.cost.sum()), total["tasks"]),
        "failed": (total["failures"], total["tasks"]),
        "dropped": (total["drops"], total["tasks"]),
        "late": (total["late"], total["tasks"]),
        "finished_j": (total["energy_j"], total["tasks"] - total["failures"]),
        "life_years": (count * problem.devices * problem.horizon * s.slot_s / SECONDS_PER_YEAR, total["degradation"]),
    }
    for kind in range(1, KINDS + 1):
        ratios[f"delay_{kind}_s"] = (total[f"delay_{kind}_s"], total[f"finished_{kind}"])
    found |= {name: part / whole for name, (part, whole) in ratios.items() if whole > 0}
    return found | {"worn_years": WORN * found["life_years"]} if "life_years" in found else found


# ---------------------------------------------------------------------------------------------------------- solvers


def apply_solvers(
    scenario: Mapping[str, Any],
    solvers: Mapping[str, Json],
    count: int,
    seed: int,
    most_tasks: int | None = None,
) -> Json:
    """Average results of solvers by label; ``solvers`` gives the registered name and options of each.

    If a solver proves lower bounds, their mean has a row of its own, and ``proved`` is the share of instances that it
    solved to optimality.
    """
    problem = make_problem(scenario)
    instances = draw(problem, count, seed, most_tasks)
    found: Json = {}
    for label, chosen in solvers.items():
        solutions = registry.solver(chosen["name"], problem, **chosen["options"]).run(problem, instances, seed=seed)
        found[label] = averages(problem, instances, solutions)
        if np.isfinite(solutions.bound).all():
            found[label]["proved"] = float(np.mean(solutions.status == Status.OPTIMAL))
            found[BOUND] = {"cost": float(solutions.bound.mean())}
    return found


# --------------------------------------------------------------------------------------------------------- training


def train(
    scenario: Mapping[str, Any],
    learner: Mapping[str, Any],
    steps: int | None,
    seed: int,
    tests: Sequence[Mapping[str, Any]],
) -> Json:
    """Train a policy, record its learning curve, and test it.

    Parameters
    ----------
    learner : mapping
        ``name`` and ``settings``.
    tests : sequence of mapping
        Each with a ``name`` and the fields that `test_policy` needs.
    """
    problem = make_problem(scenario)
    trained = training.train(problem, learner, None, steps, seed)
    return {
        "spent": trained.spent,
        "curve": training.thinned(learning_curve(problem, learner["name"], trained.curve)),
        "tests": {test["name"]: test_policy(trained.policy, test) for test in tests},
    }


def learning_curve(problem: BatteryD2D, learner: str, curve: Sequence[Json]) -> list[Json]:
    """Cost of an episode of the fleet by the number of agents' decisions, exploration included.

    Learners record an episode's cost, or the mean reward of an agent in the slots of whole episodes. Those of
    Stable-Baselines3 record the reward of each slot, of all agents, and it depends on how empty the batteries are
    already: there the slots of an episode are averaged. A step of a joint learner is a slot of all agents.
    """
    if not training.records_slots(learner):
        slots = problem.horizon * problem.num_agents
        return [
            {
                "step": point["step"],
                "cost": -slots * point["train/reward"] if "train/reward" in point else point["episode/objective"],
            }
            for point in curve
            if "episode/cost" in point
        ]
    decisions = problem.num_agents if training.decides_jointly(learner) else 1
    ends = range(problem.horizon, len(curve) + 1, problem.horizon)
    return [
        {
            "step": decisions * curve[end - 1]["step"],
            "cost": -float(sum(point["train/reward"] for point in curve[end - problem.horizon : end])),
        }
        for end in ends
    ]


def test_policy(policy: Method, test: Mapping[str, Any]) -> Json:
    """Average results of a policy in a ``scenario``, which may differ from that of its training."""
    problem = make_problem(test["scenario"])
    instances = draw(problem, test["count"], test["seed"], test["most_tasks"])
    return averages(problem, instances, policy.run(problem, instances, seed=test["seed"]))


def train_on_demonstrations(
    scenario: Mapping[str, Any],
    demonstrations: Mapping[str, Any],
    learners: Mapping[str, Mapping[str, Any]],
    seed: int,
    test: Mapping[str, Any],
) -> Json:
    """Train several learners on the same demonstrations and test them; results by label.

    Parameters
    ----------
    demonstrations : mapping
        ``solver``, ``options``, ``count``, ``seed``, ``most_tasks``.
    learners : mapping of mapping
        ``learner`` and ``steps`` of each.
    test : mapping
        As for `test_policy`.
    """
    problem = make_problem(scenario)
    instances = draw(problem, demonstrations["count"], demonstrations["seed"], demonstrations["most_tasks"])
    experts = training.demonstrations_of(
        problem, instances, demonstrations["solver"], demonstrations["options"], demonstrations["seed"]
    )
    found = {}
    for name, chosen in learners.items():
        trained = training.train(problem, chosen["learner"], experts, chosen["steps"], seed)
        found[name] = test_policy(trained.policy, test)
    return found
