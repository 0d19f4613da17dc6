"""Scenario of `partial_mobile`: limits of its fields, units and presets."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offloadopt.errors import OffloadError
from offloadopt.problems.partial_mobile import PartialMobileScenario

from toys.scenario_fields import assert_presets_differ, assert_units_are_named


@pytest.mark.parametrize(
    "changes",
    [
        {"users": 0},
        {"horizon": 0},
        {"time_weight": 1.0},
        {"time_weight": 0.0},
        {"task_bits_min": 3e6},
        {"sites_m": ()},
        {"cpu_server_hz": 0.0},
        {"kappa_server": -1e-28},
        {"speed_max_m_per_s": -1.0},
        {"overload_penalty": -1.0},
        {"users_file": "users.csv"},
        {"bandwidth_hz": math.nan},
        {"unknown": 1},
    ],
    ids=str,
)
def test_scenarios_that_mean_nothing_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OffloadError, match=next(iter(changes))):
        PartialMobileScenario(**changes)


def test_every_quantity_names_its_unit() -> None:
    assert_units_are_named(PartialMobileScenario)


def test_presets_differ_and_survive_as_json() -> None:
    assert_presets_differ(PartialMobileScenario, {"melbourne": {"users_file": "users.csv", "sites_file": "sites.csv"}})
