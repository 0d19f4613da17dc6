"""Settings that all artefacts share: sizes, scenarios, seeds, methods, and trainings that several of them need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offloadopt import registry
from offloadopt.problems.battery_d2d import BatteryD2DScenario
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Result, Unit
from offloadopt.reproduce.battery_d2d import measurements
from offloadopt.reproduce.training import Json

Chosen = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Registered name and options of each method by its label."""

RMAPPO, MADDPG, PPO = "rMAPPO", "MADDPG", "PPO, full view"
SB3_PPO, SB3_DDPG, SB3_DQN = "SB3 PPO", "SB3 DDPG", "SB3 DQN"
OED, OMD, RANDOM = "all edge (OED)", "all mobile (OMD)", "random"
GREEDY, QUEUE, OPTIMUM = "deadline-greedy", "energy queues", "hindsight optimum"
LEARNERS: Chosen = {
    RMAPPO: ("rmappo", {}),
    MADDPG: ("maddpg", {}),
    PPO: ("ppo", {"view": "full"}),
    SB3_PPO: ("ppo-sb3", {}),
    SB3_DDPG: ("ddpg-sb3", {}),
    SB3_DQN: ("dqn-sb3", {}),
}
"""All but one have the paper's observation. PPO, DDPG and DQN are the implementations of Stable-Baselines3; the first
two decide for all devices at once, and none has masks. The PPO of our own decides device by device without memory."""
RULES: Chosen = {
    OED: ("all-edge", {}),
    OMD: ("all-mobile", {}),
    RANDOM: ("random", {}),
    GREEDY: ("greedy", {}),
    QUEUE: ("lyapunov", {}),
}
"""OED and OMD choose the device among theirs, and the mode, by least expected cost; the last two choose among all."""
PAPER_METHODS = (MADDPG, SB3_PPO, SB3_DDPG, SB3_DQN, OED, OMD, RANDOM)
"""Methods that the paper compares rMAPPO with."""
CAPACITY_J, CHANCE = 500.0, 0.5
"""Capacity and task probability unless a figure varies them: the scenario's own values."""
STYLES = {
    RMAPPO: plots.Style(RMAPPO, plots.BLUE, "-", "o"),
    MADDPG: plots.Style(MADDPG, plots.ORANGE, "-", "^"),
    PPO: plots.Style(PPO, plots.SKY, "-", "s"),
    SB3_PPO: plots.Style(SB3_PPO, plots.SKY, "--", "P"),
    SB3_DDPG: plots.Style(SB3_DDPG, plots.ORANGE, "--", "X"),
    SB3_DQN: plots.Style(SB3_DQN, plots.PURPLE, "--", "d"),
    GREEDY: plots.Style(GREEDY, plots.GREEN, "-.", "v"),
    QUEUE: plots.Style(QUEUE, plots.GREEN, "-", "D"),
    OMD: plots.Style(OMD, plots.VERMILION, "-.", "<"),
    OED: plots.Style(OED, plots.VERMILION, ":", ">"),
    RANDOM: plots.Style(RANDOM, plots.GREY, "-.", "x"),
    OPTIMUM: plots.Style(OPTIMUM, plots.BLACK, "-", "s"),
    measurements.BOUND: plots.Style(measurements.BOUND, plots.BLACK, ":", "|"),
}


@dataclass(frozen=True)
class Point:
    """A point of the figures: preset, battery capacity and task probability."""

    preset: str
    capacity_j: float = CAPACITY_J
    chance: float = CHANCE

    @property
    def name(self) -> str:
        """Name of the tests at this point."""
        return f"{self.preset}, {self.capacity_j:g} J, {self.chance:g}"


