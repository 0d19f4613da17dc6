"""Training curves, inference, experts, one user: rows and claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from offloadopt.reproduce.artefact import REPLICATE

from toys.tiny_papers import verdicts
from toys.tiny_papers.carbon_mimo import full


def test_inference_is_judged_by_time_growth_and_size() -> None:
    def rows(time: Callable[[int], float], size: int) -> list[dict[str, Any]]:
        return [
            {REPLICATE: r, "users": users, "device_ms": time(users) * (1 + 1e-3 * r), "all_ms": 1.0, "bytes": size}
            for users in (1, 10, 100)
            for r in (1, 2, 3)
        ]

    assert verdicts(full("inference"), rows(lambda users: 0.1, 67_000)) == [True, True]
    assert verdicts(full("inference"), rows(lambda users: 0.1 * users, 67_000)) == [False, False]
    assert verdicts(full("inference"), rows(lambda users: 0.1, 80_000)) == [True, False]
