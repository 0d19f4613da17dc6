"""Fig. 4: its claims follow from the costs alone."""

from __future__ import annotations

from typing import Any

from offloadopt.reproduce.artefact import REPLICATE
from offloadopt.reproduce.battery_d2d.frequency import DVFS, FIXED, FrequencyFigure
from offloadopt.reproduce.battery_d2d.setting import (
    GREEDY,
    RMAPPO,
)

from toys.tiny_papers import judged
from toys.tiny_papers.battery_d2d import CLIPPED, FULL


def test_modes_must_pay_in_all() -> None:
    def rows(with_modes: float) -> list[dict[str, Any]]:
        return [
            {
                REPLICATE: r,
                **CLIPPED,
                "frequency": frequency,
                "method": method,
                "cost": cost * (1 + 1e-3 * r * (cost > 1)),
                **dict.fromkeys(("failed", "finished_j", "delay_3_s"), 1.0),
            }
            for r in (1, 2, 3)
            for method in (RMAPPO, GREEDY)
            for frequency, cost in ((DVFS, with_modes), (FIXED, 2.0))
        ]

    assert list(judged(FrequencyFigure(FULL), rows(1.5)).values()) == [True, True]
    assert list(judged(FrequencyFigure(FULL), rows(2.5)).values()) == [False, False]
