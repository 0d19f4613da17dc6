"""Settings that all artefacts share: sizes, scenarios, seeds, methods, and trainings that several of them need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from offloadopt import registry
from offloadopt.problems.twin_inference import TwinInferenceScenario
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Result, Unit
from offloadopt.reproduce.training import Json
from offloadopt.reproduce.twin_inference import measurements

Chosen = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Registered name and options of each method by its label."""

CGAN, MADDPG, DDPG, DQN = "MADDPG-CGAN", "MADDPG", "DDPG", "DQN"
IMITATION = "imitates the optimum"
GREEDY, TURN, DEFICIT, OPTIMUM = "Greedy", "servers in turn", "energy deficits", "optimum"
CENTRALISED, FEDAVG, PERSONALISED, LITERAL = "centralised", "FedAvg", "personalised", "(24)-(25) as printed"
AGENT_SETTINGS: Mapping[str, Any] = {"view": "full", "controls": "priority", "shared": False}
"""Settings of every learner: agents observe their own tasks, battery and links, set priorities, and share no networks.

MADDPG-CGAN shares their weights besides, as published.
"""
LEARNERS: Mapping[str, str] = {CGAN: "maddpg-cgan", MADDPG: "maddpg", DDPG: "ddpg-vdn", DQN: "dqn-vdn"}
"""DQN and DDPG are value-decomposed, as the paper has them."""
RULES: Chosen = {GREEDY: ("greedy", {}), TURN: ("round-robin", {}), DEFICIT: ("lyapunov", {})}
"""Greedy is the paper's: each user decides for itself. The last is a central rule that does not know the future."""
FEDERATED: Mapping[str, str] = {
    CENTRALISED: "centralised",
    FEDAVG: "average",
    PERSONALISED: "personalised",
    LITERAL: "literal",
}
"""MADDPG under each of these rules; without one it is MADDPG."""
PAPER_METHODS = (GREEDY, DQN, DDPG, MADDPG)
"""Methods that the paper compares MADDPG-CGAN with."""
HEADLINE_BASELINES = (GREEDY, DQN, DDPG)
"""The three baselines of section 6."""
STYLES = {
    CGAN: plots.Style(CGAN, plots.BLUE, "-", "o"),
    MADDPG: plots.Style(MADDPG, plots.ORANGE, "-", "^"),
    DDPG: plots.Style(DDPG, plots.SKY, "--", "s"),
    DQN: plots.Style(DQN, plots.PURPLE, "--", "d"),
    IMITATION: plots.Style(IMITATION, plots.BLUE, "-.", "P"),
    DEFICIT: plots.Style(DEFICIT, plots.GREEN, "-", "D"),
    TURN: plots.Style(TURN, plots.GREY, "-.", "x"),
    GREEDY: plots.Style(GREEDY, plots.VERMILION, "-.", "v"),
    OPTIMUM: plots.Style(OPTIMUM, plots.BLACK, "-", "*"),
    measurements.BOUND: plots.Style(measurements.BOUND, plots.BLACK, ":", "|"),
    CENTRALISED: plots.Style(CENTRALISED, plots.BLACK, "--", "s"),
    FEDAVG: plots.Style(FEDAVG, plots.SKY, "-", "D"),
    PERSONALISED: plots.Style(PERSONALISED, plots.BLUE, "-", "o"),
    LITERAL: plots.Style(LITERAL, plots.VERMILION, ":", "v"),
}


@dataclass(frozen=True)
class Point:
    """A point of the figures."""

    users: int
    servers: int


