"""Table 3: its claims follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from offloadopt.reproduce.partial_mobile import table
from offloadopt.reproduce.partial_mobile.study import DISCRETE, EXACT, GRID
from offloadopt.reproduce.partial_mobile.table import PUBLISHED, WEIGHTS, weight_table
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.partial_mobile import FULL


def weights(of: Callable[[str, int, int], float]) -> list[dict[str, Any]]:
    """Table 3's rows for all judged methods, each number ``of(name, place of the weight, replicate)``."""
    return [
        {REPLICATE: r, "weight": weight, "method": method, **{name: of(name, place, r) for name in PUBLISHED}}
        for method in (EXACT, GRID, DISCRETE)
        for place, weight in enumerate(WEIGHTS)
        for r in range(1, 6)
    ]


def test_table_3_holds_as_published_and_fails_in_reverse() -> None:
    published = judged(weight_table(FULL), weights(lambda name, at, r: PUBLISHED[name][at] * (1 + 1e-3 * r)))
    assert len(published) == 12
    assert set(published.values()) == {True}
    reverse = judged(weight_table(FULL), weights(lambda name, at, r: PUBLISHED[name][8 - at] * (1 + 1e-3 * r)))
    assert set(reverse.values()) == {False}
    flat = judged(weight_table(FULL), weights(lambda name, at, r: 0.5))
    assert set(flat.values()) == {False}


def test_one_wrong_step_fails_one_trend_and_noise_decides_none() -> None:
    def once(name: str, at: int, r: int) -> float:
        value = PUBLISHED[name][at] * (1 + 1e-3 * r)
        return value * 1.2 if (name, at) == ("time_s", 8) else value

    found = judged(weight_table(FULL), weights(once))
    failed = {claim for claim, holds in found.items() if holds is False}
    assert len(failed) == 6
    assert all(claim.startswith(("The delay falls", "Delay, energy and utility")) for claim in failed)
    noise = np.random.default_rng(0)
    scattered = judged(weight_table(FULL), weights(lambda name, at, r: 1.0 + noise.normal(0, 0.3)))
    assert True not in scattered.values()


def test_numbers_name_their_weights_unless_all_nine_are_there() -> None:
    assert table.at_weights(".1f", [1.0, 2.0], (0.1, 0.9)) == "1.0, 2.0 at 0.1, 0.9"
    assert "at" not in table.at_weights(".0f", PUBLISHED["time_s"], WEIGHTS)
