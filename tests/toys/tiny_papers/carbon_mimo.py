"""The smallest size of `carbon_mimo`'s reproduction, and its parts by name."""

from __future__ import annotations

from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.carbon_mimo import plan
from offloadopt.reproduce.carbon_mimo.study import CADDTO, DDPG, SIZES, CarbonMimoStudy

TINY = SIZES["full"].replace(
    replicates=2,
    test_instances=3,
    loads=(1.0, 8.0),
    each_load=False,
    steps={CADDTO: 200, DDPG: 200},
    changes={},
    users=(1, 3),
    rates=(1.5, 4.0),
    ancestor_slots=300,
    ancestor_steps={"DDPG": 200},
    one_user_steps=200,
    values_of_v=(1e6, 1e8),
    expert_instances=2,
    expert_steps=5,
)
SHORTER = {
    "offloadopt.reproduce.carbon_mimo.ancestor.LONGEST": 30,
    "offloadopt.reproduce.carbon_mimo.ancestor.V_EPISODES": 2,
}
"""What is replaced where nothing but whole tables is asked for."""
STUDY = CarbonMimoStudy(TINY, {"users": 2, "horizon": 10})


def tiny() -> Paper:
    return plan.PLAN.of("tiny", STUDY)


def full(name: str) -> Artefact:
    return next(artefact for artefact in paper("carbon_mimo", "full").artefacts if artefact.name == name)