@dataclass(frozen=True)
class Sizes:
    """Sizes of a reproduction: replicates, instances, training steps and points.

    Attributes
    ----------
    replicates : int
        Number of seeds of trainings and of held-out instances.
    common : (int, int)
        Users and servers unless a figure varies them.
    users, servers : tuple of int
        Of Figs. 6 and 7, and of Figs. 8 and 9.
    test_instances : int
        Held-out episodes, the same for all methods of a replicate.
    optimum : mapping
        Options of the exact solver in each of them.
    slots : mapping
        Slots of all parallel environments in a training of each of `LEARNERS`, about its gradient steps; other learners
        are not trained. ``steps`` of a budget are these times environments and users.
    demonstrations, imitation_steps : int
        Episodes of the optimum that are imitated, and gradient steps of imitation; none without episodes.
    expert : mapping
        Options of the exact solver in each of these.
    counted_users : tuple of int
        Numbers of users for which bytes are counted in trainings of a few rounds.
    deviations : tuple of float
        Relative deviations of the twin.
    twin_instances : int
        Slots that are optimised on the twin's data.
    digit_steps, judge_steps, digit_rounds : int
        Training steps of digit generators and of the judge; rounds in which 100 of each label are generated.
    sample_steps : int
        Training steps of the generators of smaller data sets.
    changes : mapping
        Settings that differ from the learners' defaults.
    """

    replicates: int
    common: tuple[int, int]
    users: tuple[int, ...]
    servers: tuple[int, ...]
    test_instances: int
    optimum: Mapping[str, Any]
    slots: Mapping[str, int]
    demonstrations: int
    imitation_steps: int
    expert: Mapping[str, Any]
    counted_users: tuple[int, ...]
    deviations: tuple[float, ...]
    twin_instances: int
    digit_steps: int
    judge_steps: int
    digit_rounds: int
    sample_steps: int
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
    def common(self) -> Point:
        """The point that is used where one is enough."""
        return Point(*self.sizes.common)

    def test(self, replicate: int) -> Json:
        """Count and seed of the held-out instances, and their scenario where it varies."""
        return {"count": self.sizes.test_instances, "seed": 2_000_000 + replicate}

    def expert_seed(self, replicate: int) -> int:
        """Seed of the instances in demonstrations."""
        return 1_000_000 + replicate

    def scenario(self, **changes: Any) -> Json:
        """All fields of a scenario as JSON values."""
        return TwinInferenceScenario.preset("paper", **{**self.base, **changes}).model_dump(mode="json")

    def at(self, point: Point) -> Json:
        """Scenario of a point."""
        return self.scenario(users=point.users, servers=point.servers)

    # ------------------------------------------------------------------------------------------------------- units

    def solvers(self, replicate: int, point: Point, chosen: Chosen) -> Unit:
        """Unit that measures solvers on held-out instances."""
        parameters = {
            "scenario": self.at(point),
            "solvers": {label: {"name": name, "options": dict(options)} for label, (name, options) in chosen.items()},
            **self.test(replicate),
        }
        return Unit(measurements.apply_solvers, parameters, {REPLICATE: replicate})

    def rules(self, replicate: int, point: Point) -> list[Unit]:
        """Units of the rules and of the optimum."""
        optimum: Chosen = {OPTIMUM: ("exact", self.sizes.optimum)}
        return [self.solvers(replicate, point, RULES), self.solvers(replicate, point, optimum)]

    def learner(self, method: str, **changes: Any) -> Json:
        """Name and all settings of a learner, so that a changed default gives another unit."""
        published = {"federation": {"rule": "personalised"}} if method == CGAN else {}
        settings = {**AGENT_SETTINGS, **published, **self.sizes.changes.get(method, {}), **changes}
        made = registry.learner(LEARNERS[method], **settings).model_dump(mode="json")
        return {"name": LEARNERS[method], "settings": made}

    def steps(self, learner: Json, point: Point, slots: int) -> int:
        """Budget in steps of a number of slots of all environments."""
        settings = learner["settings"].get("options", learner["settings"])
        return slots * int(settings["num_envs"]) * point.users

    def training(self, replicate: int, point: Point, method: str, learner: Json, slots: int, **parameters: Any) -> Unit:
        """Unit of one training with its curve and test."""
        parameters = {
            "scenario": self.at(point),
            "learner": learner,
            "steps": self.steps(learner, point, slots),
            "seed": replicate,
            "test": self.test(replicate),
            **parameters,
        }
        return Unit(measurements.train, parameters, {REPLICATE: replicate, "method": method})

    def trained(self, replicate: int, point: Point, methods: Iterable[str] = tuple(LEARNERS)) -> list[Unit]:
        """Trainings of learners for a point."""
        return [
            self.training(replicate, point, method, self.learner(method), self.sizes.slots[method])
            for method in methods
            if method in self.sizes.slots
        ]

    def federated(self, replicate: int) -> list[Unit]:
        """MADDPG at the common point under each rule of federation."""
        own = self.learner(MADDPG)
        options = {name: value for name, value in own["settings"].items() if name not in ("shared", "federation")}
        found = []
        for label, rule in FEDERATED.items():
            made = registry.learner("federated", learner=LEARNERS[MADDPG], options=options, rule=rule)
            learner = {"name": "federated", "settings": made.model_dump(mode="json")}
            found.append(self.training(replicate, self.common, label, learner, self.sizes.slots[MADDPG]))
        return found

    def imitation(self, replicate: int, point: Point) -> list[Unit]:
        """Unit of agents that imitate the optimum, if there are demonstrations."""
        sizes = self.sizes
        if not sizes.demonstrations:
            return []
        made = registry.learner("imitation-agents", **AGENT_SETTINGS, **sizes.changes.get(IMITATION, {})).model_dump(
            mode="json"
        )
        parameters = {
            "scenario": self.at(point),
            "learner": {"name": "imitation-agents", "settings": made},
            "steps": sizes.imitation_steps,
            "seed": replicate,
            "test": self.test(replicate),
            "demonstrations": {
                "solver": "exact",
                "options": dict(sizes.expert),
                "count": sizes.demonstrations,
                "seed": self.expert_seed(replicate),
            },
        }
        return [Unit(measurements.train, parameters, {REPLICATE: replicate, "method": IMITATION})]


def point_of(scenario: Mapping[str, Any]) -> Point:
    """Point of a scenario."""
    return Point(scenario["users"], scenario["servers"])


def rows_by_method(unit: Unit, result: Result) -> Iterator[tuple[str, Json]]:
    """Method and numbers of each test of a unit."""
    if unit.function is measurements.train:
        yield unit.labels["method"], result["test"]
        return
    yield from result.items()


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods in the order of tables and legends."""
    present = set(methods)
    return [method for method in STYLES if method in present]
