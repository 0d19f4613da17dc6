"""Training curves of battery_d2d's learners."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Artefact, Result, Row, Unit
from offloadopt.reproduce.battery_d2d.setting import STYLES, Setting, in_order
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import summarised

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

POINTS = 40
"""Points of a curve; replicates are averaged over the same intervals of steps."""


class TrainingFigure(Artefact):
    """Cost of an episode during training, exploration included."""

    name = "training"
    keys = ("preset", "method", "step")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """All trainings at the common point."""
        return [
            unit
            for replicate in self.setting.replicates
            for preset in self.setting.sizes.presets
            for unit in self.setting.shown(replicate, preset)
        ]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Means over equal intervals of the training."""
        if not result["curve"]:
            return
        steps, costs = (np.array([point[name] for point in result["curve"]]) for name in ("step", "cost"))
        place = np.ceil(steps * POINTS / steps[-1]).astype(np.int64)
        labels = {name: unit.labels[name] for name in ("preset", "method")}
        for number in np.unique(place):
            yield {**labels, "step": float(number * steps[-1] / POINTS), "cost": float(costs[place == number].mean())}

    def draw(self, frame: pd.DataFrame) -> Figure:
        """A curve for each learner, a panel for each setting."""
        summary = summarised(frame, self.keys)
        presets = [preset for preset in self.setting.sizes.presets if preset in set(frame["preset"])]
        figure, axes = plots.panels(len(presets))
        for ax, preset in zip(axes, presets, strict=True):
            chosen = plots.hide_wide_bands(summary[summary["preset"] == preset], ["cost"])
            for method in in_order(chosen["method"]):
                look = STYLES[method]
                style = plots.Style(look.label, look.color, look.line)
                plots.series(ax, chosen[chosen["method"] == method], "step", "cost", style)
            plots.fit_to_means(ax)
            plots.logarithmic(ax, "x")
            plots.finish(ax, "decisions of devices", "cost of an episode, while exploring", preset)
        plots.legend(figure, axes, columns=3)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """None: claims of convergence are decided by the tested policies in the other figures."""
        return []
