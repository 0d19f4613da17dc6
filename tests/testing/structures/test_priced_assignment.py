"""Clauses of assignments priced by load: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toys.broken import must_break
from toys.priced_assignment import PrintShop


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("costs", lambda found: replace(found, option_cost=2.0 * found.option_cost), r"costs\(a\) differ"),
        ("costs", lambda found: replace(found, capacity=2 * found.capacity), r"costs\(a\) differ"),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(PrintShop, method, change, clause)
