"""Overload against users, and the price of a grid: claims follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offloadopt.reproduce.partial_mobile.study import DISCRETE, EDGE_ONLY, RANDOM_REQUESTS, SIZES
from offloadopt.reproduce.partial_mobile.sweeps import grid_figure, users_figure
from offloadopt.reproduce.partial_mobile.table import WEIGHTS
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.partial_mobile import FULL


def test_overload_must_be_lower_than_each_rivals_at_every_number_of_users() -> None:
    def rows(ours: Callable[[int], float]) -> list[dict[str, Any]]:
        by_method = {DISCRETE: ours, EDGE_ONLY: lambda users: 0.3, RANDOM_REQUESTS: lambda users: 0.2}
        return [
            {REPLICATE: r, "users": users, "method": method, "overload": of(users) + 1e-4 * r * (method == DISCRETE)}
            for method, of in by_method.items()
            for users in SIZES["full"].users
            for r in (1, 2, 3)
        ]

    figure = users_figure(FULL)
    assert list(judged(figure, rows(lambda users: 0.1)).values()) == [True]
    assert list(judged(figure, rows(lambda users: 0.25 if users == 20 else 0.1)).values()) == [False]
    without = [row for row in rows(lambda users: 0.1) if row["method"] != DISCRETE]
    assert judged(figure, without) == {}


def test_an_expensive_grid_fails_its_claim() -> None:
    def rows(at_half: float) -> list[dict[str, Any]]:
        return [
            {
                REPLICATE: r,
                "weight": weight,
                "decisions": "K = 5",
                "excess": (at_half if weight == 0.5 else 0.01) * (1 + 1e-3 * r),
            }
            for weight in WEIGHTS
            for r in (1, 2, 3)
        ]

    assert list(judged(grid_figure(FULL), rows(0.02)).values()) == [True]
    assert list(judged(grid_figure(FULL), rows(0.2)).values()) == [False]
