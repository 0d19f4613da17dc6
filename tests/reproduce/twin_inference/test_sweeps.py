"""Figs. 6 to 9: claims follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offloadopt.reproduce.artefact import REPLICATE
from offloadopt.reproduce.twin_inference.setting import (
    CGAN,
    DDPG,
    DQN,
    GREEDY,
    MADDPG,
    OPTIMUM,
)
from offloadopt.reproduce.twin_inference.sweeps import DELAY, ENERGY, ServersFigure, SweepFigure, UsersFigure

from toys.tiny_papers import judged
from toys.tiny_papers.twin_inference import (
    FULL,
)

EVERYBODY = (CGAN, MADDPG, DDPG, DQN, GREEDY, OPTIMUM)


def sweep(figure: SweepFigure, of: Callable[[str, float], float], replicates: int = 3) -> list[dict[str, Any]]:
    """Numbers of all methods, each ``of(method, place)`` with little noise."""
    places = [getattr(point, figure.axis) for point in figure.points]
    return [
        {
            REPLICATE: r,
            figure.axis: place,
            "method": method,
            DELAY: of(method, place) * (1 + 1e-3 * r),
            ENERGY: of(method, place) * (1 - 1e-3 * r),
            "failed": 0.0,
        }
        for r in range(1, replicates + 1)
        for method in EVERYBODY
        for place in places
    ]


@pytest.mark.parametrize("figure", [UsersFigure(FULL), ServersFigure(FULL)])
def test_sweeps_hold_as_published_and_fail_in_reverse(figure: SweepFigure) -> None:
    order = {CGAN: 1.0, OPTIMUM: 0.9, MADDPG: 1.5, DDPG: 1.6, DQN: 1.7, GREEDY: 2.0}
    held = judged(figure, sweep(figure, lambda method, place: order[method] * place**figure.sign))
    assert list(held.values()) == [True] * 10
    reverse = judged(figure, sweep(figure, lambda method, place: place**-figure.sign / order[method]))
    assert set(reverse.values()) == {False}
    constant_per_replicate = judged(
        figure, sweep(figure, lambda method, place: order[method] * place**figure.sign, replicates=1)
    )
    assert set(constant_per_replicate.values()) == {None}


@pytest.mark.parametrize(("ours", "delay", "energy"), [(0.70, True, True), (0.80, True, False), (0.95, False, False)])
def test_the_headline_is_against_the_mean_of_three_baselines(ours: float, delay: bool, energy: bool) -> None:
    figure = UsersFigure(FULL)
    others = {GREEDY: 1.5, DQN: 1.0, DDPG: 0.5, MADDPG: 100.0, OPTIMUM: 0.1, CGAN: ours}
    found = judged(figure, sweep(figure, lambda method, place: others[method] * place))
    headline = {claim: holds for claim, holds in found.items() if "about" in claim}
    assert list(headline.values()) == [delay, energy]
