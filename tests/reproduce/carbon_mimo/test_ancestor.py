"""The ancestor's curve and Lyapunov's trade-off: claims follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offloadopt.reproduce.carbon_mimo import ancestor
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import verdicts
from toys.tiny_papers.carbon_mimo import full


def test_the_ancestors_published_curve_matches_itself_and_nothing_2_percent_off() -> None:
    def rows(factor: float) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "weight": weight, "rate": rate, "method": method, "reward": factor * value}
            for (method, weight), curve in ancestor.PUBLISHED.items()
            for rate, value in zip(ancestor.RATES, curve, strict=True)
            for r in (1, 2)
        ]

    assert verdicts(full("ancestor"), rows(1.0))[:2] == [True, True]
    assert verdicts(full("ancestor"), rows(1.03))[:2] == [False, False]


def test_lyapunovs_trade_off_needs_both_directions() -> None:
    def rows(power: Callable[[float], float], buffer: Callable[[float], float]) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "v": v, "power_w": power(v) + 1e-6 * r, "buffer_quanta": buffer(v) + 1e-6 * r}
            for v in (1.0, 10.0, 100.0)
            for r in (1, 2, 3)
        ]

    assert verdicts(full("lyapunov-v"), rows(lambda v: 1 + 1 / v, lambda v: v)) == [True]
    assert verdicts(full("lyapunov-v"), rows(lambda v: 1.0 + v, lambda v: v)) == [False]
    assert verdicts(full("lyapunov-v"), rows(lambda v: 1 + 1 / v, lambda v: 1 / v)) == [False]
