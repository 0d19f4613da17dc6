"""Generated digits: the pictures, the table and the claims."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.twin_inference import samples
from offloadopt.reproduce.twin_inference.data_sets import IMAGES, MNIST, VECTORS
from offloadopt.reproduce.twin_inference.digits import PUBLISHED, data_sets_table, digits_figure

from toys.tiny_papers import artefact, judged
from toys.tiny_papers.twin_inference import PICTURES, STUDY, needs_digits, tiny


@needs_digits
def test_digits_are_judged_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for steps in ("judges.VECTOR_STEPS", "samples.CLASSIFIER_STEPS"):
        monkeypatch.setattr(f"offloadopt.reproduce.twin_inference.{steps}", 5)
    monkeypatch.setattr("offloadopt.reproduce.twin_inference.judges.OF_EACH_LABEL", 20)
    made = tiny(replicates=1)
    figure, table = (artefact(made, name) for name in PICTURES)
    unit = figure.units[-1]
    assert unit.parameters["loss"] == samples.PAPER_LOSS
    result = dict(unit.function(**unit.parameters))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["samples"], result["labels"]) == (5000, 10)
    assert 0.2 < result["judge"] <= 1.0
    assert 0.0 <= result["made"] < result["judge"]  # nothing is learned in a step
    assert 0.5 < result["auc"] <= 1.0
    assert samples.picture(result["picture"]).shape == (2 * 28, 10 * 28)
    # The picture and both tables from it; all losses would be judged alike.
    frame = figure.frame({unit.name: result for unit in figure.units})
    assert list(frame["loss"]) == list(PUBLISHED)
    assert figure.draw(frame).axes
    small = samples.make_samples(IMAGES, 2, 1)
    results = {one.name: result if one.function is samples.generate_digits else small for one in table.units}
    rows = table.frame(results)
    assert list(rows["data_set"]) == [MNIST, IMAGES, VECTORS]
    assert rows["acc"].tolist() == [result["judge"], small["judge"], small["judge"]]
    assert table.draw(rows).axes


def written(made: Mapping[str, float]) -> list[dict[str, Any]]:
    """What a judge says of four losses, diverse as they are recognised."""
    return [
        {
            REPLICATE: r,
            "loss": loss,
            "made": share * (1 + 1e-4 * r),
            "diversity": 0.5 if loss == "minimax" else share,
            "judge": 0.98,
        }
        for r in (1, 2, 3)
        for loss, share in made.items()
    ]


def test_digits_hold_as_published_and_fail_in_reverse() -> None:
    figure = digits_figure(STUDY)
    assert list(judged(figure, written(PUBLISHED)).values()) == [True] * 3
    reverse = {loss: 0.1 / share for loss, share in PUBLISHED.items()}
    assert list(judged(figure, written(reverse)).values()) == [False] * 3


@pytest.mark.parametrize(("gen", "holds"), [(0.88, True), (0.7, False)])
def test_generated_samples_may_be_recognised_a_little_less_often(gen: float, holds: bool) -> None:
    rows = [
        {REPLICATE: r, "data_set": name, "acc": 0.95, "auc": 0.99, "gen_acc": at + 1e-3 * r}
        for r in (1, 2, 3)
        for name, at in ((MNIST, 0.96), (IMAGES, gen))
    ]
    assert list(judged(data_sets_table(STUDY), rows).values()) == [holds]


def test_the_printed_total_of_digits_is_pointed_out() -> None:
    (recognised, *_) = digits_figure(STUDY).claims(pd.DataFrame(written(dict(PUBLISHED))))
    assert "20,000, not the 2,000" in recognised.paper
