"""Named arrays that share their instance axis, and the limits of their fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from offloadopt.arrays import ArrayField, Batch, Instances
from offloadopt.errors import InvalidInput, UnknownName


def numbered(count: int = 3) -> Instances:
    return Instances({"a": np.arange(count * 2.0).reshape(count, 2), "b": np.arange(count)})


def test_a_batch_is_a_mapping_of_read_only_arrays() -> None:
    source = np.zeros(2)
    batch = Batch({"a": source, "b": [1, 2]})
    assert (batch.count, len(batch), list(batch), "a" in batch, "c" in batch) == (2, 2, ["a", "b"], True, False)
    with pytest.raises(ValueError, match="read-only"):
        batch["a"][0] = 1.0
    source[0] = 1.0  # the caller's array stays the caller's
    assert repr(batch) == "Batch(a [2], b [2])"


def test_a_batch_refuses_scalars_and_unequal_counts() -> None:
    with pytest.raises(InvalidInput, match="'a' is a single number"):
        Batch({"a": 1.0})
    with pytest.raises(InvalidInput, match=r"disagree on the number of instances: \{'a': 2, 'b': 3\}"):
        Batch({"a": [1, 2], "b": [1, 2, 3]})


def test_an_unknown_array_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="no array 'gian'; did you mean 'gain'"):
        Batch({"gain": [1.0], "task_bits": [1.0]})["gian"]


@pytest.mark.parametrize("rows", [slice(1, 3), [1, 2], np.array([1, 2]), np.array([False, True, True])])
def test_rows_are_taken_by_slice_index_and_mask(rows: Any) -> None:
    taken = numbered().take(rows)
    assert isinstance(taken, Instances)
    assert taken.count == 2
    np.testing.assert_array_equal(taken["b"], [1, 2])
    np.testing.assert_array_equal(taken["a"], [[2, 3], [4, 5]])


def test_concatenate_undoes_take_and_over_slots_undoes_at_slot() -> None:
    batch = numbered(4)
    joined = Instances.concatenate([batch.take(slice(0, 1)), batch.take(slice(1, 4))])
    stacked = Instances.over_slots([batch, joined])
    for name in batch:
        np.testing.assert_array_equal(joined[name], batch[name])
        np.testing.assert_array_equal(stacked.at_slot(1)[name], batch[name])
        assert stacked[name].shape == (4, 2, *batch[name].shape[1:])


def test_an_empty_batch_counts_nothing() -> None:
    assert Batch({}).count == 0
    assert numbered().take(slice(0)).count == 0


# ---------------------------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        (ArrayField((2,)), [1.0, 2.0], r"x has shape \[2\]; allowed: \[count, 2\]"),
        (ArrayField((2,)), 1.0, r"x has shape \[\]"),
        (ArrayField((2,)), [[1.0], [2.0, 3.0]], "not an array of numbers with one shape"),
        (ArrayField((1,)), [["many"]], "not an array of numbers"),
        (ArrayField((1,)), [[None]], "not an array of numbers|NaN"),
        (ArrayField((1,)), [[np.nan]], "x holds NaN or infinite values"),
        (ArrayField((1,)), [[-np.inf]], "x holds NaN or infinite values"),
        (ArrayField((1,), low=0, unit="bit"), [[3.0], [-1.0]], r"x holds -1; allowed: 0 to inf \[bit\]"),
        (ArrayField((1,), low=0, high=2, integer=True), [[3]], "x holds 3; allowed: 0 to 2"),
        (ArrayField((1,), low=0, high=2, integer=True), [[0.5]], "x holds 0.5; allowed: whole numbers"),
    ],
)
def test_a_field_refuses_what_does_not_fit_with_one_line(field: ArrayField, values: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        field.check("x", values, 1)
    assert "\n" not in str(caught.value)


def test_a_field_gives_floats_or_integers() -> None:
    assert ArrayField((2,)).check("x", [[1, 2]], 1).dtype == np.float64
    assert ArrayField((2,), integer=True).check("x", [[1.0, 2.0]], 1).dtype == np.int64


def test_a_slot_axis_stands_only_where_a_horizon_needs_it() -> None:
    per_slot, initial = ArrayField((2,)), ArrayField((2,), per_slot=False)
    assert per_slot.check("x", np.zeros((5, 3, 2)), 3).shape == (5, 3, 2)
    assert initial.check("x", np.zeros((5, 2)), 3).shape == (5, 2)
    with pytest.raises(InvalidInput, match=r"allowed: \[count, 3, 2\]"):
        per_slot.check("x", np.zeros((5, 2)), 3)


def test_spaces_hold_exactly_what_fields_allow() -> None:
    whole = ArrayField((2,), low=1, high=3, integer=True).space()
    assert isinstance(whole, spaces.MultiDiscrete)
    assert [bool(whole.contains(np.array([value, 1]))) for value in range(5)] == [False, True, True, True, False]
    real = ArrayField((2,), low=-1.0, high=1.0).space()
    assert real.contains(np.array([-1.0, 1.0]))
    assert not real.contains(np.array([-1.0, 1.1]))