@dataclass(frozen=True)
class Sizes:
    """Sizes of a reproduction: replicates, instances, training steps and points.

    Attributes
    ----------
    replicates : int
        Number of seeds of trainings and of held-out instances.
    test_instances : int
        Held out, the same for all methods of a replicate.
    presets : tuple of str
        ``clipped-delay`` is that of the paper's figures.
    capacities_j : tuple of float
        Of Fig. 2.
    chances : tuple of float
        Of a task, for each device and slot: Fig. 3.
    each_point : bool
        Whether learners are trained at each point of the figures. Otherwise once for each preset, at 500 J and chance
        0.5, and the policies are tested everywhere.
    steps : mapping
        Training steps by label of `LEARNERS`; other learners are not trained.
    changes : mapping
        Settings that differ from the learners' defaults.
    window : mapping
        Fields of the scenario in which the optimum is proved.
    window_instances, window_tasks : int
        Held-out windows, and the most tasks that one of them may have.
    window_seconds : float
        Limit of the optimum's search in each.
    window_steps, window_environments : int
        Training steps of rMAPPO there, and windows side by side in them.
    demonstrations, window_demonstrations, optimum_demonstrations : int
        Episodes of rules, windows of rules, and windows of the optimum that are imitated.
    imitation_steps : int
        Gradient steps of that.
    """

    replicates: int
    test_instances: int
    presets: tuple[str, ...]
    capacities_j: tuple[float, ...]
    chances: tuple[float, ...]
    each_point: bool
    steps: Mapping[str, int]
    window: Mapping[str, Any]
    window_instances: int
    window_tasks: int
    window_seconds: float
    window_steps: int
    window_environments: int
    demonstrations: int
    window_demonstrations: int
    optimum_demonstrations: int
    imitation_steps: int
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """Sizes, and the scenario fields that all artefacts change.

    Attributes
    ----------
    base : mapping
        Scenario fields that differ from the preset in every artefact.
    """

    sizes: Sizes
    base: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replicates(self) -> range:
        """Numbers of the replicates, which are the seeds of trainings."""
        return range(1, self.sizes.replicates + 1)

    @property
    def first_preset(self) -> str:
        """The preset that is used where one is enough."""
        return self.sizes.presets[0]

    def test_seed(self, replicate: int) -> int:
        """Seed of the held-out instances."""
        return 2_000_000 + replicate

    def expert_seed(self, replicate: int) -> int:
        """Seed of the instances in demonstrations."""
        return 1_000_000 + replicate

    # -------------------------------------------------------------------------------------------------- scenarios

    def scenario(self, preset: str, **changes: Any) -> Json:
        """All fields of a scenario as JSON values."""
        return BatteryD2DScenario.preset(preset, **{**self.base, **changes}).model_dump(mode="json")

    def at(self, point: Point) -> Json:
        """Scenario of a point."""
        return self.scenario(point.preset, battery_j=point.capacity_j, task_chance=point.chance)

    def window(self) -> Json:
        """Scenario of the short windows in which the optimum is proved."""
        return self.scenario(self.first_preset, **self.sizes.window)

    def points(self, preset: str) -> list[Point]:
        """Points of both figures, the common one first."""
        found = [Point(preset)]
        found += [Point(preset, capacity_j=capacity) for capacity in self.sizes.capacities_j]
        found += [Point(preset, chance=chance) for chance in self.sizes.chances]
        return list(dict.fromkeys(found))

    # ------------------------------------------------------------------------------------------------------- units

    def test(self, replicate: int, scenario: Json, name: str = "test", window: bool = False) -> Json:
        """Held-out instances, or windows."""
        return {
            "name": name,
            "scenario": scenario,
            "count": self.sizes.window_instances if window else self.sizes.test_instances,
            "seed": self.test_seed(replicate),
            "most_tasks": self.sizes.window_tasks if window else None,
        }

    def solvers(
        self, replicate: int, scenario: Json, chosen: Chosen = RULES, *, window: bool = False, **labels: Any
    ) -> Unit:
        """Unit that measures solvers on held-out instances."""
        test = self.test(replicate, scenario, window=window)
        parameters = {
            **{name: test[name] for name in ("scenario", "count", "seed", "most_tasks")},
            "solvers": {label: {"name": name, "options": dict(options)} for label, (name, options) in chosen.items()},
        }
        return Unit(measurements.apply_solvers, parameters, {REPLICATE: replicate, **labels})

    def learner(self, name: str, scenario: Json, **settings: Any) -> Json:
        """Name and all settings of a learner, so that a changed default gives another unit.

        Errors of recurrent agents go back through pieces of episodes, which must not be cut.
        """
        made = registry.learner(name, **settings).model_dump(mode="json")
        if made.get("chunk"):
            made["chunk"] = math.gcd(made["chunk"], scenario["horizon"])
        return {"name": name, "settings": made}

    def settings(self, method: str, window: bool = False) -> dict[str, Any]:
        """Settings of a learner; with windows, more environments keep the number of decisions per update."""
        changes = {**LEARNERS[method][1], **self.sizes.changes.get(method, {})}
        return {**changes, "num_envs": self.sizes.window_environments} if window else changes

    def training(
        self,
        replicate: int,
        scenario: Json,
        method: str,
        steps: int,
        tests: Sequence[Json],
        *,
        window: bool = False,
        **labels: Any,
    ) -> Unit:
        """Unit of one training with its curve and tests."""
        parameters = {
            "scenario": scenario,
            "learner": self.learner(LEARNERS[method][0], scenario, **self.settings(method, window)),
            "steps": steps,
            "seed": replicate,
            "tests": list(tests),
        }
        return Unit(measurements.train, parameters, {REPLICATE: replicate, "method": method, **labels})

    def learned(self, replicate: int, preset: str) -> list[Unit]:
        """Trainings of all learners, each tested at the points that it is for."""
        points = self.points(preset)
        tests = {point: self.test(replicate, self.at(point), point.name) for point in points}
        trained = {point: [test] for point, test in tests.items()}
        if not self.sizes.each_point:
            trained = {points[0]: list(tests.values())}
        return [
            self.training(replicate, self.at(point), method, steps, chosen, preset=preset, point=point.name)
            for point, chosen in trained.items()
            for method, steps in self.sizes.steps.items()
        ]

    def shown(self, replicate: int, preset: str) -> list[Unit]:
        """The trainings of all learners at the common point."""
        return [unit for unit in self.learned(replicate, preset) if unit.labels["point"] == Point(preset).name]

    def imitations(
        self, replicate: int, scenario: Json, chosen: Chosen, count: int, *, window: bool = False, **labels: Any
    ) -> Unit:
        """Unit of agents that imitate an expert, and of rMAPPO that starts with it, with the same networks."""
        sizes = self.sizes
        ((solver, options),) = chosen.values()
        settings = self.settings(RMAPPO, window)
        after = self.learner(LEARNERS[RMAPPO][0], scenario, **settings, imitation_steps=sizes.imitation_steps)
        shared = ("view", "controls", "shared", "hidden", "activation", "recurrent", "standardise")
        before = self.learner("imitation-agents", scenario, **{name: after["settings"][name] for name in shared})
        parameters = {
            "scenario": scenario,
            "demonstrations": {
                "solver": solver,
                "options": dict(options),
                "count": count,
                "seed": self.expert_seed(replicate),
                "most_tasks": sizes.window_tasks if window else None,
            },
            "learners": {
                "before": {"learner": before, "steps": sizes.imitation_steps},
                "after": {"learner": after, "steps": sizes.window_steps if window else sizes.steps[RMAPPO]},
            },
            "seed": replicate,
            "test": self.test(replicate, scenario, window=window),
        }
        return Unit(measurements.train_on_demonstrations, parameters, {REPLICATE: replicate, **labels})


def rows_by_method(unit: Unit, result: Result) -> Iterator[tuple[Json, str, Json]]:
    """Scenario, method and numbers of each test of a unit."""
    if unit.function is measurements.train:
        for test in unit.parameters["tests"]:
            yield test["scenario"], unit.labels["method"], result["tests"][test["name"]]
        return
    for method, numbers in result.items():
        yield unit.parameters["scenario"], method, numbers


def known_learners(steps: Mapping[str, int]) -> dict[str, int]:
    """Select the learners that are registered; some need a package that may not be installed."""
    names = registry.names("learners")
    return {method: count for method, count in steps.items() if LEARNERS[method][0] in names}


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods in the order of tables and legends."""
    present = set(methods)
    return [method for method in STYLES if method in present]
