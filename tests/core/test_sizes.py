"""Sizes that would do are found where there are any, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core.sizes import fitting_sizes


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("multi_server", {"users": 7, "servers": 3}),
        ("partial_mobile", {"users": 3, "horizon": 1}),
        ("battery_d2d", {"users": 3, "servers": 4, "horizon": 5}),
        ("twin_inference", {"users": 3, "servers": 2, "tasks_max": 2, "horizon": 1}),
        ("carbon_mimo", {"users": 3, "antennas": 9, "horizon": 6}),
    ],
)
def test_the_sizes_of_a_sample_are_found(name: str, sizes: dict[str, Any]) -> None:
    sample = registry.problem(name, **sizes).sample(2, seed=0)
    shapes = {array: np.shape(values) for array, values in sample.items()}
    assert fitting_sizes(registry.problem(name), shapes) == sizes
    assert fitting_sizes(registry.problem(name, **sizes), shapes) == {}


def test_arrays_that_disagree_fit_no_sizes() -> None:
    problem = registry.problem("multi_server")
    assert fitting_sizes(problem, {"gain": (2, 5, 2), "task_bits": (2, 6)}) == {}
    assert fitting_sizes(problem, {"gain": (2, 5)}) == {}
    assert fitting_sizes(problem, {"gain": (2, 0, 2)}) == {}, "no scenario has 0 users"
