"""Fig. 10: MADDPG without sharing, with a centre, and with three rules of sharing weights.

Curves are the running mean of an episode's cost while learning, exploration included; the end is measured on held-out
instances. Speed is the first step at which a curve is within 5 % of the end of FedAvg's curve: steps to a curve's own
end would make a bad rule look fast. Whatever the rule, agents of MADDPG exchange their experience for their critics,
unless a centre collects it. Weights are transmitted in addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.summary import summarised, values
from offloadopt.reproduce.twin_inference import curves
from offloadopt.reproduce.twin_inference.losses import POINTS, interval_means
from offloadopt.reproduce.twin_inference.setting import (
    CENTRALISED,
    FEDAVG,
    FEDERATED,
    MADDPG,
    PERSONALISED,
    STYLES,
    Setting,
    in_order,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LEARNING, HELD_OUT = "learning", "held out"
MEGABYTE = 1e6


class FederationFigure(Artefact):
    """Learning curves, and a row for each final policy."""

    name = "federation"
    keys = ("cost_of", "method", "step")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """MADDPG without a rule and under each rule."""
        found = []
        for replicate in self.setting.replicates:
            found += self.setting.trained(replicate, self.setting.common, (MADDPG,))
            found += self.setting.federated(replicate)
        return found

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Interval means of the curve, and the held-out cost at the end."""
        method, end = unit.labels["method"], float(unit.parameters["steps"])
        curve = result["curve"]
        last = {"cost_of": HELD_OUT, "method": method, "step": end, "cost": result["test"]["cost"]}
        if curve:
            steps, costs = (np.array([point[name] for point in curve], dtype=np.float64) for name in ("step", "cost"))
            for step, cost in interval_means(steps, curves.running_mean(costs), end, POINTS):
                yield {"cost_of": LEARNING, "method": method, "step": step, "cost": cost}
            last |= {f"{way}_mb": curve[-1][way] / MEGABYTE for way in ("sent", "delivered")}
        yield last

    def frame(self, results: Mapping[str, Result]) -> pd.DataFrame:
        """Build the table with the step at which each rule first comes near FedAvg's final cost."""
        return self.with_first_near(super().frame(results))

    def with_first_near(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add that step to the rows of held-out costs."""
        first = np.full(len(frame), np.nan)
        learning = frame[frame["cost_of"] == LEARNING].sort_values("step")
        for replicate, rows in learning.groupby(REPLICATE):
            goal = rows[rows["method"] == FEDAVG]["cost"].to_numpy()
            if not len(goal):
                continue
            for method, curve in rows.groupby("method"):
                at = (frame["cost_of"] == HELD_OUT) & (frame["method"] == method) & (frame[REPLICATE] == replicate)
                first[at.to_numpy()] = curves.first_near(curve["step"], curve["cost"], goal[-1])
        return frame.assign(first_near=first)

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Draw the curves, and the held-out costs."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), ["cost", "delivered_mb"])
        figure, axes = plots.panels(2)
        curve_ax, end_ax = axes
        learning, ends = (summary[summary["cost_of"] == what] for what in (LEARNING, HELD_OUT))
        for method in in_order(learning["method"]):
            look = STYLES[method]
            style = plots.Style(look.label, look.color, look.line)
            plots.series(curve_ax, learning[learning["method"] == method], "step", "cost", style)
        plots.fit_to_means(curve_ax)
        plots.logarithmic(curve_ax, "x")
        plots.finish(curve_ax, "decisions of users", "cost of an episode, while exploring")
        methods = in_order(ends["method"])
        rows = [ends[ends["method"] == method].iloc[0] for method in methods]
        plots.dots(end_ax, [(method, STYLES[method]) for method in methods], rows, "cost")
        plots.finish(end_ax, "cost of a held-out episode", "")
        plots.legend(figure, [curve_ax])
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """Personalised sharing against FedAvg in speed and cost, and against a centre in bytes."""
        ends = frame[frame["cost_of"] == HELD_OUT]
        if not {PERSONALISED, FEDAVG} <= set(ends["method"]):
            return []
        cost, first = (
            Interval.of(values(ends, number, method=PERSONALISED) / values(ends, number, method=FEDAVG))
            for number in ("cost", "first_near")
        )
        megabytes = {
            method: float(values(ends, "delivered_mb", method=method).mean())
            for method in (MADDPG, *FEDERATED)
            if method in set(ends["method"])
        }
        delivered = ", ".join(f"{method} {amount:.3g}" for method, amount in megabytes.items())
        return [
            Claim(
                "Personalised sharing converges faster than FedAvg",
                "Fig. 10, section 6",
                "faster (no numbers)",
                f"ratio of the steps after which the cost is first within 5 % of FedAvg's end {first.text()}",
                None if first.low == first.high == 1.0 else first.below(1.0),
                "the mean ratio of these steps is below 1; undecided where all replicates have a draw",
            ),
            Claim(
                "Personalised sharing ends with a better reward than FedAvg",
                "Fig. 10, section 6",
                "better (no numbers)",
                f"ratio of costs {cost.text()}; "
                + ", ".join(f"{m} {values(ends, 'cost', method=m).mean():.4g}" for m in megabytes),
                cost.below(1.0),
                "the mean ratio of costs on held-out instances is below 1",
            ),
            self._passed(ends, delivered),
        ]

    def _passed(self, ends: pd.DataFrame, delivered: str) -> Claim:
        names = (PERSONALISED, CENTRALISED)
        if not set(names) <= set(ends["method"]):
            names = (PERSONALISED, FEDAVG)
        ours, theirs = (values(ends, "delivered_mb", method=name) for name in names)
        ratio = Interval.of(ours / theirs)
        return Claim(
            "Personalised sharing avoids the data transfer of centralised training",
            "Fig. 10, section 6",
            "avoids large-scale data transfer (no numbers)",
            f"delivered in the training, MB: {delivered}; ratio to {names[1]} {ratio.text()}",
            ratio.below(1.0),
            "the mean ratio of bytes delivered in the whole training is below 1",
        )
