"""Figs. 6 to 9: claims follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.sweep import Sweep
from offloadopt.reproduce.twin_inference.study import CGAN, DDPG, DQN, GREEDY, MADDPG, OPTIMUM, TwinInferenceStudy
from offloadopt.reproduce.twin_inference.sweeps import DELAY, ENERGY, servers_figure, users_figure

from toys.tiny_papers import judged
from toys.tiny_papers.twin_inference import BASE, STUDY, TINY

EVERYBODY = (CGAN, MADDPG, DDPG, DQN, GREEDY, OPTIMUM)


def sweep(figure: Sweep, of: Callable[[str, float], float], replicates: int = 3) -> list[dict[str, Any]]:
    """Numbers of all methods, each ``of(method, place)`` with little noise."""
    return [
        {
            REPLICATE: r,
            figure.axis.column: place,
            "method": method,
            DELAY: of(method, place) * (1 + 1e-3 * r),
            ENERGY: of(method, place) * (1 - 1e-3 * r),
            "failed": 0.0,
        }
        for r in range(1, replicates + 1)
        for method in EVERYBODY
        for place in figure.axis.values
    ]


@pytest.mark.parametrize(("figure", "sign"), [(users_figure(STUDY), 1.0), (servers_figure(STUDY), -1.0)])
def test_sweeps_hold_as_published_and_fail_in_reverse(figure: Sweep, sign: float) -> None:
    order = {CGAN: 1.0, OPTIMUM: 0.9, MADDPG: 1.5, DDPG: 1.6, DQN: 1.7, GREEDY: 2.0}
    held = judged(figure, sweep(figure, lambda method, place: order[method] * place**sign))
    assert list(held.values()) == [True] * 10
    reverse = judged(figure, sweep(figure, lambda method, place: place**-sign / order[method]))
    assert set(reverse.values()) == {False}
    alone = judged(figure, sweep(figure, lambda method, place: order[method] * place**sign, replicates=1))
    assert set(alone.values()) == {None}


def test_without_the_papers_learner_only_trends_of_others_are_claimed() -> None:
    figure = users_figure(TwinInferenceStudy(TINY.replace(slots={MADDPG: 84}), BASE))
    rows = [row for row in sweep(figure, lambda method, place: place) if row["method"] != CGAN]
    assert [claim.partition(":")[0].split()[2] for claim in judged(figure, rows)] == ["delay", "energy"]


@pytest.mark.parametrize(("ours", "delay", "energy"), [(0.70, True, True), (0.80, True, False), (0.95, False, False)])
def test_the_headline_is_against_the_mean_of_three_baselines(ours: float, delay: bool, energy: bool) -> None:
    figure = users_figure(STUDY)
    others = {GREEDY: 1.5, DQN: 1.0, DDPG: 0.5, MADDPG: 100.0, OPTIMUM: 0.1, CGAN: ours}
    found = judged(figure, sweep(figure, lambda method, place: others[method] * place))
    headline = {claim: holds for claim, holds in found.items() if "about" in claim}
    assert list(headline.values()) == [delay, energy]
