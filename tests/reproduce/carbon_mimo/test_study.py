"""Trainings and their held-out tests."""

from __future__ import annotations

from offloadopt.reproduce.carbon_mimo.study import CarbonMimoStudy

from toys.tiny_papers.carbon_mimo import STUDY, TINY


def test_a_policy_is_tested_on_instances_that_it_was_not_trained_on() -> None:
    (unit, *_) = STUDY.learned(1)
    seeds = {test["seed"] for test in unit.parameters["tests"]}
    assert unit.parameters["seed"] not in seeds
    assert {test["scenario"]["arrival_quanta"] for test in unit.parameters["tests"]} == set(TINY.loads)
    trained = unit.parameters["scenario"]
    assert (trained["arrival_quanta"], trained["arrival_quanta_to"]) == (min(TINY.loads), max(TINY.loads))


def test_with_a_training_at_each_load_every_load_is_tested_by_its_own() -> None:
    study = CarbonMimoStudy(TINY.replace(each_load=True), STUDY.base)
    units = list(study.learned(1))
    assert len(units) == len(TINY.loads) * len(TINY.steps)
    for unit in units:
        (test,) = unit.parameters["tests"]
        assert unit.parameters["scenario"] == test["scenario"]
        assert test["scenario"]["arrival_quanta"] == unit.labels["load"]
    assert [unit.labels["load"] for unit in study.shown(1)] == [8.0] * len(TINY.steps)
