"""The smallest size of `multi_server`'s reproduction, and its parts by name."""

from __future__ import annotations

from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import Artefact, Paper
from offloadopt.reproduce.multi_server import plan
from offloadopt.reproduce.multi_server.study import SIZES, MultiServerStudy

TINY = SIZES["full"].replace(
    replicates=2,
    test_instances=6,
    users=(3, 5),
    servers=(1, 2),
    server_hz=(2e9, 5e9),
    demonstration_counts=(8, 16),
    accuracy_steps=4,
    imitation_demonstrations=8,
    imitation_steps=4,
    dirs={"expert": "exact", "demonstrations": 4, "pretraining": 8, "slots": 40, "generations": 2, "population": 2},
    prices={"gradient_steps": 4, "instances": 4, "batches": 2, "batch_size": 2},
    own_dirs={"expert": "exact", "demonstrations": 4, "pretraining": 4, "slots": 4, "generations": 2, "population": 2},
    budget_shares=(0.5, 1.0),
    search_instances=2,
    generations=5,
)
STUDY = MultiServerStudy(TINY, {"users": 5})


def tiny() -> Paper:
    return plan.PLAN.of("tiny", STUDY)


def named(name: str) -> Artefact:
    return next(artefact for artefact in tiny().artefacts if artefact.name == name)


def full(name: str) -> Artefact:
    return next(artefact for artefact in paper("multi_server", "full").artefacts if artefact.name == name)
