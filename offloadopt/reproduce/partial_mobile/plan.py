"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.partial_mobile.kappa import KappaTable
from offloadopt.reproduce.partial_mobile.stability import StabilityFigure
from offloadopt.reproduce.partial_mobile.study import (
    DISCRETE,
    PRETRAINED,
    SB3_A2C,
    SB3_DDPG,
    SB3_DQN,
    PartialMobileStudy,
    Sizes,
    Variant,
)
from offloadopt.reproduce.partial_mobile.sweeps import grid_figure, users_figure
from offloadopt.reproduce.partial_mobile.table import WEIGHTS, weight_table
from offloadopt.reproduce.study import Plan

PAPERS_OWN, BLIND, FREE = "to the letter of the paper", "without normalisation", "without encoding"
SHORT: Mapping[str, Any] = {"actor_delay": 200, "warm_up": 100}
"""For trainings of 2,500 gradient steps."""

FULL = Sizes(
    replicates=5,
    weights=WEIGHTS,
    learned_weights=WEIGHTS,
    test_instances=5,
    users=(5, 10, 20, 30, 40),
    user_slots=40,
    user_episodes=5,
    user_gap=1e-4,
    levels=(3, 5, 9),
    level_weights=WEIGHTS,
    kappa_weights=WEIGHTS,
    kappa_slots=100,
    kappa_exponents=tuple(-29.0 + 0.25 * step for step in range(17)),
    kappa_refinements=10,
    steps={DISCRETE: 480_000, PRETRAINED: 40_000, SB3_DQN: 2_000_000, SB3_DDPG: 200_000, SB3_A2C: 200_000},
    variants={
        PAPERS_OWN: Variant({}, 40_000, published=True),
        BLIND: Variant({"normalise": False}, 480_000),
        FREE: Variant({"encoding": "none"}, 480_000),
    },
)
QUICK = replace(
    FULL,
    replicates=2,
    learned_weights=(0.1, 0.5, 0.9),
    test_instances=1,
    users=(5, 40),
    user_slots=5,
    user_episodes=6,
    user_gap=1e-3,
    level_weights=(0.1, 0.5, 0.9),
    kappa_weights=(0.1, 0.5, 0.9),
    kappa_slots=8,
    kappa_exponents=tuple(-29.0 + 0.5 * step for step in range(9)),
    kappa_refinements=6,
    steps={DISCRETE: 40_000, PRETRAINED: 5_000, SB3_DQN: 400_000},
    changes=SHORT,
    variants={
        PAPERS_OWN: Variant({"buffer_size": 4000}, 8_000, published=True),
        BLIND: Variant({**SHORT, "normalise": False}, 40_000),
        FREE: Variant({**SHORT, "encoding": "none"}, 40_000),
    },
)
SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 1 held-out episode "
    "each, not 5",
    "5 and 40 users in episodes of 5 slots, not 5 to 40 in 40; the server's energy is fitted to three rows of Table 3 "
    "with 8 slots",
    "learners at three weights and with short trainings; of Stable-Baselines3 DQN alone",
)


def artefacts(study: PartialMobileStudy) -> list[Artefact]:
    """Table 3, the fit of the server's energy, and the figures."""
    stability = [StabilityFigure(study)] if study.sizes.steps else []
    return [weight_table(study), KappaTable(study), users_figure(study), *stability, grid_figure(study)]


PLAN = Plan(PartialMobileStudy, {"quick": QUICK, "full": FULL}, SHORTENED, artefacts)
