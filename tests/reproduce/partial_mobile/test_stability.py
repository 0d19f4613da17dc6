"""Stability: its claims follow from the deviations alone."""

from __future__ import annotations

from typing import Any

from offloadopt.reproduce.partial_mobile.stability import stability_figure
from offloadopt.reproduce.partial_mobile.study import DISCRETE, EXACT
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.partial_mobile import FULL


def test_stability_needs_both_deviations_to_be_small_and_nearness_a_high_utility() -> None:
    def rows(seeds: float, episodes: float, utility: float = 0.7) -> list[dict[str, Any]]:
        own = {"method": DISCRETE, "step": 2.0, "spread": episodes, "overload": 0.0}
        best = {"method": EXACT, "step": 0.0, "spread": None, "utility": 0.8, "overload": 0.0}
        return [
            row
            for r in (1, 2, 3, 4)
            for row in (
                {REPLICATE: r, "method": DISCRETE, "step": 1.0},
                {REPLICATE: r, **own, "utility": utility + seeds * (-1) ** r},
                {REPLICATE: r, **best},
            )
        ]

    figure = stability_figure(FULL)
    assert list(judged(figure, rows(0.005, 0.01)).values()) == [True, False]
    assert list(judged(figure, rows(0.005, 0.01, utility=0.79)).values()) == [True, True]
    assert list(judged(figure, rows(0.05, 0.01)).values()) == [False, None]  # too wide to tell how near
    assert list(judged(figure, rows(0.005, 0.05)).values()) == [False, False]
