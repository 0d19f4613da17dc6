"""A summary has a mean and an interval for every point; paired values come in the order of the replicates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from offloadopt.reproduce.claims import Interval
from offloadopt.reproduce.summary import REPLICATE, summarised, values


def test_a_summary_has_the_interval_of_every_point() -> None:
    frame = pd.DataFrame(
        {
            "point": [1, 1, 1, 2],
            REPLICATE: [3, 1, 2, 1],
            "number": [5.0, 1.0, 3.0, 7.0],
        }
    )
    summary = summarised(frame, ("point",)).set_index("point")
    expected = Interval.of([1.0, 3.0, 5.0])
    found = summary.loc[1]
    assert (found["number"], found["number_low"], found["number_high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert list(summary["replicates"]) == [3, 1]
    assert np.isnan(summary.loc[2, "number_low"])
    assert list(values(frame, "number", point=1)) == [1.0, 3.0, 5.0]


def test_values_of_one_point_do_not_depend_on_the_order_of_the_rows() -> None:
    frame = pd.DataFrame({"method": ["a", "b", "a", "b"], REPLICATE: [2, 1, 1, 2], "cost": [4.0, 1.0, 3.0, 2.0]})
    np.testing.assert_array_equal(values(frame, "cost", method="a"), [3.0, 4.0])
    np.testing.assert_array_equal(values(frame[::-1], "cost", method="b"), [1.0, 2.0])
    assert values(frame, "cost", method="c").size == 0
