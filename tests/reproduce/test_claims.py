"""A verdict follows from the interval alone, and an interval from the replicates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from offloadopt.reproduce.claims import Claim, Interval, all_hold, ascending


def test_the_interval_is_that_of_the_t_test() -> None:
    numbers = np.random.default_rng(0).normal(3.0, 2.0, size=7)
    expected = ttest_1samp(numbers, 0.0).confidence_interval(0.95)
    found = Interval.of(numbers)
    assert found.mean == pytest.approx(numbers.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("numbers", "below", "above", "within"),
    [
        ([0.9, 1.0, 1.1], True, False, False),
        ([4.9, 5.0, 5.1], False, True, True),
        ([-40.0, 5.0, 50.0], None, None, None),
        ([5.0], None, None, None),
        ([], None, None, None),
        ([5.0, float("nan")], None, None, None),
    ],
    ids=["low", "inside", "wide", "one replicate", "none", "not a number"],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(
    numbers: list[float], below: bool | None, above: bool | None, within: bool | None
) -> None:
    found = Interval.of(numbers)
    assert found.below(3.0) is below
    assert found.above(3.0) is above
    assert found.within(4.0, 6.0) is within


def test_replicates_that_agree_exactly_are_no_open_question() -> None:
    same = Interval.of([2.0, 2.0, 2.0])
    assert same.above(1.0) is True
    assert same.above(2.0) is False
    assert same.below(2.0) is False


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([True, True], True), ([True, None], None), ([None, False, True], False), ([], None)],
)
def test_one_that_fails_outweighs_what_is_open(verdicts: list[bool | None], expected: bool | None) -> None:
    assert all_hold(verdicts) is expected


def test_an_order_is_judged_by_paired_differences() -> None:
    luck = np.array([0.0, 50.0, 100.0, 150.0])  # much wider than what tells the methods apart
    better, best = np.array([1.0, 1.1, 0.9, 1.0]), np.array([2.0, 2.1, 2.2, 2.0])
    holds, said = ascending(["a", "b", "c"], [luck, luck + better, luck + best])
    assert holds is True
    assert said.startswith("b - a: +1 [")
    assert ascending(["b", "a"], [luck + 1.0, luck])[0] is False
    assert ascending(["a", "b"], [luck, luck[::-1].copy()])[0] is None


def test_what_claims_json_says_has_these_five_fields() -> None:
    claim = Claim("c", "Fig. 1", "1", "2", None, "a rule")
    assert claim.row() == {"claim": "c", "source": "Fig. 1", "paper": "1", "measured": "2", "holds": None}
