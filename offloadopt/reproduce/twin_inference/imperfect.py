"""Cost of an imperfect twin: single slots optimised on the twin's data and evaluated on the true data.

The paper assumes twins without bias, (6) and (7), and small errors; it does not state the cost of errors. Errors of
distances cost nothing here: the preset has path loss in the gains.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, DataFrame, Figure, Result, Row, Unit
from offloadopt.reproduce.summary import summarised
from offloadopt.reproduce.twin_inference.study import TwinInferenceStudy

EVERYTHING = "everything"
KINDS = {
    "CPUs": ("cpu_deviation",),
    "bands": ("bandwidth_deviation",),
    "gains": ("gain_deviation",),
    "distances": ("distance_deviation",),
}
ALL_KINDS = {EVERYTHING: tuple(name for names in KINDS.values() for name in names), **KINDS}
LOOKS = {
    EVERYTHING: plots.Style(EVERYTHING, plots.BLACK, "-", "o"),
    "CPUs": plots.Style("CPUs", plots.BLUE, "-", "s"),
    "bands": plots.Style("bands", plots.ORANGE, "--", "^"),
    "gains": plots.Style("gains", plots.GREEN, "-.", "D"),
    "distances": plots.Style("distances", plots.GREY, ":", "x"),
}
SECONDS = 60.0
"""Time limit of a slot's optimum in seconds."""


@dataclass(eq=False)
class TwinFigure(Artefact):
    """Cost above the optimum against the twin's relative error, of each kind and of all."""

    study: TwinInferenceStudy
    name = "imperfect-twin"
    keys = ("kind", "deviation")

    def plan(self) -> Iterable[Unit]:
        """One unit for each replicate: all errors on the same slots."""
        study = self.study
        parameters = {
            "scenario": study.at(horizon=1),
            "kinds": {kind: list(names) for kind, names in ALL_KINDS.items()},
            "deviations": list(study.sizes.deviations),
            "options": {"time_limit_s": SECONDS},
            "count": study.sizes.twin_instances,
        }
        for replicate in study.replicates:
            seed = {"seed": study.test_seed(replicate)}
            yield Unit(study.measure.imperfect_twin, {**parameters, **seed}, {REPLICATE: replicate})

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Rows of the measurement."""
        yield from result["rows"]

    def draw(self, frame: DataFrame) -> Figure:
        """Excess cost, and failures."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), ["excess", "failed"])
        figure, axes = plots.panels(2)
        panels = (("excess", "cost above the optimum, %"), ("failed", "failed tasks, %"))
        for ax, (number, label) in zip(axes, panels, strict=True):
            plots.lines(ax, summary, "deviation", number, LOOKS, 100.0, "kind")
            plots.fit_to_means(ax, -0.2)
            plots.finish(ax, "relative deviation of what the twin knows", label)
        plots.legend(figure, axes)
        return figure
