"""Measurements behind the tables and figures; gaps are relative to the bounds of ``exact`` on the same instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from offloadopt import registry
from offloadopt.core import (
    Budget,
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
from offloadopt.reproduce.measurements import Measurements
from offloadopt.reproduce.training import Json
from offloadopt.structures.assignment import PricedAssignment

if TYPE_CHECKING:
    from offloadopt.learners.dirs.ensemble import EnsemblePolicy

OPTIMUM = "optimum"
"""Label of the certified optimum in every table."""
MAX_TIMED_DECISIONS = 100
"""Largest number of decisions that are timed one at a time."""
UNLIMITED_STEPS = 10**9
"""Step budget that only a limit in seconds ends."""


class MultiServerMeasurements(Measurements):
    """Instances of `multi_server`, beside their certified optimum."""

    problem = "multi_server"

    def averages(
        self, problem: MultiServer, instances: Instances, solutions: Solutions, optimum: Solutions | None = None
    ) -> Json:
        """Means over the instances; time and energy are sums over all devices, as in the paper's figures 9 and 10.

        ``gap`` is the mean of the relative gaps, ``accuracy`` the share of tasks decided as in the optimum.
        """
        optimum = optimal(problem, instances) if optimum is None else optimum
        outcome = problem.evaluate(instances, solutions.decisions)
        same = problem.assignment(solutions.decisions) == problem.assignment(optimum.decisions)
        return {
            "cost": float(outcome.cost.mean()),
            **{name: float(outcome.metrics[name].mean()) for name in ("time_s", "energy_j", "reward", "offloaded")},
            "gap": float(relative_gap(solutions.objective, optimum.bound).mean()),
            "accuracy": float(same.mean()),
        }

    def apply_solvers(
        self, scenario: Mapping[str, Any], solvers: Mapping[str, Json], count: int, seed: int, **conditions: Any
    ) -> Json:
        """Average results of the certified optimum, and of solvers by label."""
        problem = self.make(scenario)
        instances = self.draw(problem, count, seed, **conditions)
        found = {OPTIMUM: optimal(problem, instances)}
        for label, chosen in solvers.items():
            found[label] = self.solver(problem, **chosen).run(problem, instances, seed=seed)
        return {label: self.averages(problem, instances, each, found[OPTIMUM]) for label, each in found.items()}

    def train(self, scenario: Mapping[str, Any], learner: Mapping[str, Any], *values: Any, **parameters: Any) -> Json:
        """Train a policy as in the base class, after loading and compiling what a timed training must not include."""
        warm_up(learner["name"])
        return super().train(scenario, learner, *values, **parameters)

    def learning(self, problem: MultiServer, learner: Mapping[str, Any], curve: Sequence[Json]) -> Json:
        """The whole curve."""
        return {"curve": list(curve)}

    def beside(self, policy: Any, given: Mapping[str, Any]) -> Json:
        """Number of ``samples`` that the training used, and ``decision_s``, the time of a single decision."""
        problem, test = self.make(given["scenario"]), given["tests"][0]
        algorithm = registry.learner(given["learner"]["name"], **given["learner"]["settings"])
        return {
            "samples": samples(algorithm, problem, policy.origin.training),
            "decision_s": decision_seconds(problem, policy, min(test["count"], MAX_TIMED_DECISIONS), test["seed"]),
        }


MEASURE = MultiServerMeasurements()


def optimal(problem: MultiServer, instances: Instances) -> Solutions:
    """Certified optima."""
    return registry.solver("exact", problem).run(problem, instances)


def train_for_equal_time(
    scenario: Mapping[str, Any],
    leader: Mapping[str, Any],
    followers: Mapping[str, Mapping[str, Any]],
    seed: int,
    tests: Sequence[Mapping[str, Any]],
) -> Json:
    """Train a learner, then others for the same time; results as of `Measurements.train` by label."""
    first = MEASURE.train(scenario, leader, None, seed, tests)
    spent = first["spent"]["seconds"]
    others = {
        name: MEASURE.train(scenario, learner, UNLIMITED_STEPS, seed, tests, seconds=spent)
        for name, learner in followers.items()
    }
    return {leader["name"]: first, **others}


@cache
def warm_up(learner: str) -> None:
    """Train on a toy problem once a process, so that timed trainings exclude loading and compiling."""
    toy = MultiServer(MultiServerScenario(users=2, servers=1))
    fields = registry.get("learners", learner).model_fields
    options: dict[str, Any] = {"imitation_steps": 1} if "imitation_steps" in fields else {}
    algorithm: Learner = registry.learner(learner, **options)
    experts = training.make_demonstrations(toy, "exact", {}, 4, 0) if algorithm.uses_demonstrations else None
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
    problem = MEASURE.make(scenario)
    training_set = training.make_demonstrations(problem, **demonstrations)
    test_set = training.make_demonstrations(problem, **{**demonstrations, **test})
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
    solutions = policy.run(problem, test_set.instances)
    found["gap"] = MEASURE.averages(problem, test_set.instances, solutions, test_set.solutions)["gap"]
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
    found: Json = {OPTIMUM: float(optimal(problem, instances).objective.mean())}
    for name, settings in solvers.items():
        problem = RecordedMultiServer(values)
        registry.solver(name, problem, **settings).run(problem, instances, seed=seed)
        found[name] = problem.fitness().tolist()
    return found
