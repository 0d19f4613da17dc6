"""Clauses of slots with shared servers: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toys.broken import must_break
from toys.shared_servers import Factory


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("splitting", lambda found: replace(found, time_weight=3.0), "splitting: time_weight|ratio|costs"),
        (
            "splitting",
            lambda found: replace(found, time_weight=found.time_weight / 2),
            "do not follow|differ",
        ),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(Factory, method, change, clause)
