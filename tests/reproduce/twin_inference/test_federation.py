"""Fig. 10: its claims follow from the curves and bytes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from offloadopt.reproduce.artefact import REPLICATE
from offloadopt.reproduce.twin_inference.federation import HELD_OUT, LEARNING, FederationFigure
from offloadopt.reproduce.twin_inference.setting import (
    CENTRALISED,
    FEDAVG,
    PERSONALISED,
)

from toys.tiny_papers.twin_inference import (
    FULL,
)


def federated(personalised: Sequence[float], megabytes: float) -> pd.DataFrame:
    """Curves that end at the costs of FedAvg, 100, or those given."""
    rows: list[dict[str, Any]] = []
    for r in (1, 2, 3):
        courses = {FEDAVG: (300.0, 200.0, 100.0), CENTRALISED: (300.0, 90.0, 90.0), PERSONALISED: personalised}
        for method, curve in courses.items():
            noisy = [cost * (1 + 1e-3 * r) for cost in curve]
            rows += [
                {REPLICATE: r, "cost_of": LEARNING, "method": method, "step": 10.0 * (n + 1), "cost": cost}
                for n, cost in enumerate(noisy)
            ]
            passed = megabytes if method == PERSONALISED else 10.0
            end = {"cost_of": HELD_OUT, "step": 30.0, "cost": noisy[-1], "delivered_mb": passed, "sent_mb": passed}
            rows.append({REPLICATE: r, "method": method, **end})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("personalised", "megabytes", "verdicts"),
    [((300.0, 90.0, 80.0), 5.0, [True, True, True]), ((300.0, 290.0, 280.0), 20.0, [False, False, False])],
)
def test_federations_are_compared_in_speed_end_and_bytes(
    personalised: Sequence[float], megabytes: float, verdicts: list[bool]
) -> None:
    figure = FederationFigure(FULL)
    frame = figure.with_first_near(federated(personalised, megabytes))
    firsts = frame[frame["cost_of"] == HELD_OUT].groupby("method")["first_near"].first()
    assert firsts.to_dict() == {FEDAVG: 30.0, CENTRALISED: 20.0, PERSONALISED: 20.0 if verdicts[0] else 40.0}
    assert [claim.holds for claim in figure.claims(frame)] == verdicts


def test_a_draw_in_speed_decides_nothing() -> None:
    figure = FederationFigure(FULL)
    frame = figure.with_first_near(federated((300.0, 200.0, 90.0), 5.0))
    assert [claim.holds for claim in figure.claims(frame)] == [None, True, True]
