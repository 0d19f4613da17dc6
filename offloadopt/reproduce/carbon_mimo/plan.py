"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.carbon_mimo.ancestor import AncestorFigure, TradeOffFigure
from offloadopt.reproduce.carbon_mimo.learning import ExpertTable, InferenceTable, OneUserTable, TrainingFigure
from offloadopt.reproduce.carbon_mimo.loads import CarbonFigure, CostFigure, OverflowFigure
from offloadopt.reproduce.carbon_mimo.setting import CADDTO, DDPG, ENERGY, PPO, SB3_DDPG, SB3_PPO, Setting, Sizes

FULL = Sizes(
    replicates=5,
    test_instances=200,
    loads=tuple(float(load) for load in range(1, 11)),
    each_load=True,
    steps={
        CADDTO: 2_500_000,
        ENERGY: 6_000_000,
        PPO: 6_000_000,
        DDPG: 5_000_000,
        SB3_PPO: 2_000_000,
        SB3_DDPG: 500_000,
    },
    changes={},
    users=(1, 2, 5, 10, 20, 50, 100),
    rates=(1.5, 2.0, 2.5, 3.0, 3.5, 4.0),
    ancestor_slots=100_000,
    ancestor_steps={"DDPG": 400_000, "DQN": 400_000},
    one_user_steps=5_000_000,
    values_of_v=(5e7, 1e8, 2e8, 4e8, 8e8),
    expert_instances=500,
    expert_steps=3000,
)
QUICK = Sizes(
    replicates=2,
    test_instances=50,
    loads=(1.0, 3.0, 10.0),
    each_load=False,
    steps={CADDTO: 500_000, ENERGY: 4_000_000, PPO: 4_000_000, DDPG: 500_000},
    changes={},
    users=(1, 5, 20, 100),
    rates=(1.5, 2.0, 4.0),
    ancestor_slots=20_000,
    ancestor_steps={},
    one_user_steps=1_500_000,
    values_of_v=(1e8, 2e8, 4e8),
    expert_instances=50,
    expert_steps=1000,
)
SIZES = {"quick": QUICK, "full": FULL}
SHORTENED = (
    "2 replicates (seeds of training) instead of 5, so most intervals are very wide; 50 held-out instances, not 200",
    "loads 1, 3 and 10 instead of 1 to 10, and one short training over the whole range of loads instead of one at "
    "each: overload rules what is learned; no Stable-Baselines3",
    "the ancestor's greedy rules at three rates, without its DDPG and DQN",
)
"""Differences of a quick run from a full one."""


def make(size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """Build the paper's tables and figures in one size.

    Parameters
    ----------
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        Refused: nothing here happens at real places.
    """
    if size not in SIZES:
        raise UnknownName(f"no size {size!r}; {nearest(size, SIZES)}")
    if users_file is not None or sites_file is not None:
        raise InvalidInput("users_file and sites_file are for multi_server; carbon_mimo has no real places")
    return of_setting(size, Setting(SIZES[size]), SHORTENED if size == "quick" else ())


def of_setting(size: str, setting: Setting, shortened: Sequence[str] = ()) -> Paper:
    """Build all tables and figures of a setting."""
    artefacts: list[Artefact] = [
        TrainingFigure(setting),
        CostFigure(setting),
        CarbonFigure(setting),
        OverflowFigure(setting),
        InferenceTable(setting),
        OneUserTable(setting),
        ExpertTable(setting),
        TradeOffFigure(setting),
        AncestorFigure(setting),
    ]
    settings = json.loads(json.dumps({"sizes": asdict(setting.sizes), "base": dict(setting.base)}))
    return Paper("carbon_mimo", size, settings, shortened, artefacts)
