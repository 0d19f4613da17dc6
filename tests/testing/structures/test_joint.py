"""Clauses of central decisions on levels: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toys.broken import must_break
from toys.joint import BaseStation


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("encode", lambda found: found[..., :-1], "encode has shape"),
        ("encode", lambda found: found * 0, "other coordinates"),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(BaseStation, method, change, clause)
