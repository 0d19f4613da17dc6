"""Settings that all artefacts share: sizes, scenarios, seeds, rules, and trainings that several of them need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offloadopt import registry
from offloadopt.problems.carbon_mimo import CarbonMimoScenario
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Unit
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.training import Json

CADDTO, DDPG, SB3_PPO, SB3_DDPG = "CADDTO-PPO", "DDPG", "SB3 PPO", "SB3 DDPG"
ENERGY, PPO = "energy controls", "energy controls, full state"
LYAPUNOV, BLIND, GREEDY_LOCAL, GREEDY_OFFLOAD, FULL_POWER = (
    "Lyapunov", "Lyapunov, energy-blind", "GD-Local", "GD-Offload", "full power",
)  # fmt: skip
LEARNERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
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
RULES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    LYAPUNOV: ("lyapunov", {}),
    BLIND: ("lyapunov", {"carbon_aware": False}),
    GREEDY_LOCAL: ("greedy-local", {}),
    GREEDY_OFFLOAD: ("greedy-offload", {}),
    FULL_POWER: ("full-power", {}),
}
PERFECT: Mapping[str, tuple[str, Mapping[str, Any]]] = {measurements.HINDSIGHT: (measurements.EXACT, {})}
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
    measurements.HINDSIGHT: plots.Style("hindsight's decisions", plots.BLACK, ":"),
    measurements.BOUND: plots.Style(measurements.BOUND, plots.BLACK, "--"),
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
class Setting:
    """Sizes, and the scenario fields that all artefacts change.

    Attributes
    ----------
    base : mapping
        Fields of the scenario that differ from the preset ``paper`` in every artefact.
    """

    sizes: Sizes
    base: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replicates(self) -> range:
        """Numbers of the replicates, which are the seeds of trainings."""
        return range(1, self.sizes.replicates + 1)

    def test_seed(self, replicate: int) -> int:
        """Seed of the held-out instances."""
        return 2_000_000 + replicate

    def scenario(self, preset: str = "paper", **changes: Any) -> Json:
        """All fields of a scenario as JSON values."""
        return CarbonMimoScenario.preset(preset, **{**self.base, **changes}).model_dump(mode="json")

    def all_loads(self) -> Json:
        """Scenario of trainings over all loads: each instance has a load from the whole range."""
        return self.scenario(arrival_quanta=min(self.sizes.loads), arrival_quanta_to=max(self.sizes.loads))

    def test(self, replicate: int, scenario: Json, name: str, count: int | None = None) -> Json:
        """Held-out instances of a scenario."""
        count = self.sizes.test_instances if count is None else count
        return {"name": name, "scenario": scenario, "count": count, "seed": self.test_seed(replicate)}

    def solvers(
        self, replicate: int, scenario: Json, chosen: Mapping[str, tuple[str, Mapping[str, Any]]], **labels: Any
    ) -> Unit:
        """Unit that measures solvers on held-out instances."""
        solvers = {label: {"name": name, "options": dict(options)} for label, (name, options) in chosen.items()}
        test = self.test(replicate, scenario, "")
        parameters = {"scenario": scenario, "solvers": solvers, "count": test["count"], "seed": test["seed"]}
        return Unit(measurements.apply_solvers, parameters, {REPLICATE: replicate, **labels})

    def learner(self, name: str, **settings: Any) -> Json:
        """Name and all settings of a learner, so that a changed default gives another unit."""
        return {"name": name, "settings": registry.learner(name, **settings).model_dump(mode="json")}

    def training(
        self,
        replicate: int,
        scenario: Json,
        learner: Json,
        steps: int,
        tests: Sequence[Json],
        *,
        demonstrations: Json | None = None,
        users: Sequence[int] = (),
        **labels: Any,
    ) -> Unit:
        """Unit of one training with its curve and tests."""
        parameters = {
            "scenario": scenario,
            "learner": learner,
            "demonstrations": demonstrations,
            "steps": steps,
            "seed": replicate,
            "tests": list(tests),
            "users": list(users),
        }
        return Unit(measurements.train, parameters, {REPLICATE: replicate, **labels})

    def learned(self, replicate: int) -> list[Unit]:
        """Trainings of all learners, each tested at the loads that it is for."""
        sizes = self.sizes
        tests = {load: self.test(replicate, self.scenario(arrival_quanta=load), f"{load:g}") for load in sizes.loads}
        found = []
        for method, steps in sizes.steps.items():
            name, settings = LEARNERS[method]
            learner = self.learner(name, **{**settings, **sizes.changes.get(method, {})})
            users = sizes.users if method == CADDTO else ()
            if sizes.each_load:
                for load, test in tests.items():
                    found.append(
                        self.training(
                            replicate, test["scenario"], learner, steps, [test], users=users, method=method, load=load
                        )
                    )
            else:
                chosen = list(tests.values())
                found.append(
                    self.training(
                        replicate, self.all_loads(), learner, steps, chosen, users=users, method=method, load=None
                    )
                )
        return found

    def shown(self, replicate: int) -> list[Unit]:
        """One training of each learner: over all loads, or at the middle load."""
        middle = self.sizes.loads[len(self.sizes.loads) // 2]
        return [unit for unit in self.learned(replicate) if unit.labels["load"] in (None, middle)]
