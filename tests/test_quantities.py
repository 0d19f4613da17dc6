"""Quantities: each has a unit and finite limits, and a scenario outside of them is refused in one line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from offloadopt import quantities, registry
from offloadopt.errors import InvalidInput
from offloadopt.quantities import Bits, limits, unit

TYPES = {name: kind for name, kind in vars(quantities).items() if hasattr(kind, "__metadata__")}


@pytest.mark.parametrize("name", TYPES)
def test_every_quantity_has_a_unit_and_a_largest_value(name: str) -> None:
    assert unit(TYPES[name])
    assert math.isfinite(limits(TYPES[name])[1])


@pytest.mark.parametrize("group", ["solvers", "learners"])
def test_every_number_among_the_options_has_a_largest_value(group: str) -> None:
    for name in registry.names(group):
        for kind in registry.implementations(group, name):
            for option, field in kind.model_fields.items():
                if field.annotation in (int, float):
                    assert any(hasattr(mark, "le") or hasattr(mark, "lt") for mark in field.metadata), (name, option)


def test_limits_and_unit_are_those_of_the_type() -> None:
    assert (limits(Bits), unit(Bits)) == ((1e-3, 1e15), "bit")
    assert (limits(float), unit(float)) == ((-math.inf, math.inf), "1")


@pytest.mark.parametrize("problem", registry.names("problems"))
@pytest.mark.parametrize("value", [1e300, -1e300, 10**400, "9" * 5000, [1.0, 2.0, 3.0] * 999])
def test_no_number_of_a_scenario_is_without_limits(problem: str, value: Any) -> None:
    scenario_type = registry.get("problems", problem).scenario_type
    for name, field in scenario_type.model_fields.items():
        number = isinstance(field.default, (int, float)) and not isinstance(field.default, bool)
        if not number or name == "layout_seed" or (name == "arrival_quanta" and isinstance(value, str)):
            continue
        with pytest.raises(InvalidInput) as refusal:
            scenario_type(**{name: value})
        assert name in str(refusal.value)
        assert len(str(refusal.value)) <= 300
