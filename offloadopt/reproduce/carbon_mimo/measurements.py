"""Measurements behind the tables and figures: functions of JSON values that return JSON values.

Methods that are compared decide the same instances: these are drawn from the seed alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from offloadopt import registry
from offloadopt.core import FloatArray, Instances, Method, Observation, Solutions
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.problems.carbon_mimo import CarbonMimo, CarbonMimoScenario
from offloadopt.reproduce import training
from offloadopt.reproduce.training import Json

BOUND = "hindsight bound"
"""Label of the proved lower bound, which assumes that all random quantities are known beforehand."""
HINDSIGHT = "hindsight"
"""Label of the decisions that are optimal in hindsight."""
EXACT = "exact"
"""The solver that finds them."""
TIMED_DECISIONS = 200
"""Number of single decisions that are timed."""


def make_problem(scenario: Mapping[str, Any]) -> CarbonMimo:
    """Build the problem from the JSON fields of its scenario."""
    return CarbonMimo(CarbonMimoScenario(**scenario))


# ---------------------------------------------------------------------------------------------------------- rules


def apply_solvers(scenario: Mapping[str, Any], solvers: Mapping[str, Json], count: int, seed: int) -> Json:
    """Average results of solvers by label; ``solvers`` gives the registered name and options of each.

    With ``exact`` among them, its lower bound has a row of its own.
    """
    problem = make_problem(scenario)
    instances = problem.sample(count, seed)
    found: Json = {}
    for label, chosen in solvers.items():
        solutions = registry.solver(chosen["name"], problem, **chosen["options"]).run(problem, instances, seed=seed)
        found[label] = averages(problem, instances, solutions)
        if chosen["name"] == EXACT:
            share = problem.horizon * problem.num_agents
            found[BOUND] = {"cost": float(solutions.bound.mean()) / share}
    return found


def averages(problem: CarbonMimo, instances: Instances, solutions: Solutions) -> Json:
    """Means over instances, slots and users; carbon per served bit and per joule; shares of arrivals and harvest."""
    outcome = problem.evaluate(instances, solutions.decisions)
    total: dict[str, FloatArray] = dict(outcome.metrics)
    share = problem.horizon * problem.num_agents
    harvested = float(instances["harvest_j"].sum())

    def ratio(part: str, whole: float) -> float:
        return float(total[part].sum()) / whole if whole > 0 else 0.0

    return {
        "cost": float(outcome.cost.mean()) / share,
        "carbon_g_per_bit": ratio("carbon_g", float(total["served_bits"].sum())),
        "carbon_g_per_j": ratio("carbon_g", float(total["energy_j"].sum())),
        "overflow": ratio("overflow_bits", float(total["arrived_bits"].sum())),
        "wasted": ratio("wasted_j", harvested),
        "buffer_quanta": float(total["buffer_bits"].mean()) / problem.num_agents / problem.quantum_bits,
        "power_w": float(total["energy_j"].mean()) / share / problem.scenario.slot_s,
        "served": ratio("served_bits", float(total["arrived_bits"].sum() + instances["start_bits"].sum())),
    }


# -------------------------------------------------------------------------------------------------------- training


def train(
    scenario: Mapping[str, Any],
    learner: Mapping[str, Any],
    demonstrations: Mapping[str, Any] | None,
    steps: int | None,
    seed: int,
    tests: Sequence[Mapping[str, Any]],
    users: Sequence[int] = (),
) -> Json:
    """Train a policy, record its learning curve, and test it.

    Parameters
    ----------
    learner : mapping
        ``name`` and ``settings``.
    demonstrations : mapping, optional
        ``solver``, ``options``, ``count``, ``seed`` of demonstrations made beforehand.
    tests : sequence of mapping
        Each with a ``name``, a ``scenario``, ``count`` and ``seed``.
    users : sequence of int
        Numbers of users for which single decisions are timed.
    """
    trained = training.train(make_problem(scenario), learner, demonstrations, steps, seed)
    return {
        "spent": trained.spent,
        "curve": training.thinned(trained.curve),
        "tests": {test["name"]: test_policy(trained.policy, test) for test in tests},
        "inference": [time_decisions(trained.policy, scenario, count) for count in users],
    }


def test_policy(policy: Method, test: Mapping[str, Any]) -> Json:
    """Average results of a policy in a scenario, which may differ from that of its training."""
    problem = make_problem(test["scenario"])
    instances = problem.sample(test["count"], test["seed"])
    return averages(problem, instances, policy.run(problem, instances, seed=test["seed"]))


def time_decisions(policy: AgentPolicy, scenario: Mapping[str, Any], users: int) -> Json:
    """Time a slot's decision of one device and of all devices in one batch; count parameters and bytes.

    A device decides from its own row of the observation, so that its time cannot depend on the others.
    """
    crowd = make_problem({**scenario, "users": users, "antennas": max(users, int(scenario["antennas"]))})
    instances = crowd.sample(2, 0)
    together = crowd.observe(instances, crowd.reset(instances)).take([0])
    alone = Observation({name: array[:, :1] for name, array in together.items()})
    single = make_problem({**scenario, "users": 1})
    found: Json = {"users": users, "parameters": policy.parameters, "bytes": policy.bytes}
    for name, problem, observation in (("device_ms", single, alone), ("all_ms", crowd, together)):
        decider = AgentPolicy(policy.interface.for_problem(problem), policy.actor, policy.origin)
        decider.act(observation)
        spent = []
        for _ in range(TIMED_DECISIONS):
            begin = time.perf_counter()
            decider.act(observation)
            spent.append(time.perf_counter() - begin)
        found[name] = 1e3 * float(np.median(spent))
    return found
