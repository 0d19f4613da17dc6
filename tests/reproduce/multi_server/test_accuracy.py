"""Table II: its claims follow from the accuracies alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.multi_server import full


def accuracies(of: Callable[[str, int, int], float]) -> list[dict[str, Any]]:
    """A table II with the testing accuracy ``of(loss, demonstrations, replicate)``."""
    return [
        {
            REPLICATE: replicate,
            "loss": loss,
            "demonstrations": count,
            "test_accuracy": of(loss, count, replicate),
            "all_local_accuracy": 0.87,
        }
        for replicate in (1, 2, 3)
        for loss in ("with L2", "without L2")
        for count in (64, 128, 256, 512)
    ]


def test_table_2_as_published_holds_and_its_opposite_does_not() -> None:
    from offloadopt.reproduce.multi_server.accuracy import PUBLISHED

    noise = {1: -0.0005, 2: 0.0, 3: 0.0005}
    as_published = judged(full("table-2"), accuracies(lambda loss, n, r: PUBLISHED[loss][n][1] + noise[r]))
    assert list(as_published.values()) == [True, True, True]
    still_rising = accuracies(lambda loss, n, r: 0.7 + 0.03 * np.log2(n / 64) - 0.02 * (loss == "with L2") + noise[r])
    assert list(judged(full("table-2"), still_rising).values()) == [False, False, False]
    scattered = accuracies(lambda loss, n, r: 0.93 + 0.04 * np.sin(n * r + len(loss)))
    assert judged(full("table-2"), scattered)["The L2 regulariser lifts testing accuracy"] is None
