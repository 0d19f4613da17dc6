"""A claim's verdict follows from paired numbers alone, and its text gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from offloadopt.reproduce.claim_builders import Level, Lowest, Ratio, Trend, steps_along
from offloadopt.reproduce.summary import REPLICATE

HEAD: Mapping[str, Any] = {"claim": "it is so", "source": "Fig. 1"}


def table(**costs: list[float]) -> pd.DataFrame:
    """Costs of each method at the places 1, 2, ...; replicates differ by the same in all."""
    return pd.DataFrame(
        {REPLICATE: r, "method": method, "place": place, "cost": cost + 10.0 * r}
        for method, found in costs.items()
        for place, cost in enumerate(found, 1)
        for r in (1, 2, 3)
    )


def test_a_trend_needs_every_step_of_every_method() -> None:
    rise = Trend(**HEAD, axis="place", methods=("a", "b", "absent"), measured="at {places}: {found}")
    (claim,) = rise(table(a=[1, 2, 3], b=[4, 5, 7]))
    assert claim.holds is True
    assert claim.measured == "at 1, 2, 3: a 21, 22, 23; b 24, 25, 27"
    assert claim.rule.startswith("the mean paired difference between neighbouring points is above 0")
    assert rise(table(a=[1, 2, 3], b=[4, 5, 5]))[0].holds is False
    fall = Trend(**HEAD, axis="place", methods=("a",), sign=-1.0)
    assert fall(table(a=[3, 2, 1]))[0].holds is True
    assert fall(table(a=[1, 2, 3]))[0].holds is False
    assert "below 0" in fall(table(a=[1, 2, 3]))[0].rule


def test_steps_are_paired_over_replicates() -> None:
    (step,) = steps_along(table(a=[1, 3]), "cost", "place", -1.0, method="a")
    assert (step.mean, step.low, step.high) == (-2.0, -2.0, -2.0)


def test_the_lowest_is_below_each_rival_at_each_place() -> None:
    lowest = Lowest(**HEAD, axis="place", method="a", rivals=("b", "c"))
    (claim,) = lowest(table(a=[1, 1], b=[2, 3], c=[4, 4]))
    assert claim.holds is True
    assert claim.measured == "a - b: -1 [-1, -1] at 1, -2 [-2, -2] at 2; a - c: -3 [-3, -3] at 1, -3 [-3, -3] at 2"
    assert lowest(table(a=[1, 4], b=[2, 3]))[0].holds is False
    assert lowest(table(b=[1, 1])) == []


def test_ratios_have_limits_that_may_differ_by_rival() -> None:
    frame = table(a=[1.0], b=[1.0])
    assert Ratio(**HEAD, axis="place", method="a", rivals=("b",))(frame)[0].holds is False
    allowed = Ratio(**HEAD, method="a", rivals=("b",), level={"b": 1.01}, each="{value} of {rival}'s", lead="")
    (claim,) = allowed(frame)
    assert claim.holds is True
    assert claim.measured == "1 [1, 1] of b's"


def test_a_claim_may_be_about_some_rows() -> None:
    frame = table(a=[1, 9], b=[2, 3])
    first = Lowest(**HEAD, axis="place", method="a", rivals=("b",), where={"place": 1})
    assert first(frame)[0].holds is True


@pytest.mark.parametrize(("tolerance", "holds"), [(5.0, True), (0.05, None)])
def test_a_level_lies_within_its_tolerance_at_every_published_place(tolerance: float, holds: bool | None) -> None:
    frame = pd.DataFrame({REPLICATE: [1, 2, 3], "method": "a", "place": 1, "cost": [99.0, 100.0, 101.0]})
    parts = {"method": "a", "published": {1: 99.0, 2: 7.0}, "rule": "the mean lies near it"}
    level = Level(**HEAD, axis="place", tolerance=tolerance, **parts)
    (claim,) = level(frame)
    assert claim.holds is holds
    assert (claim.measured, claim.rule) == ("1: 100 [97.5, 102]", "the mean lies near it")
    assert level(frame.assign(cost=frame["cost"] * 2))[0].holds is False
