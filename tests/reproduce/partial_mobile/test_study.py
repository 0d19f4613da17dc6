"""Trainings and their held-out tests."""

from __future__ import annotations

from offloadopt.reproduce.partial_mobile.study import SB3_A2C, PartialMobileStudy

from toys.tiny_papers.partial_mobile import BASE, TINY


def test_a_policy_is_tested_on_instances_that_it_was_not_trained_on() -> None:
    study = PartialMobileStudy(TINY.replace(steps={SB3_A2C: 400}), BASE)
    (unit,) = study.learned(1, study.scenario())
    assert unit.parameters["seed"] != unit.parameters["tests"][0]["seed"]
