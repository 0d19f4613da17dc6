"""Scenario of `carbon_mimo`: limits of its fields, units and presets."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offloadopt.errors import InvalidInput
from offloadopt.problems.carbon_mimo import CarbonMimoScenario

from toys.scenario_fields import assert_presets_differ, assert_units_are_named


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"users": 5, "antennas": 4}, "users = 5 above antennas = 4: zero forcing needs an antenna for each user"),
        ({"users": 3, "distance_m": (10.0, 20.0)}, "distance_m has 2 entries; allowed: one for all, or 3"),
        ({"users": 2, "arrival_quanta": (1.0, 2.0, 3.0)}, "arrival_quanta has 3 entries"),
        ({"users": 2, "arrival_quanta": (1.0, -2.0)}, "arrival_quanta.1 = -2.0; allowed: greater"),
        ({"distance_m": 0.0}, "distance_m = 0.0; allowed: greater"),
        ({"nearest_m": 100.0}, "nearest_m = 100; allowed: less than cell_m = 100"),
        ({"carbon_by_hour": (700.0,) * 23}, "carbon_by_hour = .*should have at least 24 items"),
        ({"carbon_by_hour": (700.0,) * 23 + (0.0,)}, "carbon_by_hour.23 = 0.0; allowed: greater"),
        ({"carbon_by_hour": (700.0,) * 24, "country": "SAU"}, "both set the grid's carbon"),
        ({"users": 2, "arrival_quanta": (1.0, 2.0), "arrival_quanta_to": 4.0}, "arrival_quanta_to needs one"),
        ({"detector": "matched"}, "detector = 'matched'; allowed: 'zero-forcing', 'mmse' or 'mrc'"),
        ({"correlation": 1.5}, "correlation = 1.5; allowed"),
        ({"harvest_w": math.nan}, "harvest_w = nan; allowed: a finite number"),
        ({"antenas": 3}, "unknown field 'antenas' of CarbonMimoScenario; did you mean 'antennas'"),
    ],
)
def test_scenarios_that_make_no_sense_are_refused_with_the_reason(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        CarbonMimoScenario(**changes)


def test_every_quantity_names_its_unit() -> None:
    assert_units_are_named(CarbonMimoScenario)


def test_presets_differ_and_survive_as_json() -> None:
    assert_presets_differ(CarbonMimoScenario)
