"""Clauses of inference at the edge: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toys.broken import must_break
from toys.inference import Questions


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("cost_weights", lambda found: replace(found, per_second=-1.0), "a weight is negative"),
        (
            "cost_weights",
            lambda found: replace(found, per_second=found.per_second + 1.0),
            "do not follow from all_tasks",
        ),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(Questions, method, change, clause)
