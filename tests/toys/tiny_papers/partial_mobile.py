"""The smallest size of `partial_mobile`'s reproduction, and its parts by name."""

from __future__ import annotations

from typing import Any

from offloadopt.reproduce.artefact import Paper
from offloadopt.reproduce.partial_mobile import plan
from offloadopt.reproduce.partial_mobile.study import (
    DISCRETE,
    LEARNERS,
    PRETRAINED,
    SIZES,
    PartialMobileStudy,
    Variant,
)

SMALL: dict[str, Any] = {"hidden": (8,), "num_envs": 10, "warm_up": 4, "actor_delay": 1, "batch_size": 8}
TINY = SIZES["full"].replace(
    replicates=2,
    weights=(0.3, 0.7),
    learned_weights=(0.3,),
    test_instances=2,
    users=(2, 4),
    user_slots=3,
    user_episodes=2,
    user_gap=1e-3,
    levels=(3, 5),
    level_weights=(0.3, 0.7),
    kappa_weights=(0.1, 0.9),
    kappa_slots=2,
    kappa_exponents=(-29.0, -28.0, -27.0),
    kappa_refinements=1,
    steps={DISCRETE: 120, PRETRAINED: 40},
    demonstrations=2,
    changes=SMALL,
    variants={"blind": Variant({**SMALL, "view": "unscaled", "standardise": False}, 120)},
)
SHORTER: dict[str, Any] = {
    "offloadopt.reproduce.partial_mobile.study.LEARNERS": {
        **LEARNERS,
        PRETRAINED: ("ddpg-discrete", {"imitation_steps": 5, "actor_delay": 5}),
    }
}
"""What is replaced where nothing but whole tables is asked for."""
WITHOUT_LEARNERS: dict[str, Any] = {"steps": {}}
BASE = {"users": 3, "horizon": 4}


def tiny(**changes: Any) -> Paper:
    return plan.PLAN.of("tiny", PartialMobileStudy(TINY.replace(**changes), BASE))


STUDY = PartialMobileStudy(TINY, BASE)
FULL = PartialMobileStudy(SIZES["full"])
