"""Measurements behind the tables and figures: functions of JSON values that return JSON values.

Methods that are compared decide the same instances: these are drawn from the seed alone. Gaps are relative to the
bounds of the ``exact`` solver on these instances.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt import registry
from offloadopt.core import (
    Budget,
    Demonstrations,
    FloatArray,
    Instances,
    IntArray,
    Learner,
    Method,
    Observation,
    Solutions,
    relative_gap,
)
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.reproduce import training
from offloadopt.structures.assignment import PricedAssignment

if TYPE_CHECKING:
    from offloadopt.learners.dirs.ensemble import EnsemblePolicy

OPTIMUM = "optimum"
"""Label of the certified optimum in every table."""
MAX_TIMED_DECISIONS = 100
"""Largest number of decisions that are timed one at a time."""
UNLIMITED_STEPS = 10**9
"""Step budget that only a limit in seconds ends."""
Json = dict[str, Any]


# ---------------------------------------------------------------------------------------------------------- rules


def apply_rules(scenario: Mapping[str, Any], solvers: Sequence[str], count: int, seed: int) -> Json:
    """Average results of the certified optimum and of some solvers."""
    problem = MultiServer(MultiServerScenario(**scenario))
    instances = problem.sample(count, seed)
    optimum = registry.solver("exact", problem).run(problem, instances)
    found = {OPTIMUM: averages(problem, instances, optimum, optimum)}
    for name in solvers:
        solutions = registry.solver(name, problem).run(problem, instances, seed=seed)
        found[name] = averages(problem, instances, solutions, optimum)
    return found


def averages(problem: MultiServer, instances: Instances, solutions: Solutions, optimum: Solutions) -> Json:
    """Means over the instances; time and energy are sums over all devices, as in the paper's figures 9 and 10.

    ``gap`` is the mean of the relative gaps, ``accuracy`` the share of tasks decided as in the optimum.
    """
    outcome = problem.evaluate(instances, solutions.decisions)
    same = problem.assignment(solutions.decisions) == problem.assignment(optimum.decisions)
    return {
        "cost": float(outcome.cost.mean()),
        **{name: float(outcome.metrics[name].mean()) for name in ("time_s", "energy_j", "reward", "offloaded")},
        "gap": float(relative_gap(solutions.objective, optimum.bound).mean()),
        "accuracy": float(same.mean()),
    }


# -------------------------------------------------------------------------------------------------------- training


def train(
    scenario: Mapping[str, Any],
    learner: Mapping[str, Any],
    demonstrations: Mapping[str, Any] | None,
    budget: Mapping[str, Any],
    seed: int,
    tests: Sequence[Mapping[str, Any]],
) -> Json:
    """Train a policy, record its learning curve, and test it.

    Parameters
    ----------
    learner : mapping
        ``name`` and ``settings``.
    demonstrations : mapping, optional
        ``solver``, ``count``, ``seed`` of demonstrations made beforehand; a learner may also make its own.
    budget : mapping
        ``steps`` (in the unit of `training.own_length`) and ``seconds``; the time of collecting demonstrations is
        subtracted from the seconds.
    tests : sequence of mapping
        Each with a ``name``, a ``scenario``, ``count`` and ``seed``.
    """
    problem = MultiServer(MultiServerScenario(**scenario))
    algorithm: Learner = registry.learner(learner["name"], **learner["settings"])
    warm_up(learner["name"])
    begin, begin_cpu = time.perf_counter(), time.process_time()
    experts = None if demonstrations is None else make_demonstrations(problem, **demonstrations)
    seconds = budget["seconds"]
    if seconds is not None:
        seconds = max(seconds - (time.perf_counter() - begin), 0.01 * seconds)
    curve: list[Json] = []

    def record(step: int, numbers: Mapping[str, float]) -> None:
        curve.append(
            {
                "step": training.own_step(algorithm, problem, step),
                **{name: float(value) for name, value in numbers.items()},
            }
        )

    steps = None if budget["steps"] is None else training.decisions(algorithm, problem, budget["steps"])
    policy = algorithm.fit(problem, demonstrations=experts, budget=Budget(steps, seconds), seed=seed, record=record)
    spent = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - begin_cpu}
    spent["samples"] = samples(algorithm, problem, policy.origin.training)  # type: ignore[attr-defined]
    return {
        "spent": spent,
        "curve": curve,
        "tests": {test["name"]: test_policy(policy, test) for test in tests},
        "decision_s": decision_seconds(problem, policy, min(tests[0]["count"], MAX_TIMED_DECISIONS), tests[0]["seed"]),
    }


def train_for_equal_time(
    scenario: Mapping[str, Any],
    leader: Mapping[str, Any],
    followers: Mapping[str, Mapping[str, Any]],
    seed: int,
    tests: Sequence[Mapping[str, Any]],
) -> Json:
    """Train a learner, then others for the same time; results as of `train` by label."""
    first = train(scenario, leader, None, {"steps": None, "seconds": None}, seed, tests)
    limit = {"steps": UNLIMITED_STEPS, "seconds": first["spent"]["seconds"]}
    others = {name: train(scenario, learner, None, limit, seed, tests) for name, learner in followers.items()}
    return {leader["name"]: first, **others}


@cache
def warm_up(learner: str) -> None:
    """Train on a toy problem once a process, so that timed trainings exclude loading and compiling."""
    toy = MultiServer(MultiServerScenario(users=2, servers=1))
    algorithm: Learner = registry.learner(learner)
    experts = make_demonstrations(toy, "exact", 4, 0) if algorithm.uses_demonstrations else None
    algorithm.fit(toy, demonstrations=experts, budget=Budget(steps=1))


def samples(learner: Learner, problem: MultiServer, origin: Mapping[str, Any]) -> int:
    """Number of instances that a learner was trained on: demonstrations and its own decisions."""
    settings, demonstrated = learner.model_dump(), origin.get("demonstrations", 0)
    if learner.needs_demonstrations:
        return int(demonstrated)
    if "instances" in settings:  # labelled once, before the training
        return int(demonstrated or settings["instances"])
    pretraining = settings["pretraining"] if settings.get("imitation") else 0
    # Phases of a training have the same shares in every budget, so its own units are proportional to decisions.
    length = origin["steps"] * training.own_length(learner) // learner.default_steps(problem)
    return int(demonstrated + max(0, length - pretraining))


def make_demonstrations(problem: MultiServer, solver: str, count: int, seed: int) -> Demonstrations:
    """Collect a solver's solutions in memory."""
    instances = problem.sample(count, seed)
    solutions = registry.solver(solver, problem).run(problem, instances, seed=seed)
    return Demonstrations(instances, problem.observe(instances, problem.reset(instances)), solutions)


