"""Fig. 5, the critics' loss of MADDPG and MADDPG-CGAN, and Fig. 10, MADDPG under rules of sharing weights.

Losses are those of single batches, in squared standard deviations of rewards. Roughness is the mean absolute change
between neighbouring points over the mean loss, and it is compared at equally many points.

Curves of Fig. 10 are the running mean of an episode's cost while learning, exploration included; the end is measured on
held-out instances. Speed is the first step at which a curve is within 5 % of the end of FedAvg's curve: steps to a
curve's own end would make a bad rule look fast. Whatever the rule, agents of MADDPG exchange their experience for their
critics, unless a centre collects it. Weights are transmitted in addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.claims import Claim, Interval
from offloadopt.reproduce.study import measured
from offloadopt.reproduce.summary import summarised, values
from offloadopt.reproduce.training import interval_means
from offloadopt.reproduce.twin_inference import curves
from offloadopt.reproduce.twin_inference.study import (
    CENTRALISED,
    CGAN,
    FEDAVG,
    FEDERATED,
    MADDPG,
    PERSONALISED,
    STYLES,
    TwinInferenceStudy,
)

POINTS = 50
"""Points of a curve; replicates are averaged over the same intervals of steps."""
CURVES = {method: style.plain for method, style in STYLES.items()}
LEARNING, HELD_OUT = "learning", "held out"
MEGABYTE = 1e6


@dataclass(eq=False)
class LossFigure(Artefact):
    """Critics' loss during training."""

    study: TwinInferenceStudy
    name = "losses"
    keys = ("method", "step")

    def plan(self) -> Iterable[Unit]:
        """Both trainings at the common point."""
        for replicate in self.study.replicates:
            yield from self.study.learned(replicate, self.study.at(), (MADDPG, CGAN))

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

    def draw(self, frame: DataFrame) -> Figure:
        """Both curves."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), ["loss"])
        figure, (ax,) = plots.panels(1)
        plots.lines(ax, summary, "step", "loss", CURVES)
        plots.fit_to_means(ax, 0.0)
        plots.logarithmic(ax, "x")
        plots.finish(ax, "decisions of users", "critics' loss, squared deviations of rewards")
        plots.legend(figure, [ax])
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
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

    def _less(self, frame: DataFrame, number: str, claim: str, rule: str) -> Claim:
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


@dataclass(eq=False)
class FederationFigure(Artefact):
    """Learning curves, and a row for each final policy."""

    study: TwinInferenceStudy
    name = "federation"
    keys = ("cost_of", "method", "step")

    def plan(self) -> Iterable[Unit]:
        """MADDPG without a rule and under each rule."""
        for replicate in self.study.replicates:
            yield from self.study.learned(replicate, self.study.at(), [MADDPG])
            yield from self.study.federated(replicate)

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Interval means of the curve, and the held-out cost at the end."""
        (found,) = measured(unit, result)
        method, end, curve = found.method, float(unit.parameters["steps"]), result["curve"]
        last = {"cost_of": HELD_OUT, "method": method, "step": end, "cost": found.numbers["cost"]}
        if curve:
            steps, costs = (np.array([point[name] for point in curve], dtype=np.float64) for name in ("step", "cost"))
            for step, cost in interval_means(steps, curves.running_mean(costs), end, POINTS):
                yield {"cost_of": LEARNING, "method": method, "step": step, "cost": cost}
            last |= {f"{way}_mb": curve[-1][way] / MEGABYTE for way in ("sent", "delivered")}
        yield last

    def frame(self, results: Mapping[str, Result]) -> DataFrame:
        """Build the table with the step at which each rule first comes near FedAvg's final cost."""
        return self.with_first_near(super().frame(results))

    def with_first_near(self, frame: DataFrame) -> DataFrame:
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

    def draw(self, frame: DataFrame) -> Figure:
        """Draw the curves, and the held-out costs."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), ["cost", "delivered_mb"])
        figure, axes = plots.panels(2)
        curve_ax, end_ax = axes
        learning, ends = (summary[summary["cost_of"] == what] for what in (LEARNING, HELD_OUT))
        plots.lines(curve_ax, learning, "step", "cost", CURVES)
        plots.fit_to_means(curve_ax)
        plots.logarithmic(curve_ax, "x")
        plots.finish(curve_ax, "decisions of users", "cost of an episode, while exploring")
        methods = self.study.in_order(ends["method"])
        rows = [ends[ends["method"] == method].iloc[0] for method in methods]
        plots.dots(end_ax, [(method, STYLES[method]) for method in methods], rows, "cost")
        plots.finish(end_ax, "cost of a held-out episode", "")
        plots.legend(figure, [curve_ax])
        return figure

    def claims(self, frame: DataFrame) -> Sequence[Claim]:
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

    def _passed(self, ends: DataFrame, delivered: str) -> Claim:
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


def constant_per_replicate(frame: DataFrame, number: str, method: str) -> FloatArray:
    """Select a number that is the same in all rows of a curve ``[replicates]``."""
    chosen = frame[frame["method"] == method]
    return chosen.groupby(REPLICATE)[number].first().sort_index().to_numpy(dtype=np.float64)
