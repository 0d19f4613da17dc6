"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.learners.ddpg_discrete.ddpg_discrete import PAPER
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.partial_mobile.kappa import KappaTable
from offloadopt.reproduce.partial_mobile.setting import (
    DISCRETE,
    PRETRAINED,
    SB3_A2C,
    SB3_DDPG,
    SB3_DQN,
    Setting,
    Sizes,
    Variant,
    known_learners,
)
from offloadopt.reproduce.partial_mobile.stability import StabilityFigure
from offloadopt.reproduce.partial_mobile.sweeps import GridFigure, UsersFigure
from offloadopt.reproduce.partial_mobile.table import WEIGHTS, WeightTable

PAPERS_OWN, BLIND, FREE = "to the letter of the paper", "without normalisation", "without encoding"
SHORT: Mapping[str, Any] = {"actor_delay": 200, "warm_up": 100}
"""For trainings of 2,500 gradient steps."""

FULL = Sizes(
    replicates=5,
    weights=WEIGHTS,
    learned_weights=WEIGHTS,
    episodes=5,
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
        PAPERS_OWN: Variant(PAPER, 40_000),
        BLIND: Variant({"normalise": False}, 480_000),
        FREE: Variant({"encoding": "none"}, 480_000),
    },
)
QUICK = replace(
    FULL,
    replicates=2,
    learned_weights=(0.1, 0.5, 0.9),
    episodes=1,
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
        PAPERS_OWN: Variant({**PAPER, "buffer_size": 4000}, 8_000),
        BLIND: Variant({**SHORT, "normalise": False}, 40_000),
        FREE: Variant({**SHORT, "encoding": "none"}, 40_000),
    },
)
SIZES = {"quick": QUICK, "full": FULL}
SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 1 held-out episode "
    "each, not 5",
    "5 and 40 users in episodes of 5 slots, not 5 to 40 in 40; the server's energy is fitted to three rows of Table 3 "
    "with 8 slots",
    "learners at three weights and with short trainings; of Stable-Baselines3 DQN alone",
)
"""Differences of a quick run from a full one."""


def make(size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """Build the paper's tables and figures in one size.

    Parameters
    ----------
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        Refused: the paper's users move in a square.
    """
    if size not in SIZES:
        raise UnknownName(f"no size {size!r}; {nearest(size, SIZES)}")
    if users_file is not None or sites_file is not None:
        raise InvalidInput(
            "users_file and sites_file are for multi_server; partial_mobile's tables have no real places"
        )
    return of_setting(size, Setting(SIZES[size]), SHORTENED if size == "quick" else ())


def of_setting(size: str, setting: Setting, shortened: Sequence[str] = ()) -> Paper:
    """Build all artefacts of a setting, without learners that are not installed."""
    setting = replace(setting, sizes=replace(setting.sizes, steps=known_learners(setting.sizes.steps)))
    artefacts: list[Artefact] = [WeightTable(setting), KappaTable(setting), UsersFigure(setting)]
    if setting.sizes.steps:
        artefacts.append(StabilityFigure(setting))
    artefacts.append(GridFigure(setting))
    settings = json.loads(json.dumps({"sizes": asdict(setting.sizes), "base": dict(setting.base)}))
    return Paper("partial_mobile", size, settings, shortened, artefacts)
