"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.battery_d2d.frequency import FrequencyFigure
from offloadopt.reproduce.battery_d2d.learning import TrainingFigure
from offloadopt.reproduce.battery_d2d.setting import (
    MADDPG,
    PPO,
    RMAPPO,
    SB3_DDPG,
    SB3_DQN,
    SB3_PPO,
    Setting,
    Sizes,
    known_learners,
)
from offloadopt.reproduce.battery_d2d.sweeps import CapacityFigure, TasksFigure
from offloadopt.reproduce.battery_d2d.terms import TermsTable
from offloadopt.reproduce.battery_d2d.windows import HindsightTable, ImitationTable

FULL = Sizes(
    replicates=5,
    test_instances=200,
    presets=("clipped-delay", "paper"),
    capacities_j=(400.0, 500.0, 800.0, 1200.0, 2000.0),
    chances=(0.2, 0.35, 0.5, 0.7, 0.9),
    each_point=True,
    # A quarter of an hour each.
    steps={
        RMAPPO: 20_000_000,
        MADDPG: 6_000_000,
        PPO: 55_000_000,
        SB3_PPO: 2_000_000,
        SB3_DDPG: 700_000,
        SB3_DQN: 25_000_000,
    },
    window={"users": 3, "servers": 1, "horizon": 5},
    window_instances=100,
    window_tasks=10,
    window_seconds=60.0,
    window_steps=5_000_000,
    window_environments=1024,
    demonstrations=500,
    window_demonstrations=5000,
    optimum_demonstrations=500,
    imitation_steps=3000,
)
QUICK = replace(
    FULL,
    replicates=2,
    test_instances=64,
    presets=("clipped-delay",),
    capacities_j=(400.0, 500.0, 2000.0),
    chances=(0.2, 0.5, 0.9),
    each_point=False,
    steps={
        RMAPPO: 800_000,
        MADDPG: 200_000,
        PPO: 2_000_000,
        SB3_PPO: 80_000,
        SB3_DDPG: 25_000,
        SB3_DQN: 800_000,
    },
    window_instances=20,
    window_seconds=4.0,
    window_steps=250_000,
    window_environments=512,
    demonstrations=64,
    window_demonstrations=500,
    optimum_demonstrations=25,
    imitation_steps=300,
)
SIZES = {"quick": QUICK, "full": FULL}
SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 64 held-out "
    "instances, not 200",
    "clipped deadlines alone, three points a figure, and one short training of each learner at 500 J and chance 0.5 "
    "that is used everywhere, not a quarter of an hour at each point: no other capacity and load is trained for",
    "20 windows of the optimum to compare with, and 25 to imitate, not 100 and 500",
)
"""Differences of a quick run from a full one."""


def make(size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """Build the paper's tables and figures in one size.

    Parameters
    ----------
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        Refused: the paper's devices are anywhere in a room.
    """
    if size not in SIZES:
        raise UnknownName(f"no size {size!r}; {nearest(size, SIZES)}")
    if users_file is not None or sites_file is not None:
        raise InvalidInput("users_file and sites_file are for multi_server; battery_d2d has no real places")
    return of_setting(size, Setting(SIZES[size]), SHORTENED if size == "quick" else ())


def of_setting(size: str, setting: Setting, shortened: Sequence[str] = ()) -> Paper:
    """Build all artefacts of a setting, without learners that are not installed."""
    setting = replace(setting, sizes=replace(setting.sizes, steps=known_learners(setting.sizes.steps)))
    learned = setting.sizes.steps
    artefacts: list[Artefact] = [CapacityFigure(setting), TasksFigure(setting), FrequencyFigure(setting)]
    if learned:
        artefacts.append(TrainingFigure(setting))
    artefacts += [TermsTable(setting), HindsightTable(setting)]
    if RMAPPO in learned:
        artefacts.append(ImitationTable(setting))
    settings = json.loads(json.dumps({"sizes": asdict(setting.sizes), "base": dict(setting.base)}))
    return Paper("battery_d2d", size, settings, shortened, artefacts)