def test_policy(policy: Method, test: Mapping[str, Any]) -> Json:
    """Average results of a policy in a scenario, which may differ from that of its training."""
    problem = MultiServer(MultiServerScenario(**test["scenario"]))
    instances = problem.sample(test["count"], test["seed"])
    solutions = policy.run(problem, instances, seed=test["seed"])
    return averages(problem, instances, solutions, registry.solver("exact", problem).run(problem, instances))


def decision_seconds(problem: MultiServer, policy: Method, count: int, seed: int) -> float:
    """Median time of single decisions in seconds."""
    instances = problem.sample(count, seed)
    policy.run(problem, instances.take([0]))  # untimed: it may load or compile
    return float(np.median([policy.run(problem, instances.take([row])).seconds[0] for row in range(count)]))


def imitate(
    scenario: Mapping[str, Any],
    learner: Mapping[str, Any],
    demonstrations: Mapping[str, Any],
    steps: int,
    seed: int,
    test: Mapping[str, Any],
) -> Json:
    """Train networks by imitation and measure their agreement with the expert on old and new instances."""
    problem = MultiServer(MultiServerScenario(**scenario))
    training_set = make_demonstrations(problem, **demonstrations)
    test_set = make_demonstrations(problem, **{**demonstrations, **test})
    algorithm: Learner = registry.learner(learner["name"], **learner["settings"])
    budget = Budget(training.decisions(algorithm, problem, steps))
    policy = algorithm.fit(problem, demonstrations=training_set, budget=budget, seed=seed)
    found: Json = {}
    for name, experts in (("train", training_set), ("test", test_set)):
        wanted = problem.assignment(experts.solutions.decisions)
        decided, _ = policy.act(experts.observations)
        found[f"{name}_accuracy"] = float(np.mean(problem.assignment(decided) == wanted))
        found[f"{name}_output_accuracy"] = output_accuracy(policy, experts.observations, wanted)  # type: ignore[arg-type]
    wanted = problem.assignment(test_set.solutions.decisions)
    found["all_local_accuracy"] = float(np.mean(wanted == 0))
    found["all_local_output_accuracy"] = 1.0 - float(np.mean(wanted > 0)) / problem.servers
    found["gap"] = averages(problem, test_set.instances, policy.run(problem, test_set.instances), test_set.solutions)[
        "gap"
    ]
    return found


