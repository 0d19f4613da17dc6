"""Clauses of assignments: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toys.assignment import DataMarket
from toys.broken import must_break


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("affinity", lambda found: found * 0 + 2.0, r"affinity leaves \[0, 1\]"),
        ("nearest", lambda found: found * 0, "nearest leaves 1 to"),
        ("assignment", lambda found: np.maximum(found, 1), r"assignment\(allocate\(a\)\) is not a"),
        ("server_view", lambda found: found[..., None], r"server_view is not \[count, servers, features\]"),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(DataMarket, method, change, clause)
