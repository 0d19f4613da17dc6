"""Methods and sizes of the study, and the trainings that several artefacts need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.study import Chosen, Study
from offloadopt.reproduce.training import Json

EXACT, GRID = "optimum", "optimum on the grid"
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
OPTIMUM: Chosen = {EXACT: ("exact", {})}
LEARNERS: Chosen = {
    DISCRETE: ("ddpg-discrete", {}),
    PRETRAINED: ("ddpg-discrete", {"imitation_steps": 1000, "actor_delay": 1000}),
    SB3_DQN: ("dqn-sb3", {"controls": "requests"}),
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
        Those that differ from its defaults, or from the paper's settings.
    steps : int
        Of training.
    published : bool
        Whether the settings of the paper are the starting point.
    """

    settings: Mapping[str, Any]
    steps: int
    published: bool = False


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
    test_instances : int
        Held-out episodes.
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
    test_instances: int
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
class PartialMobileStudy(Study):
    """The study of `partial_mobile`."""

    measure = measurements.MEASURE
    learners = LEARNERS
    styles = STYLES

    def grid(self, levels: int = LEVELS) -> Chosen:
        """The optimum on a grid of decisions, proved to a relative gap of 0.1 %."""
        return {GRID: ("grid-milp", {"levels": levels, "relative_gap": 1e-3})}

    def discretised(self, method: str, settings: Mapping[str, Any]) -> Json:
        """One of `LEARNERS` with settings that differ from its own."""
        name, own = LEARNERS[method]
        return self.learner(name, **{**own, **settings})

    def variant(self, replicate: int, scenario: Json, name: str) -> Unit:
        """Training of one of the variants."""
        from offloadopt.learners.ddpg_discrete.ddpg_discrete import PAPER

        variant = self.sizes.variants[name]
        learner = self.discretised(DISCRETE, {**(PAPER if variant.published else {}), **variant.settings})
        return self.training(replicate, scenario, learner, variant.steps, method=name)

    def learned(self, replicate: int, scenario: Json, episodes: int | None = None) -> list[Unit]:
        """Trainings of all learners, tested in held-out episodes of the same scenario."""
        sizes, tests = self.sizes, [self.test(replicate, scenario, count=episodes)]
        experts = self.demonstrations(replicate, "exact", sizes.demonstrations, relative_gap=1e-3)
        return [
            self.training(
                replicate,
                scenario,
                self.discretised(method, sizes.changes if method == DISCRETE else {}),
                steps,
                tests,
                demonstrations=experts if method == PRETRAINED else None,
                method=method,
            )
            for method, steps in sizes.steps.items()
        ]
