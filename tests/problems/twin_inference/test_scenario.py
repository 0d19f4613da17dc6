"""Scenario of `twin_inference`: limits of its fields, units and presets."""

from __future__ import annotations

from typing import Any

import pytest

from offloadopt.errors import InvalidInput
from offloadopt.problems.twin_inference import TwinInferenceScenario

from toys.scenario_fields import assert_presets_differ, assert_units_are_named


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user_hz": (2e9, 1e9)}, "user_hz"),
        ({"gain": (0.0, 1e-11)}, "gain"),
        ({"tasks_min": 5}, "tasks_min = 5"),
        ({"images_min": 9}, "images_min = 9"),
        ({"task_mix": ("CatMNIST",)}, "CatMNIST"),
        ({"model_parameters": (-1.0,)}, "model_parameters"),
        ({"limit_s": 0.0}, "limit_s"),
        ({"twin_bias": -1.0}, "twin_bias"),
    ],
)
def test_a_scenario_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        TwinInferenceScenario(**changes)


def test_every_quantity_names_its_unit() -> None:
    assert_units_are_named(TwinInferenceScenario)


def test_presets_differ_and_survive_as_json() -> None:
    assert_presets_differ(TwinInferenceScenario, {"llm-trace": {"requests_file": "requests.csv"}})