def output_accuracy(policy: EnsemblePolicy, observation: Observation, assignment: IntArray) -> float:
    """Share of correct outputs of all agents at a threshold of 0.5, given the expert's options ``[count, tasks]``."""
    from offloadopt.learners.dirs.ensemble import VOTE_THRESHOLD

    probability = policy.probabilities(observation)
    servers = np.arange(1, probability.shape[1] + 1)
    return float(np.mean((probability >= VOTE_THRESHOLD) == (assignment[:, None] == servers[:, None])))


# ----------------------------------------------------------------------------------------------------------- search


class CostRecorder:
    """Assignment costs that record the lowest cost of every population after each evaluation."""

    def __init__(self, costs: PricedAssignment) -> None:
        self.costs = costs
        self.best: list[FloatArray] = []

    def cost(self, assignment: IntArray) -> FloatArray:
        """Cost ``[count, population]`` of assignments ``[count, population, tasks]``."""
        cost = self.costs.cost(assignment)
        lowest = cost.min(axis=1)
        self.best.append(np.minimum(lowest, self.best[-1]) if self.best else lowest)
        return cost


class RecordedMultiServer(MultiServer):
    """The problem with a `CostRecorder` for each block of instances that a search evaluates."""

    def __init__(self, scenario: MultiServerScenario) -> None:
        super().__init__(scenario)
        self.blocks: list[CostRecorder] = []

    def costs(self, observation: Observation | Instances) -> Any:
        """Recorded costs of the next block."""
        self.blocks.append(CostRecorder(super().costs(observation)))
        return self.blocks[-1]

    def fitness(self) -> FloatArray:
        """Best cost of each population so far, averaged over all instances ``[evaluations]``.

        A search that keeps what is no worse holds exactly the lowest cost that it has evaluated.
        """
        return np.concatenate([np.array(block.best) for block in self.blocks], axis=1).mean(axis=1)


def search(scenario: Mapping[str, Any], solvers: Mapping[str, Mapping[str, Any]], count: int, seed: int) -> Json:
    """Mean fitness of searches by generation from the same initial populations, and the certified optimum."""
    values = MultiServerScenario(**scenario)
    problem = MultiServer(values)
    instances = problem.sample(count, seed)
    optimum = registry.solver("exact", problem).run(problem, instances)
    found: Json = {OPTIMUM: float(optimum.objective.mean())}
    for name, settings in solvers.items():
        problem = RecordedMultiServer(values)
        registry.solver(name, problem, **settings).run(problem, instances, seed=seed)
        found[name] = problem.fitness().tolist()
    return found
