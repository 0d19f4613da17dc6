"""The fitted energy coefficient: its claim follows from the residual alone."""

from __future__ import annotations

from typing import Any

from offloadopt.reproduce.partial_mobile.kappa import FIT, kappa_table
from offloadopt.reproduce.partial_mobile.study import EXACT
from offloadopt.reproduce.partial_mobile.table import WEIGHTS
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.partial_mobile import FULL


def test_the_table_is_explained_below_10_percent_alone() -> None:
    def rows(left: float) -> list[dict[str, Any]]:
        return [
            {
                REPLICATE: r,
                "method": EXACT,
                "at": FIT,
                "weight": weight,
                "kappa": 1e-27,
                "residual": left * (1 + 1e-3 * r),
                "utility": 0.5,
            }
            for weight in WEIGHTS
            for r in (1, 2, 3)
        ]

    assert list(judged(kappa_table(FULL), rows(0.05)).values()) == [True]
    assert list(judged(kappa_table(FULL), rows(0.3)).values()) == [False]
