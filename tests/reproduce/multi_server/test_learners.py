"""Table III: its claims follow from the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.multi_server import full


def learners(of: Callable[[str, str], tuple[float, float, float]], spread: float) -> list[dict[str, Any]]:
    """A table III; ``of(method, budget)`` gives training seconds, decision seconds and reward."""
    rows = []
    for replicate in (1, 2, 3):
        shift = spread * (replicate - 2)
        for method in ("dirs", "actor-critic", "ddpg-sb3"):
            for budget in ("equal samples", "equal seconds"):
                train_s, decision_s, reward = of(method, budget)
                numbers = {"train_cpu_s": train_s, "decision_s": decision_s, "reward": reward}
                swing = {name: value * (1 + shift * len(method)) for name, value in numbers.items()}
                rows.append({REPLICATE: replicate, "budget": budget, "method": method, **swing})
        rows.append({REPLICATE: replicate, "budget": "none", "method": measurements.OPTIMUM, "reward": 0.0353})
    return rows


def test_table_3_as_published_holds_and_its_reverse_does_not() -> None:
    told = {
        "dirs": (2970.84, 0.0165, 0.0348),
        "actor-critic": (3482.72, 0.0195, 0.0309),
        "ddpg-sb3": (3823.15, 0.0192, 0.0317),
    }
    artefact = full("table-3")
    assert set(judged(artefact, learners(lambda method, _: told[method], 1e-5)).values()) == {True}
    reverse = {
        "dirs": (9.0, 9.0, 0.030),
        "actor-critic": (2.0, 1.0, 0.034),
        "ddpg-sb3": (1.0, 2.0, 0.032),
    }
    assert set(judged(artefact, learners(lambda method, _: reverse[method], 1e-5)).values()) == {False}
    assert set(judged(artefact, learners(lambda method, _: told[method], 0.1)).values()) == {None}
