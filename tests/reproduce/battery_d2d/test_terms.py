"""The cost's terms and Fig. 4: claims follow from the costs alone."""

from __future__ import annotations

from typing import Any

from offloadopt.reproduce.battery_d2d.study import GREEDY, MADDPG, OED, OMD, QUEUE, RANDOM, RMAPPO
from offloadopt.reproduce.battery_d2d.terms import DVFS, FIXED, frequency_figure, terms_table
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.battery_d2d import CLIPPED, FULL


def test_ten_percent_is_asked_below_simple_rules_and_anything_below_the_others() -> None:
    def rows(ours: float) -> list[dict[str, Any]]:
        others = {RANDOM: 3.0, OED: 4.0, OMD: 2.0, GREEDY: 1.95, QUEUE: 1.9, MADDPG: 1.85}
        return [
            {REPLICATE: r, **CLIPPED, "method": method, "cost": cost * (1 + 1e-3 * r * (method == RMAPPO))}
            for r in (1, 2, 3)
            for method, cost in {RMAPPO: ours, **others}.items()
        ]

    table = terms_table(FULL)
    assert list(judged(table, rows(1.7)).values()) == [True, True, True]
    assert list(judged(table, rows(1.82)).values()) == [False, True, True]
    assert list(judged(table, rows(1.88)).values()) == [False, False, True]
    assert list(judged(table, rows(2.5)).values()) == [False, False, False]
    alone = [{**row, REPLICATE: 1} for row in rows(1.0)[:7]]
    assert set(judged(table, alone).values()) == {None}


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

    assert list(judged(frequency_figure(FULL), rows(1.5)).values()) == [True, True]
    assert list(judged(frequency_figure(FULL), rows(2.5)).values()) == [False, False]
