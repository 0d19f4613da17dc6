"""Clauses of agents that decide by themselves: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toys.agents import Thermostats
from toys.broken import must_break


def mixed(features: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Features to which those of all agents are added."""
    return {name: values + values.sum(axis=1, keepdims=True) for name, values in features.items()}


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        (
            "features",
            lambda found: {name: values + values.sum(axis=1, keepdims=True) for name, values in found.items()},
            "depends on other agents' rows",
        ),
        ("allowed", lambda found: {name: np.zeros_like(mask) for name, mask in found.items()}, "leaves no option"),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(Thermostats, method, change, clause)
