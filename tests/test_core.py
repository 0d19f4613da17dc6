"""The contracts: named arrays, fields, settings, outcomes, statuses."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pytest
from gymnasium import spaces
from pydantic import Field

from offloadopt.core import (
    ArrayField,
    Batch,
    Decisions,
    Instances,
    Outcome,
    Scenario,
    Solutions,
    Status,
    relative_gap,
)
from offloadopt.errors import BrokenProof, InvalidInput, OffloadError, UnknownName, Unsupported
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario

# ---------------------------------------------------------------------------------------------------- named arrays


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


# -------------------------------------------------------------------------------------------------------- settings


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


# -------------------------------------------------------------------------------------------------------- outcomes


def test_a_roll_out_adds_costs_and_metrics_and_keeps_the_worst_violation() -> None:
    def outcome(cost: float, violation: float) -> Outcome:
        array = np.array([cost])
        return Outcome(array, array[:, None], {"late": np.array([violation])}, {"energy_j": 2 * array})

    total = Outcome.total([outcome(1.0, 0.5), outcome(2.0, 0.0), outcome(4.0, 0.1)])
    assert (total.cost, total.agent_cost, total.metrics["energy_j"]) == ([7.0], [[7.0]], [14.0])
    assert total.violations["late"] == [0.5]
    assert not total.feasible[0]


def test_feasible_means_that_no_constraint_is_violated_beyond_rounding() -> None:
    cost = np.zeros(4)
    violations = {"a": np.array([0, 1e-12, 1e-6, np.inf]), "b": np.zeros(4)}
    np.testing.assert_array_equal(Outcome(cost, cost[:, None], violations).feasible, [True, True, False, False])
    assert Outcome(cost, cost[:, None]).feasible.all()


@pytest.mark.parametrize(
    ("cost", "bound", "gap"),
    [(11.0, 10.0, 0.1), (10.0, 10.0, 0.0), (-9.0, -10.0, 0.1), (np.inf, 10.0, np.inf), (10.0, -np.inf, np.inf)],
)
def test_a_gap_is_relative_to_the_bound_and_infinite_without_one(cost: float, bound: float, gap: float) -> None:
    assert relative_gap(np.array([cost]), np.array([bound]))[0] == pytest.approx(gap)
    assert relative_gap(np.array([0.0]), np.array([0.0]))[0] == 0.0


# ------------------------------------------------------------------------------------------------------- solutions


@pytest.fixture
def problem() -> MultiServer:
    return MultiServer(MultiServerScenario(users=3, servers=1))


def score(problem: MultiServer, bound: float | None = None, power: float = 0.0, gap: float = 0.0) -> Solutions:
    """All-local decisions of one instance: they cost 3, and are infeasible with power."""
    users = np.ones((1, 3))
    decisions = Decisions({"server": 0 * users, "cpu_hz": 1e9 * users, "power_w": power * users})
    bounds = None if bound is None else np.array([bound])
    return Solutions.scored(problem, problem.sample(1, 0), decisions, bound=bounds, seconds=0.5, asked_gap=gap)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({}, Status.FEASIBLE),
        ({"bound": -np.inf}, Status.FEASIBLE),
        ({"bound": 3.0}, Status.OPTIMAL),
        ({"bound": 3.0 + 1e-10}, Status.OPTIMAL),  # rounding
        ({"bound": 2.7}, Status.BOUNDED),
        ({"bound": 2.7, "gap": 0.2}, Status.OPTIMAL),
        ({"power": 1.0}, Status.LIMIT_NO_SOLUTION),
        ({"power": 1.0, "bound": 2.7}, Status.LIMIT_NO_SOLUTION),
        ({"power": 1.0, "bound": np.inf}, Status.INFEASIBLE),
    ],
)
def test_the_status_follows_from_cost_and_bound(problem: MultiServer, arguments: Any, status: Status) -> None:
    solutions = score(problem, **arguments)
    assert solutions.status_names == [status.name]
    assert solutions.objective[0] == (np.inf if "power" in arguments else pytest.approx(3.0, rel=1e-12))
    assert solutions.bound[0] <= solutions.objective[0]
    assert solutions.seconds.tolist() == [0.5]


def test_a_bound_above_a_feasible_cost_is_a_broken_proof(problem: MultiServer) -> None:
    with pytest.raises(BrokenProof, match=r"instance 0: bound .*3\.1"):
        score(problem, bound=3.1)


def test_solutions_are_taken_and_joined_with_their_decisions(problem: MultiServer) -> None:
    both = Solutions.concatenate([score(problem), score(problem, bound=2.7)])
    assert both.status_names == ["FEASIBLE", "BOUNDED"]
    last = both.take([1])
    assert last.status_names == ["BOUNDED"]
    assert last.decisions.count == 1
    np.testing.assert_allclose(both.gap, [np.inf, 3.0 / 2.7 - 1.0])


# ---------------------------------------------------------------------------------------------------------- errors


def test_errors_carry_the_exit_status_of_the_command_line() -> None:
    assert (OffloadError.exit_status, InvalidInput.exit_status, Unsupported.exit_status) == (1, 2, 2)
    assert issubclass(InvalidInput, ValueError)
