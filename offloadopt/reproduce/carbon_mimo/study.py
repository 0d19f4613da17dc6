"""Methods and sizes of the study, and the trainings that several artefacts need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.measurements import BOUND, HINDSIGHT
from offloadopt.reproduce.study import Chosen, Study
from offloadopt.reproduce.training import Json

CADDTO, DDPG, SB3_PPO, SB3_DDPG = "CADDTO-PPO", "DDPG", "SB3 PPO", "SB3 DDPG"
ENERGY, PPO = "energy controls", "energy controls, full state"
LYAPUNOV, BLIND, GREEDY_LOCAL, GREEDY_OFFLOAD, FULL_POWER = (
    "Lyapunov", "Lyapunov, energy-blind", "GD-Local", "GD-Offload", "full power",
)  # fmt: skip
LEARNERS: Chosen = {
    CADDTO: ("caddto-ppo", {}),
    ENERGY: ("ppo", {"view": "paper", "controls": "energy"}),
    PPO: ("ppo", {"view": "full", "controls": "energy", "gae_lambda": 0.6}),
    DDPG: ("ddpg", {"view": "paper"}),
    SB3_PPO: ("ppo-sb3", {}),
    SB3_DDPG: ("ddpg-sb3", {}),
}
"""CADDTO-PPO and DDPG have the paper's observation and set two powers. With energy controls PPO, in large batches,
sets how far power differs from the green power and how it is shared: from the same view, or with the full state,
which is this slot's channel and the grid's carbon as well. The independent implementations of Stable-Baselines3
decide for all users jointly, from all their views of the paper's."""
RULES: Chosen = {
    LYAPUNOV: ("lyapunov", {}),
    BLIND: ("lyapunov", {"carbon_aware": False}),
    GREEDY_LOCAL: ("greedy-local", {}),
    GREEDY_OFFLOAD: ("greedy-offload", {}),
    FULL_POWER: ("full-power", {}),
}
PERFECT: Chosen = {HINDSIGHT: ("exact", {})}
"""The reference that knows all random quantities beforehand."""
STYLES = {
    CADDTO: plots.Style(CADDTO, plots.BLUE, "-", "o"),
    ENERGY: plots.Style(ENERGY, plots.SKY, "-", "s"),
    PPO: plots.Style(PPO, plots.SKY, "--", "P"),
    DDPG: plots.Style(DDPG, plots.ORANGE, "--", "^"),
    SB3_PPO: plots.Style(SB3_PPO, plots.BLUE, ":", "P"),
    SB3_DDPG: plots.Style(SB3_DDPG, plots.ORANGE, ":", "X"),
    LYAPUNOV: plots.Style(LYAPUNOV, plots.GREEN, "-", "D"),
    BLIND: plots.Style(BLIND, plots.GREEN, ":", "d"),
    GREEDY_LOCAL: plots.Style(GREEDY_LOCAL, plots.VERMILION, "-.", "v"),
    GREEDY_OFFLOAD: plots.Style(GREEDY_OFFLOAD, plots.PURPLE, "-.", "<"),
    FULL_POWER: plots.Style(FULL_POWER, plots.GREY, "-.", "x"),
    HINDSIGHT: plots.Style("hindsight's decisions", plots.BLACK, ":"),
    BOUND: plots.Style(BOUND, plots.BLACK, "--"),
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of a reproduction: replicates, instances, training steps and points.

    Attributes
    ----------
    replicates : int
        Number of seeds of trainings and of held-out instances.
    test_instances : int
        Held out, the same for all methods of a replicate.
    loads : tuple of float
        Mean arrivals in quanta (kbit) per slot and user.
    each_load : bool
        Whether learners are trained at each load. Otherwise once, with loads drawn from the whole range: what they
        learn is then dominated by overload, which costs hundreds of times as much as anything else.
    steps : mapping
        Training steps by label of `LEARNERS`; other learners are not trained.
    changes : mapping
        Settings that differ from the learners' defaults.
    users : tuple of int
        Of the inference times.
    rates : tuple of float
        Of the ancestor's curve, in kbit per slot.
    ancestor_slots : int
        Slots over which a point of that curve is averaged.
    ancestor_steps : mapping
        Training steps of the ancestor's learners, by name.
    one_user_steps : int
        Training steps where one user is compared with the dynamic programme.
    values_of_v : tuple of float
        Lyapunov's V, in bit^2 per unit of energy cost.
    expert_instances, expert_steps : int
        Demonstrations, and imitation steps of them.
    """

    replicates: int
    test_instances: int
    loads: tuple[float, ...]
    each_load: bool
    steps: Mapping[str, int]
    changes: Mapping[str, Mapping[str, Any]]
    users: tuple[int, ...]
    rates: tuple[float, ...]
    ancestor_slots: int
    ancestor_steps: Mapping[str, int]
    one_user_steps: int
    values_of_v: tuple[float, ...]
    expert_instances: int
    expert_steps: int


@dataclass(frozen=True)
class CarbonMimoStudy(Study):
    """The study of `carbon_mimo`."""

    measure = measurements.MEASURE
    learners = LEARNERS
    styles = STYLES

    def trainee(self, method: str, **changes: Any) -> Json:
        """One of `LEARNERS`."""
        name, settings = LEARNERS[method]
        return self.learner(name, **{**settings, **self.sizes.changes.get(method, {}), **changes})

    def learned(self, replicate: int) -> Iterator[Unit]:
        """Trainings of all learners, each tested at the loads that it is for."""
        sizes = self.sizes
        scenarios = {load: self.scenario(arrival_quanta=load) for load in sizes.loads}
        tests = {load: self.test(replicate, scenario, f"{load:g}") for load, scenario in scenarios.items()}
        points: dict[float | None, tuple[Json, list[Json]]] = {
            load: (scenario, [tests[load]]) for load, scenario in scenarios.items()
        }
        if not sizes.each_load:  # each instance has a load from the whole range
            drawn = self.scenario(arrival_quanta=min(sizes.loads), arrival_quanta_to=max(sizes.loads))
            points = {None: (drawn, list(tests.values()))}
        for method, steps in sizes.steps.items():
            timed = {"users": list(sizes.users)} if method == CADDTO else {}
            for load, (scenario, chosen) in points.items():
                yield self.training(
                    replicate, scenario, self.trainee(method), steps, chosen, parameters=timed, method=method, load=load
                )

    def shown(self, replicate: int) -> Iterator[Unit]:
        """One training of each learner: over all loads, or at the middle load."""
        middle = self.sizes.loads[len(self.sizes.loads) // 2]
        return (unit for unit in self.learned(replicate) if unit.labels["load"] in (None, middle))
