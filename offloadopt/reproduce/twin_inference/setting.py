"""What all artefacts share: sizes, scenarios, seeds, the methods, and the trainings that several of them need."""

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
"""By what they are called: registered names and options."""

CGAN, MADDPG, DDPG, DQN = "MADDPG-CGAN", "MADDPG", "DDPG", "DQN"
IMITATION = "imitates the optimum"
GREEDY, TURN, DEFICIT, OPTIMUM = "Greedy", "servers in turn", "energy deficits", "optimum"
CENTRALISED, FEDAVG, PERSONALISED, LITERAL = "centralised", "FedAvg", "personalised", "(24)-(25) as printed"
AGENT_SETTINGS: Mapping[str, Any] = {"view": "full", "controls": "priority", "shared": False}
"""Of every learner: agents see their own tasks, battery and links, set priorities, and have networks of their own.

MADDPG-CGAN shares their weights besides, as published.
"""
LEARNERS: Mapping[str, str] = {CGAN: "maddpg-cgan", MADDPG: "maddpg", DDPG: "ddpg-vdn", DQN: "dqn-vdn"}
"""DQN and DDPG are value-decomposed, as the paper has them."""
RULES: Chosen = {GREEDY: ("greedy", {}), TURN: ("round-robin", {}), DEFICIT: ("lyapunov", {})}
"""Greedy is the paper's: everybody decides for itself alone. The last is a centre's that does not know the future."""
FEDERATED: Mapping[str, str] = {
    CENTRALISED: "centralised",
    FEDAVG: "average",
    PERSONALISED: "personalised",
    LITERAL: "literal",
}
"""MADDPG under each of these rules; without one it is MADDPG."""
PAPER_METHODS = (GREEDY, DQN, DDPG, MADDPG)
"""What the paper compares MADDPG-CGAN with."""
HEADLINE_BASELINES = (GREEDY, DQN, DDPG)
"""Which it calls the three baselines of section 6."""
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
    """One setting of the figures."""

    users: int
    servers: int


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes
    ----------
    replicates : int
        Seeds of training and of held-out nature.
    common : (int, int)
        Users and servers where nothing else is said.
    users, servers : tuple of int
        Of Figs. 6 and 7, and of Figs. 8 and 9.
    test_instances : int
        Held-out episodes, the same for all methods of a replicate.
    optimum : mapping
        Options of the optimum's search in each.
    slots : mapping
        Slots of all environments side by side in a training of each of `LEARNERS`, about its gradient steps; those
        that it leaves out are not trained. ``steps`` of a budget are these times environments and users.
    demonstrations, imitation_steps : int
        Episodes of the optimum that its pupils imitate, and their gradient steps; none without episodes.
    expert : mapping
        Options of the optimum's search in each of these.
    counted_users : tuple of int
        For which bytes are counted in trainings of a few rounds.
    deviations : tuple of float
        Of the twin.
    twin_instances : int
        Slots that are planned on the twin.
    digit_steps, judge_steps, digit_rounds : int
        Training steps of generators of digits, and of who judges them; rounds in which 100 of each label are made.
    sample_steps : int
        Training steps of the generators of smaller data sets.
    changes : mapping
        Settings of learners that differ from their defaults.
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
    """Sizes with the scenario that they are applied to.

    Attributes
    ----------
    base : mapping
        Fields of the scenario that differ from the preset in every artefact.
    """

    sizes: Sizes
    base: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replicates(self) -> range:
        """Their numbers, which are seeds of training."""
        return range(1, self.sizes.replicates + 1)

    @property
    def common(self) -> Point:
        """Where one setting is enough."""
        return Point(*self.sizes.common)

    def test(self, replicate: int) -> Json:
        """Held-out instances."""
        return {"count": self.sizes.test_instances, "seed": 2_000_000 + replicate}

    def expert_seed(self, replicate: int) -> int:
        """Seed of nature in demonstrations."""
        return 1_000_000 + replicate

    def scenario(self, **changes: Any) -> Json:
        """All fields of a scenario."""
        return TwinInferenceScenario.preset("paper", **{**self.base, **changes}).model_dump(mode="json")

    def at(self, point: Point) -> Json:
        """The scenario of a point."""
        return self.scenario(users=point.users, servers=point.servers)

    # ------------------------------------------------------------------------------------------------------- units

    def solvers(self, replicate: int, point: Point, chosen: Chosen) -> Unit:
        """What solvers achieve on held-out instances."""
        parameters = {
            "scenario": self.at(point),
            "solvers": {label: {"name": name, "options": dict(options)} for label, (name, options) in chosen.items()},
            **self.test(replicate),
        }
        return Unit(measurements.apply_solvers, parameters, {REPLICATE: replicate})

    def rules(self, replicate: int, point: Point) -> list[Unit]:
        """The rules, and the optimum."""
        optimum: Chosen = {OPTIMUM: ("exact", self.sizes.optimum)}
        return [self.solvers(replicate, point, RULES), self.solvers(replicate, point, optimum)]

    def learner(self, method: str, **changes: Any) -> Json:
        """A learner with all its settings, so that a changed default is another piece of work."""
        published = {"federation": {"rule": "personalised"}} if method == CGAN else {}
        settings = {**AGENT_SETTINGS, **published, **self.sizes.changes.get(method, {}), **changes}
        made = registry.learner(LEARNERS[method], **settings).model_dump(mode="json")
        return {"name": LEARNERS[method], "settings": made}

    def steps(self, learner: Json, point: Point, slots: int) -> int:
        """The budget of so many slots of all environments."""
        settings = learner["settings"].get("options", learner["settings"])
        return slots * int(settings["num_envs"]) * point.users

    def training(self, replicate: int, point: Point, method: str, learner: Json, slots: int, **parameters: Any) -> Unit:
        """One learner's training with its curve and its test."""
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
        """Agents that imitate the optimum, if there are demonstrations."""
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
    """Where a piece of work was done."""
    return Point(scenario["users"], scenario["servers"])


def rows_by_method(unit: Unit, result: Result) -> Iterator[tuple[str, Json]]:
    """Method and numbers of everything that a unit of rules or a training tested."""
    if unit.function is measurements.train:
        yield unit.labels["method"], result["test"]
        return
    yield from result.items()


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods as they stand in tables and legends."""
    present = set(methods)
    return [method for method in STYLES if method in present]
