"""Settings refuse wrong values in one line; scenarios have presets, the first of which is the default."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from pydantic import Field

from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.settings import Scenario, difference


class Shop(Scenario):
    tills: int = Field(2, ge=1)
    price: float = Field(1.5, gt=0)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "big": {"tills": 20}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tills": 0}, "tills = 0; allowed: greater than or equal to 1"),
        ({"tills": 1.5}, "tills = 1.5; allowed: a valid integer"),
        ({"price": -1}, "price = -1; allowed: greater than 0"),
        ({"price": float("nan")}, "price = nan; allowed: "),
        ({"price": float("inf")}, "price = inf; allowed: "),
        ({"price": "cheap"}, "price = 'cheap'; allowed: a valid number"),
        ({"til": 3}, "unknown field 'til' of Shop; did you mean 'tills'"),
    ],
)
def test_a_wrong_setting_is_refused_with_field_value_and_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        Shop(**values)
    assert "\n" not in str(caught.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Shop().tills = 3


def test_presets_are_overridden_by_changes_and_unknown_ones_refused() -> None:
    assert Shop.preset("big").tills == 20
    assert Shop.preset("big", tills=3).tills == 3
    with pytest.raises(UnknownName, match="no preset 'bigg' of Shop; did you mean 'big'"):
        Shop.preset("bigg")


def test_a_digest_names_the_values_not_how_they_were_given() -> None:
    assert Shop().digest() == Shop(tills=2).digest() == Shop.preset("paper", price=1.5).digest()
    assert Shop().digest() != Shop(tills=3).digest()
    assert Shop(**json.loads(Shop(tills=7).model_dump_json())).digest() == Shop(tills=7).digest()


def test_replace_validates_again() -> None:
    assert Shop(tills=3).replace(price=2).model_dump() == {"tills": 3, "price": 2.0}
    with pytest.raises(InvalidInput, match="price = 0"):
        Shop().replace(price=0)


class Plain(Scenario):
    tills: int = Field(2, ge=1)


def test_the_first_preset_is_the_default_and_without_presets_the_fields_own_defaults() -> None:
    class Dear(Shop):
        presets: ClassVar[dict[str, dict[str, Any]]] = {"dear": {"price": 9.0}, "cheap": {}}

    assert Dear.preset().price == 9.0
    assert Dear.preset(price=2.0).price == 2.0
    assert Plain.preset(tills=5).tills == 5
    with pytest.raises(UnknownName, match="no preset 'paper' of Plain; known: none"):
        Plain.preset("paper")


def test_a_scenario_names_the_preset_it_is_nearest_to() -> None:
    assert Shop(tills=20).origin == "preset big"
    assert Shop(price=3.0).origin == "preset paper with price=3.0"
    assert Plain().origin == "default values"
    assert Plain(tills=3).origin == "default values with tills=3"


def test_a_scenario_that_no_preset_can_be_made_for_is_one_of_its_own() -> None:
    class Own(Scenario):
        presets: ClassVar[dict[str, dict[str, Any]]] = {"gone": {"tills": 0}}
        tills: int = Field(2, ge=1)

    assert Own().origin == "a scenario of its own"


def test_the_first_difference_is_named_with_its_place() -> None:
    assert difference({"a": {"b": 1, "c": [2]}}, {"a": {"b": 1, "c": [2]}}) == ""
    assert difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "its a.b is 1, not 2"
    assert difference({"a": 1}, {"a": 1, "b": None}) == ""
    assert difference({"a": 1}, {"b": 1}) == "its a is 1, not None"
