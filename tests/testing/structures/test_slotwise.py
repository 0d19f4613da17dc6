"""Clauses of slots that do not depend on each other: a toy that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toys.broken import must_break
from toys.slotwise import Charging


@pytest.mark.parametrize(
    ("method", "change", "clause"),
    [
        ("one_slot", lambda found: type(found)(found.scenario.replace(horizon=2)), "one_slot has 2 slots"),
    ],
)
def test_a_broken_toy_is_told_which_clause_it_breaks(method: str, change: Callable[..., Any], clause: str) -> None:
    must_break(Charging, method, change, clause)
