"""Cost of an imperfect twin: single slots optimised on the twin's data and evaluated on the true data.

The paper assumes twins without bias, (6) and (7), and small errors; it does not state the cost of errors. Errors of
distances cost nothing here: the preset has path loss in the gains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Result, Row, Unit
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.summary import summarised
from offloadopt.reproduce.twin_inference import measurements
from offloadopt.reproduce.twin_inference.setting import Setting

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

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


class TwinFigure(Artefact):
    """Cost above the optimum against the twin's relative error, of each kind and of all."""

    name = "imperfect-twin"
    keys = ("kind", "deviation")

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def plan(self) -> Sequence[Unit]:
        """One unit for each replicate: all errors on the same slots."""
        sizes, point = self.setting.sizes, self.setting.common
        parameters = {
            "scenario": self.setting.scenario(users=point.users, servers=point.servers, horizon=1),
            "kinds": {kind: list(names) for kind, names in ALL_KINDS.items()},
            "deviations": list(sizes.deviations),
            "options": {"time_limit_s": SECONDS},
            "count": sizes.twin_instances,
        }
        return [
            Unit(
                measurements.imperfect_twin,
                {**parameters, "seed": self.setting.test(replicate)["seed"]},
                {REPLICATE: replicate},
            )
            for replicate in self.setting.replicates
        ]

    def rows(self, unit: Unit, result: Result) -> Iterable[Row]:
        """Rows of the measurement."""
        yield from result["rows"]

    def draw(self, frame: pd.DataFrame) -> Figure:
        """Excess cost, and failures."""
        summary = plots.hide_wide_bands(summarised(frame, self.keys), ["excess", "failed"])
        figure, axes = plots.panels(2)
        panels = (("excess", "cost above the optimum, %"), ("failed", "failed tasks, %"))
        for ax, (number, label) in zip(axes, panels, strict=True):
            for kind, style in LOOKS.items():
                plots.series(ax, summary[summary["kind"] == kind], "deviation", number, style, 100.0)
            plots.fit_to_means(ax, -0.2)
            plots.finish(ax, "relative deviation of what the twin knows", label)
        plots.legend(figure, axes)
        return figure

    def claims(self, frame: pd.DataFrame) -> Sequence[Claim]:
        """None: the paper has no numbers on it."""
        return []
