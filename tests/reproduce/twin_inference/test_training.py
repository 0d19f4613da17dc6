"""Figs. 5 and 10: claims follow from the curves and bytes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.twin_inference.study import CENTRALISED, CGAN, FEDAVG, MADDPG, PERSONALISED
from offloadopt.reproduce.twin_inference.training import (
    HELD_OUT,
    LEARNING,
    federation_figure,
    loss_figure,
    with_first_near,
)

from toys.tiny_papers import judged
from toys.tiny_papers.twin_inference import STUDY


@pytest.mark.parametrize(("factor", "holds"), [(0.5, True), (2.0, False)])
def test_losses_are_compared_by_roughness_and_steps(factor: float, holds: bool) -> None:
    rows = [
        {REPLICATE: r, "method": method, "step": step, "loss": 1.0, "roughness": f * (1 + 1e-3 * r), "settled_step": f}
        for r in (1, 2, 3)
        for method, f in ((MADDPG, 1.0), (CGAN, factor))
        for step in (10, 20)
    ]
    assert list(judged(loss_figure(STUDY), rows).values()) == [holds, holds]


def test_a_training_without_updates_has_no_losses_and_nothing_is_claimed() -> None:
    figure = loss_figure(STUDY)
    assert list(figure.rows(figure.units[0], {"curve": [{"step": 3, "cost": 1.0}]})) == []
    assert judged(figure, [{REPLICATE: 1, "method": MADDPG}]) == {}


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
    figure = federation_figure(STUDY)
    frame = with_first_near(federated(personalised, megabytes))
    firsts = frame[frame["cost_of"] == HELD_OUT].groupby("method")["first_near"].first()
    assert firsts.to_dict() == {FEDAVG: 30.0, CENTRALISED: 20.0, PERSONALISED: 20.0 if verdicts[0] else 40.0}
    assert [claim.holds for claim in figure.claims(frame)] == verdicts


def test_a_draw_in_speed_decides_nothing() -> None:
    figure = federation_figure(STUDY)
    frame = with_first_near(federated((300.0, 200.0, 90.0), 5.0))
    assert [claim.holds for claim in figure.claims(frame)] == [None, True, True]


def test_what_is_missing_is_not_compared() -> None:
    figure = federation_figure(STUDY)
    whole = federated((300.0, 90.0, 80.0), 5.0)
    decentral = with_first_near(whole[whole["method"] != CENTRALISED])
    assert f"ratio to {FEDAVG}" in figure.claims(decentral)[-1].measured
    alone = with_first_near(whole[whole["method"] == PERSONALISED])
    assert alone["first_near"].isna().all()
    assert figure.claims(alone) == []
