"""Fig. 5: the critics' loss of MADDPG and MADDPG-CGAN against the steps of their training.

Losses are those of single batches, in squared standard deviations of rewards. Roughness is the mean absolute change
between neighbouring points over the mean loss, and it is compared at equally many points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.summary import summarised
from offloadopt.reproduce.twin_inference import curves
from offloadopt.reproduce.twin_inference.setting import CGAN, MADDPG, STYLES, Setting, in_order

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

POINTS = 50
"""Points of a curve; replicates are averaged over the same intervals of steps."""


class LossFigure(Artefact):
    """Critics' loss during training."""

    name = "losses"
    keys = ("method", "step")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """Both trainings at the common point."""
        return [
            unit
            for replicate in self.setting.replicates
            for unit in self.setting.trained(replicate, self.setting.common, (MADDPG, CGAN))
        ]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Interval means of the curve, with its roughness and settling step."""
        found = [(point["step"], point["loss"]) for point in result["curve"] if "loss" in point]
        if not found:
            return
        steps, losses = (np.array(column, dtype=np.float64) for column in zip(*found, strict=True))
        end = float(unit.parameters["steps"])
        rough, steady = curves.roughness(losses), curves.settling_step(steps, losses)
        for step, loss in interval_means(steps, losses, end, POINTS):
            yield {
                "method": unit.labels["method"],
                "step": step,
                "loss": loss,
                "roughness": rough,
                "settled_step": steady,
            }

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Both curves."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), ["loss"])
        figure, (ax,) = plots.panels(1)
        for method in in_order(summary["method"]):
            look = STYLES[method]
            style = plots.Style(look.label, look.color, look.line)
            plots.series(ax, summary[summary["method"] == method], "step", "loss", style)
        plots.fit_to_means(ax, 0.0)
        plots.logarithmic(ax, "x")
        plots.finish(ax, "decisions of users", "critics' loss, squared deviations of rewards")
        plots.legend(figure, [ax])
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Whether the loss is smoother and settles sooner with generated experience."""
        if not {MADDPG, CGAN} <= set(frame["method"]):
            return []
        return [
            self._less(
                frame,
                "roughness",
                "The critics' loss falls more smoothly with generated experience",
                "the mean ratio of both curves' roughness is below 1",
            ),
            self._less(
                frame,
                "settled_step",
                "The critics' loss converges in fewer steps with generated experience",
                "the mean ratio of the steps from which on the running mean stays within 5 % of its end is below 1",
            ),
        ]

    def _less(self, frame: pd.DataFrame, number: str, claim: str, rule: str) -> Claim:
        ours, theirs = (constant_per_replicate(frame, number, method) for method in (CGAN, MADDPG))
        with np.errstate(divide="ignore", invalid="ignore"):  # a curve of one point is not rough at all
            ratio = Interval.of(ours / theirs)
        return Claim(
            claim,
            "Fig. 5, section 6",
            "smoother and faster (no numbers)",
            f"{number.replace('_', ' ')} {ours.mean():.3g} against {theirs.mean():.3g} of MADDPG, ratio {ratio.text()}",
            ratio.below(1.0),
            rule,
        )


def interval_means(steps: FloatArray, numbers: FloatArray, end: float, most: int) -> Iterable[tuple[float, float]]:
    """Means over equal intervals of a training, each with its last step."""
    place = np.maximum(1, np.ceil(steps * most / end)).astype(np.int64)
    for number in np.unique(place):
        yield float(number * end / most), float(numbers[place == number].mean())


def constant_per_replicate(frame: pd.DataFrame, number: str, method: str) -> FloatArray:
    """Select a number that is the same in all rows of a curve ``[replicates]``."""
    chosen = frame[frame["method"] == method]
    return chosen.groupby(REPLICATE)[number].first().sort_index().to_numpy(dtype=np.float64)
