"""What the reference is, and that it never claims more than is proved."""

from __future__ import annotations

import numpy as np
import pytest

import offloadopt
from offloadopt.core import FloatArray
from offloadopt.errors import BrokenProof, InvalidInput
from offloadopt.evaluation.reference import Reference, choose_reference

INF = np.inf


def choose(costs: dict[str, list[float]], bounds: dict[str, list[float]], named: str | None = None) -> Reference:
    def arrays(numbers: dict[str, list[float]]) -> dict[str, FloatArray]:
        return {name: np.array(values, dtype=float) for name, values in numbers.items()}

    nothing = {name: [-INF] * len(values) for name, values in costs.items()}
    return choose_reference(arrays(costs), arrays({**nothing, **bounds}), named)


def test_the_largest_bound_counts_whoever_proved_it() -> None:
    found = choose({"a": [10, 10], "b": [11, 12]}, {"a": [9, 8], "b": [7, 10]})
    assert found.values.tolist() == [9, 10]
    assert found.provers == ("a", "b")
    assert found.label == "lower bound (not tight: mean 5.6 %, worst 11 %)"


def test_bounds_that_meet_the_best_cost_certify_it_even_across_methods() -> None:
    found = choose({"prover": [12, 12], "finder": [10, 10]}, {"prover": [10, 10 * (1 - 1e-7)]})
    assert found.label == "certified optimum"
    assert found.kind == "certified optimum"


def test_one_loose_instance_among_many_is_not_certified() -> None:
    found = choose({"a": [10.0] * 50}, {"a": [10.0] * 49 + [9.99]})
    assert found.label == "lower bound (not tight: mean 0.002 %, worst 0.1 %)"


def test_without_bounds_the_best_cost_is_named_as_what_it_is() -> None:
    found = choose({"a": [10, 12], "b": [11, 9]}, {})
    assert found.values.tolist() == [10, 9]
    assert found.label == "best found (no proof)"
    assert not found.proved


def test_a_named_methods_own_bounds_are_used_and_others_are_not() -> None:
    found = choose({"a": [10], "b": [10]}, {"a": [10], "b": [8]}, named="b")
    assert found.values.tolist() == [8]
    assert found.provers == ("b",)
    assert found.kind == "lower bound"


def test_a_named_method_without_bounds_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'b' proves no bound"):
        choose({"a": [10], "b": [10]}, {"a": [10]}, named="b")


@pytest.mark.parametrize("named", [None, "honest"])
def test_a_bound_above_a_decisions_cost_is_refused_with_both_names(named: str | None) -> None:
    costs, bounds = {"honest": [10.0, 10.0], "liar": [12.0, 12.0]}, {"honest": [9.0, 9.0], "liar": [9.0, 11.0]}
    with pytest.raises(BrokenProof, match=r"instance 1: 'liar' claims .* 11, yet 'honest' .* 10$"):
        choose(costs, bounds, named)


def test_a_feasible_decision_refutes_a_proof_of_infeasibility() -> None:
    with pytest.raises(BrokenProof):
        choose({"a": [10.0], "b": [INF]}, {"b": [INF]})


def test_rounding_between_two_correct_proofs_is_no_fault_and_no_negative_gap() -> None:
    found = choose({"a": [10.0], "b": [10.0]}, {"a": [10.0 + 1e-8]})
    assert found.gap(np.array([10.0])).tolist() == [0.0]


def test_bounds_on_some_instances_only_are_said_to_be_so() -> None:
    found = choose({"a": [10, 10, 10]}, {"a": [10, -INF, 10]})
    assert found.label == "certified optimum on 2 of 3 instances"
    assert np.isnan(found.gap(np.array([10.0, 10.0, 11.0]))).tolist() == [False, True, False]


def test_instances_proved_infeasible_do_not_spoil_the_certificate() -> None:
    found = choose({"a": [10, INF]}, {"a": [10, INF]})
    assert found.label == "certified optimum"
    assert found.infeasible.tolist() == [False, True]


def test_a_reference_that_nothing_is_measured_from_says_so() -> None:
    assert choose({"a": [INF]}, {"a": [INF]}).label == "none (every instance is proved infeasible)"
    assert choose({"a": [INF]}, {"a": [3.0]}).label == "lower bound (no feasible decision to compare it with)"
    assert choose({"a": [INF]}, {}).label == "best found (no proof)"


def test_a_reference_is_in_hindsight_if_a_method_it_comes_from_is() -> None:
    costs, bounds = {"a": np.array([3.0]), "b": np.array([2.0])}, {"a": np.array([-np.inf]), "b": np.array([1.0])}
    assert not choose_reference(costs, bounds).hindsight
    assert not choose_reference(costs, bounds, hindsight=["a"]).hindsight  # a proves nothing
    assert choose_reference(costs, bounds, hindsight=["b"]).hindsight
    unproved = dict.fromkeys(costs, np.array([-np.inf]))
    assert choose_reference(costs, unproved, hindsight=["a"]).hindsight


@pytest.mark.parametrize(("name", "known"), [("partial_mobile", False), ("carbon_mimo", True)])
def test_only_problems_whose_slots_depend_on_each_other_have_a_reference_in_hindsight(name: str, known: bool) -> None:
    problem = offloadopt.problem(name, users=2, horizon=2)
    assert offloadopt.compare(problem, ["exact"], 1).reference.hindsight is known
