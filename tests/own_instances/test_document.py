"""Documents hold arrays with their units; whatever is wrong in one is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.own_instances import document

PROBLEM = registry.problem("multi_server", users=3)


def content(**changes: Any) -> dict[str, Any]:
    return {**document.encode(PROBLEM, PROBLEM.sample(2, seed=0)), **changes}


def test_a_document_holds_all_arrays_with_unit_and_shape_and_reads_back_bit_for_bit() -> None:
    instances = PROBLEM.sample(2, seed=0)
    found = document.encode(PROBLEM, instances)
    assert found["arrays"]["task_bits"]["unit"] == "bit"
    assert found["arrays"]["gain"]["shape"] == "instances x 3 users x 2 servers"
    for name, array in document.decode(found, PROBLEM).items():
        np.testing.assert_array_equal(array, instances[name])


def test_values_may_stand_alone() -> None:
    assert document.decode(content(arrays={"task_bits": [[1.0, 2.0, 3.0]]}), PROBLEM)["task_bits"].shape == (1, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "offloadopt-instances-9"}, "format = 'offloadopt-instances-9'; allowed: 'offloadopt-instances-1'"),
        ({"problem": "battery_d2d"}, "problem = 'battery_d2d'; allowed: 'multi_server'"),
        ({"arays": {}}, "unknown field 'arays' of the document; did you mean 'arrays'"),
        ({"arrays": 3}, "arrays = 3; allowed: a mapping"),
        ({"arrays": {"gain": {"unit": "1"}}}, "array 'gain' has no values"),
        ({"arrays": {"gain": {"value": 1}}}, "unknown field 'value' of array 'gain'; did you mean 'values'"),
        ({"arrays": {"gain": {"unit": "dB", "values": [1]}}}, "array 'gain' has unit 'dB'; allowed: '1'"),
        ({"arrays": {"gain": {"values": [[1], [2, 3]]}}}, "array 'gain' is ragged"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        document.decode(content(**changes), PROBLEM)
    assert message in str(error.value)


def test_the_scenario_counts_for_its_own_problem_alone() -> None:
    assert document.scenario_of(content(), "multi_server") == PROBLEM.scenario.model_dump(mode="json")
    assert document.scenario_of(content(), "battery_d2d") is None
    with pytest.raises(InvalidInput, match="scenario = 5"):
        document.scenario_of(content(scenario=5), "multi_server")
