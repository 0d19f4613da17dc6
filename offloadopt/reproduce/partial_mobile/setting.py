"""Settings that all artefacts share: sizes, scenarios, seeds, methods, and trainings that several of them need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from offloadopt import registry
from offloadopt.problems.partial_mobile import PartialMobileScenario
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Unit
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.training import Json

Chosen = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Registered name and options of each method by its label."""

EXACT, GRID, BOUND = "optimum", "optimum on the grid", "proved bound"
GREEDY, RANDOM, LOCAL = "nearest server", "random server", "all local"
EDGE_ONLY, RANDOM_REQUESTS = "edge only, even requests", "random requests"
DISCRETE, PRETRAINED = "discretised DDPG", "discretised DDPG, taught"
SB3_DQN, SB3_DDPG, SB3_A2C = "SB3 DQN", "SB3 DDPG", "SB3 actor-critic"
RULES: Chosen = {
    GREEDY: ("greedy", {}),
    RANDOM: ("random", {}),
    LOCAL: ("local", {}),
    EDGE_ONLY: ("edge-only", {}),
    RANDOM_REQUESTS: ("random-requests", {}),
}
"""In the first three, servers share their CPU optimally among their users, so that they are never overloaded."""
LEARNERS: Chosen = {
    DISCRETE: ("ddpg-discrete", {}),
    PRETRAINED: ("ddpg-discrete", {"imitation_steps": 1000, "actor_delay": 1000}),
    SB3_DQN: ("dqn-sb3", {}),
    SB3_DDPG: ("ddpg-sb3", {}),
    SB3_A2C: ("a2c-sb3", {}),
}
"""The pretrained one first imitates the optimum, which the paper's does not. Of Stable-Baselines3,
DQN chooses on the paper's grid for each user; DDPG and the actor-critic choose servers by scores, and leave ratio and
CPU to the optimal sharing."""
LEVELS = 5
"""K of Algorithm 2."""
STYLES = {
    EXACT: plots.Style(EXACT, plots.BLACK, "-"),
    GRID: plots.Style(f"{GRID} (K = {LEVELS})", plots.BLACK, "--", "s"),
    DISCRETE: plots.Style(DISCRETE, plots.BLUE, "-", "o"),
    PRETRAINED: plots.Style(PRETRAINED, plots.VERMILION, "--", "D"),
    SB3_DQN: plots.Style(SB3_DQN, plots.SKY, "-", "s"),
    SB3_DDPG: plots.Style(SB3_DDPG, plots.SKY, ":", "P"),
    SB3_A2C: plots.Style(SB3_A2C, plots.SKY, "--", "X"),
    GREEDY: plots.Style(GREEDY, plots.GREEN, "-.", "v"),
    RANDOM: plots.Style(RANDOM, plots.PURPLE, "-.", "<"),
    LOCAL: plots.Style(LOCAL, plots.GREY, "-.", "x"),
    EDGE_ONLY: plots.Style(EDGE_ONLY, plots.ORANGE, ":", "^"),
    RANDOM_REQUESTS: plots.Style(RANDOM_REQUESTS, plots.PURPLE, ":", "d"),
}


@dataclass(frozen=True)
class Variant:
    """A variant of the discretised DDPG that is compared with its default.

    Attributes
    ----------
    settings : mapping
        Those that differ from its defaults.
    steps : int
        Of training.
    """

    settings: Mapping[str, Any]
    steps: int


