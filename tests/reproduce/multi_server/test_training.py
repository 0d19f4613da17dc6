"""Figures 5, 6 and 8: what is read off training curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.multi_server import full


def curve(of: Callable[[float], float], wobble: float) -> list[dict[str, Any]]:
    """A figure 6 of three replicates over 3000 slots."""
    return [
        {REPLICATE: replicate, "method": method, "step": step, "time_s": value, "energy_j": value, "cost": value}
        for replicate in (1, 2, 3)
        for method in ("DIRS", "without imitation")
        for step in range(10, 3001, 10)
        for value in [of(step) + wobble * np.sin(replicate * step)]
    ]


def test_figure_6_tells_a_fall_in_time_from_a_late_one_and_from_none() -> None:
    artefact = full("fig-6")

    def until(end: float) -> Callable[[float], float]:
        return lambda step: 30.0 + 5.0 * max(0.0, 1.0 - step / end)

    verdicts = {end: list(judged(artefact, curve(until(end), 0.01)).values()) for end in (900.0, 2700.0)}
    assert verdicts == {900.0: [True, True], 2700.0: [False, False]}
    assert list(judged(artefact, curve(lambda step: 30.0 + step / 3000, 0.01)).values()) == [False, False]
    noise = np.random.default_rng(0)
    assert list(judged(artefact, curve(lambda step: 30.0 + noise.normal(), 0.0)).values()) == [None, None]


def losses(end: float, settle: float) -> list[dict[str, Any]]:
    """A figure 5 whose losses fall to ``end`` within ``settle`` iterations."""
    return [
        {REPLICATE: replicate, "agent": agent, "step": step, "loss_per_task": value, "loss": 30 * value}
        for replicate in (1, 2, 3)
        for agent in ("agent 1", "agent 2")
        for step in range(10, 4001, 10)
        for value in [end + 0.01 * replicate + 0.5 * max(0.0, 1.0 - step / settle)]
    ]


@pytest.mark.parametrize(
    ("end", "settle", "expected"),
    [(0.18, 200.0, True), (0.5, 200.0, False), (0.18, 3000.0, False), (0.08, 200.0, None)],
)
def test_figure_5_asks_for_the_level_and_for_the_time(end: float, settle: float, expected: bool | None) -> None:
    assert list(judged(full("fig-5"), losses(end, settle)).values()) == [expected]


def ablation(slow: float, gain: float, spread: float) -> list[dict[str, Any]]:
    """A figure 8: without imitation the reward arrives at iteration ``slow``, refinement is worth ``gain``."""
    rows: list[dict[str, Any]] = []
    for replicate in (1, 2, 3):
        for method in ("DIRS", "without Lévy search", "without imitation"):
            arrival = slow if method == "without imitation" else 500.0
            for step in range(10, 3001, 10):
                rows.append(
                    {REPLICATE: replicate, "method": method, "step": step, "reward": 0.034 + 0.001 * (step > arrival)}
                )
            luck = spread * (replicate - 2) * len(method)
            tested = 0.034 + gain * (method != "without Lévy search") + luck
            rows[-1] |= {"tested_reward": tested, "tested_gap": 0.01}
        for method, reward in ((measurements.OPTIMUM, 0.0351), ("local", 0.0333)):
            rows += [{REPLICATE: replicate, "method": method, "step": step, "reward": reward} for step in (0, 3000)]
    return rows


@pytest.mark.parametrize(
    ("slow", "gain", "spread", "expected"),
    [(1500.0, 1e-3, 1e-6, [True, True]), (500.0, -1e-3, 1e-6, [False, False]), (1500.0, 1e-4, 1e-4, [None, True])],
)
def test_figure_8_judges_the_end_of_refinement_and_the_way_of_imitation(
    slow: float, gain: float, spread: float, expected: list[bool | None]
) -> None:
    assert list(judged(full("fig-8"), ablation(slow, gain, spread)).values()) == expected
