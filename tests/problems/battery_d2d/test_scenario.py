"""Scenario of `battery_d2d`: limits of its fields, units and presets."""

from __future__ import annotations

from typing import Any

import pytest

from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d import BatteryD2DScenario

from toys.scenario_fields import assert_presets_differ, assert_units_are_named


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cycles_min": 2e9}, r"cycles_min = 2e\+09; allowed: at most cycles_max = 1.5e\+09"),
        ({"bits_min": 9e6}, r"bits_min = 9e\+06; allowed: at most bits_max = 8e\+06"),
        ({"deadline_min_s": (0.5, 3.0, 2.0)}, "deadlines of kind 2 = 3 to 2; allowed: deadline_min_s up to"),
        ({"deadline_min_s": (0.0, 1.0, 2.0)}, "deadline_min_s.0 = 0.0; allowed: greater"),
        ({"edge_hz": (2e9, 1e9)}, "edge_hz has 2 modes; allowed: as many as mobile_hz"),
        ({"mobile_v": (1.2, 1.0)}, "mobile_v has 2 entries; allowed: one for each mobile_hz"),
        ({"edge_v": (1.3, 1.25, 1.2, 1.15, 1.1, -1.0)}, "edge_v.5 = -1.0; allowed: greater"),
        (
            {"mobile_hz": (1.6e9, 1.8e9, 1.4e9, 1.2e9, 1.0e9, 0.8e9)},
            "mobile_hz = .*allowed: the fastest first, each mode once",
        ),
        ({"mobile_hz": (), "mobile_v": ()}, "mobile_hz has 0 modes"),
        ({"edge_success": 1.0}, "edge_success = 1.0; allowed: less than"),
        ({"disconnect_chance": 1.0}, "disconnect_chance = 1.0; allowed: less than 1"),
        ({"start_share": 1.5}, "start_share = 1.5; allowed: less than or equal to 1"),
        ({"battery_j": 0.0}, "battery_j = 0.0; allowed: greater than"),
        ({"horizon": 1}, "horizon = 1; allowed: greater than or equal to 2"),
        ({"battery_kj": 1.0}, "unknown field 'battery_kj'.*did you mean 'battery_j'"),
    ],
)
def test_a_wrong_scenario_is_refused_with_one_line(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refusal:
        BatteryD2DScenario(**changes)
    assert "\n" not in str(refusal.value)


def test_every_quantity_names_its_unit() -> None:
    assert_units_are_named(BatteryD2DScenario)


def test_presets_differ_and_survive_as_json() -> None:
    assert_presets_differ(BatteryD2DScenario)
