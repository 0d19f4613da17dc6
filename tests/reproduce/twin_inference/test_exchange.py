"""Table 3: its claims follow from the numbers alone."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.twin_inference.exchange import (
    COUNTED,
    TRAINED,
    communication_per_slot,
    exchange_table,
    settling_step_of,
)
from offloadopt.reproduce.twin_inference.study import CGAN, GREEDY, MADDPG

from toys.tiny_papers import judged
from toys.tiny_papers.twin_inference import STUDY


def exchanged(sooner: float, power: float) -> list[dict[str, Any]]:
    """A table in which generators need ``sooner`` times what MADDPG needs, and bytes grow with this power of users."""
    rows: list[dict[str, Any]] = []
    for r in (1, 2, 3):
        rows.append({REPLICATE: r, "run": TRAINED, "users": 2, "method": GREEDY, "cost": 10.0})
        for method, factor in ((MADDPG, 1.0), (CGAN, sooner)):
            numbers = {"settled_step": 100.0, "cost": 8.0}
            noisy = {name: factor * value * (1 + 1e-3 * r) for name, value in numbers.items()}
            rows.append({REPLICATE: r, "run": TRAINED, "users": 2, "method": method, **noisy})
            for users in (2, 4, 8):
                grown = float(users) ** (2.0 if method == MADDPG else power)
                counted = {"run": COUNTED, "users": users, "method": method, "sent": grown, "delivered": grown}
                rows.append({REPLICATE: r, **counted, "sync_ms": factor * grown / users})
    return rows


@pytest.mark.parametrize(("sooner", "power", "holds"), [(0.8, 1.0, True), (1.2, 2.0, False)])
def test_the_exchange_holds_as_published_and_fails_in_reverse(sooner: float, power: float, holds: bool) -> None:
    assert list(judged(exchange_table(STUDY), exchanged(sooner, power)).values()) == [holds] * 5


def test_printed_contradictions_are_pointed_out() -> None:
    (rounds, _, reward, percent, order) = exchange_table(STUDY).claims(pd.DataFrame(exchanged(0.8, 1.3)))
    assert "38 rounds without, 60 with it" in rounds.paper
    assert "swapped" in rounds.paper
    assert "positive, though (12) is negative" in reward.paper
    assert round(55.49 / 1.1104, 2) == 49.97
    assert round(50.74 / 1.0855, 2) == 46.74
    assert "49.97" in percent.paper
    assert "46.74" in percent.paper
    assert "n^2.00 without and n^1.30 with it" in order.measured


def test_what_is_missing_is_not_compared() -> None:
    table, rows = exchange_table(STUDY), pd.DataFrame(exchanged(0.8, 1.0))
    assert table.claims(rows[rows["method"] == MADDPG]) == []
    assert len(table.claims(rows[rows["users"] == 2])) == 4
    assert communication_per_slot([{"step": 1}], 2) == settling_step_of([]) == {}
