"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from dataclasses import replace

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.battery_d2d.study import (
    MADDPG,
    PPO,
    RMAPPO,
    SB3_DDPG,
    SB3_DQN,
    SB3_PPO,
    BatteryD2DStudy,
    Sizes,
)
from offloadopt.reproduce.battery_d2d.sweeps import capacity_figure, tasks_figure, training_figure
from offloadopt.reproduce.battery_d2d.terms import frequency_figure, terms_table
from offloadopt.reproduce.battery_d2d.windows import HindsightTable, ImitationTable
from offloadopt.reproduce.study import Plan

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
SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 64 held-out "
    "instances, not 200",
    "clipped deadlines alone, three points a figure, and one short training of each learner at 500 J and chance 0.5 "
    "that is used everywhere, not a quarter of an hour at each point: no other capacity and load is trained for",
    "20 windows of the optimum to compare with, and 25 to imitate, not 100 and 500",
)


def artefacts(study: BatteryD2DStudy) -> list[Artefact]:
    """Figures and tables, without those that only learners can show where none is installed."""
    learned = study.sizes.steps
    return [
        capacity_figure(study),
        tasks_figure(study),
        frequency_figure(study),
        *([training_figure(study)] if learned else []),
        terms_table(study),
        HindsightTable(study),
        *([ImitationTable(study)] if RMAPPO in learned else []),
    ]


PLAN = Plan(BatteryD2DStudy, {"quick": QUICK, "full": FULL}, SHORTENED, artefacts)
