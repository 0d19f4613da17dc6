"""Clauses of task queues: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toys.broken import must_break
from toys.task_queues import Robot


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        (
            "expected_costs",
            lambda found: replace(found, used_share=found.used_share + 2.0),
            r"used_share leaves \[0, 1\]",
        ),
        (
            "hindsight_data",
            lambda found: replace(found, joule_price=found.joule_price + 1.0),
            "follow from hindsight_data",
        ),
        ("device", lambda found: found[..., None], "device does not follow the axes"),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(Robot, method, change, clause)
