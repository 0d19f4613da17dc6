"""Methods and sizes of the study, and the trainings that several artefacts need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.measurements import BOUND, HINDSIGHT
from offloadopt.reproduce.study import Chosen, Study, sizes
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

SIZES = sizes(
    replicates=(2, 5),
    test_instances=(50, 200),
    # Mean arrivals in quanta (kbit) per slot and user.
    loads=((1.0, 3.0, 10.0), tuple(float(load) for load in range(1, 11))),
    # Whether learners are trained at each load. Otherwise once, with loads drawn from the whole range: what they
    # learn is then dominated by overload, which costs hundreds of times as much as anything else.
    each_load=(False, True),
    steps=(
        {CADDTO: 500_000, ENERGY: 4_000_000, PPO: 4_000_000, DDPG: 500_000},
        {
            CADDTO: 2_500_000,
            ENERGY: 6_000_000,
            PPO: 6_000_000,
            DDPG: 5_000_000,
            SB3_PPO: 2_000_000,
            SB3_DDPG: 500_000,
        },
    ),
    changes=({}, {}),
    # Of the inference times.
    users=((1, 5, 20, 100), (1, 2, 5, 10, 20, 50, 100)),
    # Of the ancestor's curve, in kbit per slot.
    rates=((1.5, 2.0, 4.0), (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)),
    # Slots over which a point of that curve is averaged.
    ancestor_slots=(20_000, 100_000),
    # Training steps of the ancestor's learners, by name.
    ancestor_steps=({}, {"DDPG": 400_000, "DQN": 400_000}),
    # Training steps where one user is compared with the dynamic programme.
    one_user_steps=(1_500_000, 5_000_000),
    # Lyapunov's V, in bit^2 per unit of energy cost.
    values_of_v=((1e8, 2e8, 4e8), (5e7, 1e8, 2e8, 4e8, 8e8)),
    # Demonstrations, and imitation steps of them.
    expert_instances=(50, 500),
    expert_steps=(1000, 3000),
)


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
