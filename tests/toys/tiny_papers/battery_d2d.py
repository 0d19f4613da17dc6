"""The smallest size of `battery_d2d`'s reproduction, and its parts by name."""

from __future__ import annotations

from typing import Any

from offloadopt.reproduce.artefact import Paper
from offloadopt.reproduce.battery_d2d import plan
from offloadopt.reproduce.battery_d2d.study import MADDPG, RMAPPO, SIZES, BatteryD2DStudy

TINY = SIZES["full"].replace(
    replicates=2,
    test_instances=3,
    presets=("clipped-delay", "paper"),
    capacities_j=(400.0, 500.0),
    chances=(0.3, 0.5),
    each_point=False,
    steps={RMAPPO: 60, MADDPG: 60},
    window={"horizon": 3},
    window_instances=2,
    window_tasks=4,
    window_seconds=60.0,
    window_steps=30,
    window_environments=4,
    demonstrations=2,
    window_demonstrations=3,
    optimum_demonstrations=2,
    imitation_steps=2,
    changes={RMAPPO: {"hidden": (8,), "num_envs": 2}, MADDPG: {"hidden": (8,), "num_envs": 2}},
)
WITHOUT_LEARNERS: dict[str, Any] = {"steps": {}}
BASE = {"users": 2, "servers": 1, "horizon": 6}
STUDY = BatteryD2DStudy(TINY, BASE)
NAMES = ["capacity", "tasks", "dvfs", "training", "terms", "hindsight", "imitation"]


def tiny(**changes: Any) -> Paper:
    return plan.PLAN.of("tiny", BatteryD2DStudy(TINY.replace(**changes), BASE))


FULL = BatteryD2DStudy(SIZES["full"].replace(presets=("clipped-delay",)))
CLIPPED = {"preset": "clipped-delay"}
