"""Figures 9 and 10: claims of order and growth follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.multi_server import full


def points(field: str, at: Sequence[int], of: Callable[[str, int, int], float]) -> list[dict[str, Any]]:
    """A figure 9 or 10 whose time, energy and cost are ``of(method, point, replicate)``."""
    return [
        {REPLICATE: replicate, field: point, "method": method, **dict.fromkeys(("time_s", "energy_j", "cost"), value)}
        for replicate in (1, 2, 3)
        for point in at
        for method in ("dirs", "greedy", "random", "local", measurements.OPTIMUM)
        for value in [of(method, point, replicate)]
    ]


def test_figure_9_needs_dirs_below_every_rule_at_every_point() -> None:
    at = full("fig-9").axis.values  # type: ignore[attr-defined]
    base = {"dirs": 0.8, "greedy": 0.9, "random": 0.95, "local": 1.0, measurements.OPTIMUM: 0.7}
    better = points("users", at, lambda method, n, r: n * base[method] + 0.01 * r)
    assert set(judged(full("fig-9"), better).values()) == {True}
    once_worse = points(
        "users", at, lambda method, n, r: n * base[method] + 0.01 * r + (9.0 if (method, n) == ("dirs", 50) else 0.0)
    )
    found = judged(full("fig-9"), once_worse)
    assert [holds for claim, holds in found.items() if "lowest" in claim] == [False, False]
    assert found["The advantage of DIRS over Greedy, Random and Local grows with the number of users"] is True
    shrinking = points("users", at, lambda method, n, r: n + (100 - n) * base[method] + 0.01 * r)
    assert (
        judged(full("fig-9"), shrinking)[
            "The advantage of DIRS over Greedy, Random and Local grows with the number of users"
        ]
        is False
    )
    scattered = points("users", at, lambda method, n, r: n * base[method] + 40 * np.sin(n * r * len(method)))
    assert None in judged(full("fig-9"), scattered).values() or False in judged(full("fig-9"), scattered).values()
