"""Scenario of `multi_server`: limits of its fields, units and presets."""

from __future__ import annotations

from typing import Any

import pytest

from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.problems.multi_server import MultiServerScenario

from toys.scenario_fields import assert_presets_differ, assert_units_are_named


@pytest.mark.parametrize(
    ("users", "servers", "load", "hertz"), [(30, 2, 1.0, 15e9), (100, 10, 0.33, 3.3e9), (9, 3, 2.0, 6e9)]
)
def test_load_sets_the_servers_cpu(users: int, servers: int, load: float, hertz: float) -> None:
    assert MultiServerScenario(users=users, servers=servers, load=load).cpu_server_hz == pytest.approx(hertz)


def test_load_follows_a_change_of_size_and_survives_the_scenario_as_json() -> None:
    scenario = MultiServerScenario.preset("heterogeneous")
    assert (scenario.cpu_server_hz, scenario.replace(users=60).cpu_server_hz) == (15e9, 30e9)
    assert MultiServerScenario(**scenario.model_dump(mode="json")).digest() == scenario.digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": 0}, "users = 0; allowed: greater than or equal to 1"),
        ({"servers": 0}, "servers = 0; allowed: greater than or equal to 1"),
        ({"servers": 0, "load": 1.0}, "servers = 0"),
        ({"users": -3}, "users = -3"),
        ({"bandwidth_hz": 0}, "bandwidth_hz = 0; allowed: greater than"),
        ({"noise_w_per_hz": float("nan")}, "noise_w_per_hz = nan"),
        ({"power_max_w": float("inf")}, "power_max_w = inf"),
        ({"task_spread": 1.0}, "task_spread = 1.0; allowed: less than"),
        ({"load": "much"}, "load = 'much'"),
        ({"load": -1.0}, "load = -1"),
        ({"load": 0.0}, "load = 0"),
        ({"load": float("nan")}, "load = nan"),
        ({"load": 1.0, "cpu_server_hz": 1e9}, "load and cpu_server_hz both set"),
        ({"sites_file": "sites.csv"}, "users_file is missing; users_file and sites_file are given together"),
        ({"users_file": "users.csv"}, "sites_file is missing"),
        ({"layout_seed": -1}, "layout_seed = -1"),
        ({"cpu_server": 1e9}, "unknown field 'cpu_server' of MultiServerScenario; did you mean 'cpu_server_hz'"),
    ],
)
def test_a_wrong_scenario_is_refused_with_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        MultiServerScenario(**changes)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'heterogeneous'"):
        MultiServerScenario.preset("heterogenous")


def test_every_quantity_names_its_unit() -> None:
    assert_units_are_named(MultiServerScenario)


def test_presets_differ_and_survive_as_json() -> None:
    assert_presets_differ(MultiServerScenario, {"melbourne": {"users_file": "users.csv", "sites_file": "sites.csv"}})