@dataclass(frozen=True)
class Sizes:
    """Sizes of a reproduction: replicates, instances, training steps and points.

    Attributes
    ----------
    replicates : int
        Number of seeds of trainings and of held-out instances.
    weights : tuple of float
        Of time, where solvers make Table 3.
    learned_weights : tuple of float
        Those of them at which learners are trained.
    episodes : int
        Held out, the same for all methods of a replicate.
    users : tuple of int
        Of the curves against their number.
    user_slots, user_episodes : int
        Slots of an episode there, and episodes that are held out.
    user_gap : float
        Relative gap to which the optimum is proved there.
    levels : tuple of int
        K of the grids whose excess cost is measured.
    level_weights : tuple of float
        Weights at which it is.
    kappa_weights : tuple of float
        Rows of Table 3 that the server's energy coefficient is fitted to.
    kappa_slots : int
        Slots that a fit decides.
    kappa_exponents : tuple of float
        Decimal logarithms of the coefficients tried first.
    kappa_refinements : int
        Golden-section steps after them.
    steps : mapping
        Training steps by label of `LEARNERS`; other learners are not trained.
    changes : mapping
        Settings of the discretised DDPG that differ from its defaults.
    variants : mapping of str to Variant
        By what they are called.
    demonstrations : int
        Episodes of the optimum that the pretrained learner imitates.
    """

    replicates: int
    weights: tuple[float, ...]
    learned_weights: tuple[float, ...]
    episodes: int
    users: tuple[int, ...]
    user_slots: int
    user_episodes: int
    user_gap: float
    levels: tuple[int, ...]
    level_weights: tuple[float, ...]
    kappa_weights: tuple[float, ...]
    kappa_slots: int
    kappa_exponents: tuple[float, ...]
    kappa_refinements: int
    steps: Mapping[str, int]
    changes: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    demonstrations: int = 30


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
        """Seed of the held-out episodes."""
        return 2_000_000 + replicate

    def scenario(self, **changes: Any) -> Json:
        """All fields of a scenario as JSON values."""
        return PartialMobileScenario.preset("paper", **{**self.base, **changes}).model_dump(mode="json")

    def grid(self, levels: int = LEVELS) -> Chosen:
        """The optimum on a grid of decisions, proved to a relative gap of 0.1 %."""
        return {GRID: ("grid-milp", {"levels": levels, "relative_gap": 1e-3})}

    def optimum(self, replicate: int, scenario: Json, **labels: Any) -> Unit:
        """Unit of the exact optimum in held-out episodes."""
        return self.solvers(replicate, scenario, {EXACT: ("exact", {})}, **labels)

    def solvers(
        self, replicate: int, scenario: Json, chosen: Chosen, *, episodes: int | None = None, **labels: Any
    ) -> Unit:
        """Unit that measures solvers in held-out episodes."""
        parameters = {
            "scenario": scenario,
            "solvers": {label: {"name": name, "options": dict(options)} for label, (name, options) in chosen.items()},
            "count": episodes or self.sizes.episodes,
            "seed": self.test_seed(replicate),
        }
        return Unit(measurements.apply_solvers, parameters, {REPLICATE: replicate, **labels})

    def learner(self, method: str, settings: Mapping[str, Any] | None = None) -> Json:
        """Name and all settings of a learner, so that a changed default gives another unit."""
        name, own = LEARNERS[method]
        if settings is None:
            settings = self.sizes.changes if method == DISCRETE else {}
        return {"name": name, "settings": registry.learner(name, **{**own, **settings}).model_dump(mode="json")}

    def learned(self, replicate: int, scenario: Json, **labels: Any) -> list[Unit]:
        """Trainings of all learners, tested in held-out episodes of the same scenario."""
        return [
            self.training(
                replicate,
                scenario,
                self.learner(method),
                steps,
                demonstrations=self._demonstrations(replicate) if method == PRETRAINED else None,
                method=method,
                **labels,
            )
            for method, steps in self.sizes.steps.items()
        ]

    def _demonstrations(self, replicate: int) -> Json:
        return {
            "solver": "exact",
            "options": {"relative_gap": 1e-3},
            "count": self.sizes.demonstrations,
            "seed": 1_000_000 + replicate,
        }

    def training(
        self,
        replicate: int,
        scenario: Json,
        learner: Json,
        steps: int,
        *,
        demonstrations: Json | None = None,
        episodes: int | None = None,
        **labels: Any,
    ) -> Unit:
        """Unit of one training with its curve and test."""
        parameters = {
            "scenario": scenario,
            "learner": learner,
            "demonstrations": demonstrations,
            "steps": steps,
            "seed": replicate,
            "count": episodes or self.sizes.episodes,
            "test_seed": self.test_seed(replicate),
        }
        return Unit(measurements.train, parameters, {REPLICATE: replicate, **labels})


def rows_by_method(unit: Unit, result: Mapping[str, Any]) -> list[tuple[str, Json]]:
    """Method and numbers of each test of a unit."""
    if unit.function is measurements.train:
        return [(unit.labels["method"], result["test"])]
    return list(result.items())


def known_learners(steps: Mapping[str, int]) -> dict[str, int]:
    """Select the learners that are registered; some need a package that may not be installed."""
    names = registry.names("learners")
    return {method: count for method, count in steps.items() if LEARNERS[method][0] in names}


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods in the order of tables and legends."""
    present = set(methods)
    return [method for method in STYLES if method in present]
