"""What the scenarios of all problems have in common: named units, presets that differ, ranges that hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offloadopt.core import Scenario

UNITS = {
    "_w_per_hz": "W/Hz",
    "_m_per_s": "m/s",
    "_g_per_kwh": "g/kWh",
    "_dbm_per_hz": "dBm/Hz",
    "_hz": "Hz",
    "_db": "dB",
    "_bits": "bit",
    "_cycles": "cycle",
    "_m": "m",
    "_m2": "m2",
    "_s": "s",
    "_w": "W",
    "_j": "J",
    "_v": "V",
}
"""Unit of a field by the end of its name, the longest ends first."""


def unit_of(field: str) -> str | None:
    """Unit that a field's name ends with; bounds such as ``bits_min`` or ``power_max_w`` keep theirs."""
    name = f"_{field.removesuffix('_min').removesuffix('_max')}"
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), None)


def assert_units_are_named(scenario_type: type[Scenario]) -> None:
    """Every field is described, and a quantity's description ends with its unit in brackets."""
    for name, field in scenario_type.model_fields.items():
        assert field.description, name
        unit = unit_of(name)
        if unit is not None:
            assert field.description.endswith(f"[{unit}]"), (name, unit, field.description)


def assert_presets_differ(scenario_type: type[Scenario], needs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Presets are scenarios of their own, and the same after a way through JSON; ``needs`` gives their files."""
    scenarios = {name: scenario_type.preset(name, **(needs or {}).get(name, {})) for name in scenario_type.presets}
    assert scenarios["paper"] == scenario_type()
    assert len({scenario.digest() for scenario in scenarios.values()}) == len(scenarios)
    for scenario in scenarios.values():
        assert scenario_type(**scenario.model_dump(mode="json")).digest() == scenario.digest()
