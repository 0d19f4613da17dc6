"""Clauses of buffers: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toys.backlog import Buoys
from toys.broken import must_break


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("buffer_bits", lambda found: -1.0 - found, "buffer_bits are negative"),
        (
            "backlog",
            lambda found: replace(found, holding_price=found.holding_price + 1.0),
            "do not follow from backlog",
        ),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(Buoys, method, change, clause)
