"""Figs. 2 and 3: claims follow from the costs alone; a training curve is averaged over equal intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from offloadopt.reproduce.battery_d2d.study import OMD, PAPER_METHODS, RMAPPO, SIZES
from offloadopt.reproduce.battery_d2d.sweeps import POINTS, capacity_figure, tasks_figure, training_figure
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.battery_d2d import CLIPPED, FULL, STUDY


def sweep(axis: str, places: Sequence[float], of: Callable[[str, float], float]) -> list[dict[str, Any]]:
    """Costs of all methods, each ``of(method, place)`` with little noise."""
    return [
        {REPLICATE: r, **CLIPPED, axis: place, "method": method, "cost": of(method, place) * (1 + 1e-3 * r)}
        for r in (1, 2, 3)
        for method in (RMAPPO, *PAPER_METHODS)
        for place in places
    ]


def test_figures_hold_as_published_and_fail_in_reverse() -> None:
    for figure, axis, sign, claims in (
        (capacity_figure(FULL), "battery_j", -1.0, 3),
        (tasks_figure(FULL), "task_chance", 1.0, 4),
    ):
        places = SIZES["full"].capacities_j if axis == "battery_j" else SIZES["full"].chances

        def published(method: str, place: float, sign: float = sign) -> float:
            return place**sign * (1.0 if method == RMAPPO else 2.0)

        def reverse(method: str, place: float, sign: float = sign) -> float:
            return place**-sign * (3.0 if method == RMAPPO else 2.0)

        held = judged(figure, sweep(axis, places, published))
        assert list(held.values()) == [True] * claims
        assert set(judged(figure, sweep(axis, places, reverse)).values()) == {False}


@pytest.mark.parametrize(("at_the_fewest", "verdicts"), [(0.1, [True, True, False]), (1.0, [True, False, True])])
def test_one_point_of_one_rival_decides_who_is_best_or_the_trend_of_all(
    at_the_fewest: float, verdicts: list[bool]
) -> None:
    def cost(method: str, place: float) -> float:
        return at_the_fewest if (method, place) == (OMD, 0.2) else place * (1.0 if method == RMAPPO else 2.0)

    found = judged(tasks_figure(FULL), sweep("task_chance", SIZES["full"].chances, cost))
    assert list(found.values()) == [*verdicts, True]


def test_a_curve_is_averaged_over_equal_intervals_and_may_be_missing() -> None:
    figure = training_figure(STUDY)
    unit = figure.units[0]
    curve = [{"step": step, "cost": float(step)} for step in range(1, 10 * POINTS + 1)]
    rows = list(figure.rows(unit, {"curve": curve}))
    assert [row["step"] for row in rows] == [10.0 * number for number in range(1, POINTS + 1)]
    assert [row["cost"] for row in rows] == pytest.approx([10.0 * number - 4.5 for number in range(1, POINTS + 1)])
    assert {(row["preset"], row["method"]) for row in rows} == {(unit.labels["preset"], unit.labels["method"])}
    assert list(figure.rows(unit, {"curve": []})) == []
