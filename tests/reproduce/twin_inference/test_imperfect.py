"""Errors of the twin: which fields deviate together, and what becomes of the rows."""

from __future__ import annotations

from offloadopt.problems.twin_inference import TwinInferenceScenario
from offloadopt.reproduce.twin_inference.imperfect import ALL_KINDS, EVERYTHING, KINDS, LOOKS, twin_figure

from toys.tiny_papers.twin_inference import STUDY, TINY


def test_every_deviation_of_the_scenario_is_in_one_kind_and_in_everything() -> None:
    deviations = {name for name in TwinInferenceScenario.model_fields if name.endswith("_deviation")}
    assert [name for names in KINDS.values() for name in names] == list(ALL_KINDS[EVERYTHING])
    assert set(ALL_KINDS[EVERYTHING]) == deviations
    assert set(LOOKS) == set(ALL_KINDS)


def test_a_replicate_plans_single_slots_with_all_errors_on_the_same_instances() -> None:
    first, second = twin_figure(STUDY).units
    assert first.parameters["scenario"]["horizon"] == 1
    assert first.parameters["deviations"] == list(TINY.deviations)
    assert first.parameters["seed"] != second.parameters["seed"]
    assert {**first.parameters, "seed": 0} == {**second.parameters, "seed": 0}


def test_rows_are_the_measured_ones_and_the_paper_claims_nothing() -> None:
    figure = twin_figure(STUDY)
    rows = [{"kind": EVERYTHING, "deviation": 0.1, "cost": 1.0}]
    assert list(figure.rows(figure.units[0], {"rows": rows})) == rows
    assert not figure.claims(figure.frame({unit.name: {"rows": rows} for unit in figure.units}))
