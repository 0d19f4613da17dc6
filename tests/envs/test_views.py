"""The view of a problem's own arrays: copies out, checked actions in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Observation, Problem
from offloadopt.envs.views import FieldView, check_count, map_arrays
from offloadopt.errors import InvalidInput


@pytest.fixture(scope="module")
def small() -> Problem[Any]:
    return registry.problem("multi_server", users=4, servers=2)


def local(count: int) -> dict[str, Any]:
    """All tasks local."""
    values = {"server": np.zeros(4, dtype=np.int64), "cpu_hz": np.full(4, 1e9), "power_w": np.zeros(4)}
    return {name: np.tile(array, (count, 1)) for name, array in values.items()}


def test_it_shows_copies(small: Problem[Any]) -> None:
    view, instances = FieldView(small), small.sample(3, 0)
    observation = small.observe(instances, small.reset(instances))
    view.observe(observation)["gain"][:] = -1.0
    assert np.array_equal(view.observe(observation)["gain"], instances["gain"])


def test_right_actions_are_decisions_as_they_are(small: Problem[Any]) -> None:
    action = local(2)
    decided = FieldView(small).decode(Observation(small.sample(2, 0)), action)
    assert {name: array.tolist() for name, array in decided.items()} == {
        name: array.tolist() for name, array in action.items()
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("power_w", [0.0, 0.0, 9.0, 0.0], r"power_w holds 9; allowed: 0 to 1.5 \[W\]"),
        ("server", [0, 0, 3, 0], r"server holds 3; allowed: 0 to 2"),
        ("server", [0, 0, 0.5, 0], r"server holds 0.5; allowed: whole numbers"),
        ("cpu_hz", [1e9, 1e9, np.nan, 1e9], r"cpu_hz holds NaN"),
        ("cpu_hz", [1e9, 1e9, 1e9], r"cpu_hz has shape \[1, 3\]; allowed: \[count, 4\]"),
        ("cpu_hz", None, r"action array 'cpu_hz' is missing"),
        ("power", [0.0, 0.0, 0.0, 0.0], r"unknown action array 'power'; did you mean 'power_w'"),
    ],
)
def test_a_wrong_action_is_named(small: Problem[Any], name: str, value: Any, message: str) -> None:
    action = local(1) | {name: [value]}
    if value is None:
        del action[name]
    with pytest.raises(InvalidInput, match=message):
        FieldView(small).decode(Observation(small.sample(1, 0)), action)


def test_actions_without_names_or_for_other_instances_are_refused(small: Problem[Any]) -> None:
    observation = Observation(small.sample(2, 0))
    with pytest.raises(InvalidInput, match="action is a ndarray; allowed: a dict of server, cpu_hz, power_w"):
        FieldView(small).decode(observation, np.zeros(4))
    with pytest.raises(InvalidInput, match="actions for 3 instances; allowed: 2, one for each"):
        FieldView(small).decode(observation, local(3))
    check_count(2, 2)


def test_a_function_maps_one_array_or_several() -> None:
    assert map_arrays(np.sum, np.ones(3)) == 3
    assert map_arrays(np.sum, {"a": np.ones(2), "b": np.ones(1)}) == {"a": 2, "b": 1}
