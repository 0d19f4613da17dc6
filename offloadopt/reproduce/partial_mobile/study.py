"""Methods and sizes of the study, and the trainings that several artefacts need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.partial_mobile import measurements
from offloadopt.reproduce.study import Chosen, Study, sizes
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


class Variant(NamedTuple):
    """A variant of the discretised DDPG, with the settings that differ from its defaults or from the paper's."""

    settings: Mapping[str, Any]
    steps: int
    published: bool = False


WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of time, in Table 3."""
PAPERS_OWN, BLIND, FREE = "to the letter of the paper", "without normalisation", "without encoding"
SHORT: Mapping[str, Any] = {"actor_delay": 200, "warm_up": 100}
"""For trainings of 2,500 gradient steps."""
SIZES = sizes(
    replicates=(2, 5),
    # Weights at which solvers make Table 3, and those at which learners are trained.
    weights=(WEIGHTS, WEIGHTS),
    learned_weights=((0.1, 0.5, 0.9), WEIGHTS),
    test_instances=(1, 5),
    # Curves against the number of users: slots of an episode, held-out episodes, and the gap of the optimum's proof.
    users=((5, 40), (5, 10, 20, 30, 40)),
    user_slots=(5, 40),
    user_episodes=(6, 5),
    user_gap=(1e-3, 1e-4),
    # K of the grids whose excess cost is measured, and weights at which it is.
    levels=((3, 5, 9), (3, 5, 9)),
    level_weights=((0.1, 0.5, 0.9), WEIGHTS),
    # Rows of Table 3 that the server's energy coefficient is fitted to, slots that a fit decides, decimal logarithms of
    # the coefficients tried first, and golden-section steps after them.
    kappa_weights=((0.1, 0.5, 0.9), WEIGHTS),
    kappa_slots=(8, 100),
    kappa_exponents=(tuple(-29.0 + 0.5 * step for step in range(9)), tuple(-29.0 + 0.25 * step for step in range(17))),
    kappa_refinements=(6, 10),
    steps=(
        {DISCRETE: 40_000, PRETRAINED: 5_000, SB3_DQN: 400_000},
        {DISCRETE: 480_000, PRETRAINED: 40_000, SB3_DQN: 2_000_000, SB3_DDPG: 200_000, SB3_A2C: 200_000},
    ),
    # Of the discretised DDPG.
    changes=(SHORT, {}),
    variants=(
        {
            PAPERS_OWN: Variant({"buffer_size": 4000}, 8_000, published=True),
            BLIND: Variant({**SHORT, "view": "unscaled", "standardise": False}, 40_000),
            FREE: Variant({**SHORT, "encoding": "none"}, 40_000),
        },
        {
            PAPERS_OWN: Variant({}, 40_000, published=True),
            BLIND: Variant({"view": "unscaled", "standardise": False}, 480_000),
            FREE: Variant({"encoding": "none"}, 480_000),
        },
    ),
    # Episodes of the optimum that the pretrained learner imitates.
    demonstrations=(30, 30),
)


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
