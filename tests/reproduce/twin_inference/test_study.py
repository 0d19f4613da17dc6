"""Trainings, their budgets and their held-out tests."""

from __future__ import annotations

from offloadopt import registry
from offloadopt.reproduce.twin_inference.study import LEARNERS, MADDPG

from toys.tiny_papers.twin_inference import STUDY, TINY


def test_budgets_are_the_same_number_of_slots_whatever_the_users() -> None:
    slots = TINY.slots[MADDPG] * 2  # of two environments
    for method in LEARNERS:
        units = (STUDY.learned(1, STUDY.at(users), [method])[0] for users in (2, 3, 5))
        assert [unit.parameters["steps"] / unit.parameters["scenario"]["users"] for unit in units] == [slots] * 3
    (federated, *_) = STUDY.federated(1)
    assert federated.parameters["steps"] == slots * 2


def test_federations_differ_in_the_rule_alone() -> None:
    own = STUDY.learned(1, STUDY.at(), [MADDPG])[0].parameters["learner"]["settings"]
    for unit in STUDY.federated(1):
        settings = unit.parameters["learner"]["settings"]
        wrapped = registry.learner("federated", **settings).wrapped  # type: ignore[attr-defined]
        made = wrapped.model_dump(mode="json")
        assert wrapped.shared == (settings["rule"] == "centralised")
        different = {name for name in own if own[name] != made[name]}
        assert different <= {"shared", "federation"}
