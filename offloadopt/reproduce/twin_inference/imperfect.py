"""Cost of an imperfect twin: single slots optimised on the twin's data and evaluated on the true data.

The paper assumes twins without bias, (6) and (7), and small errors; it does not state the cost of errors. Errors of
distances cost nothing here: the preset has path loss in the gains.
"""

from __future__ import annotations

from collections.abc import Iterable

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.sweep import Axis, Panel, Sweep
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


def twin_figure(study: TwinInferenceStudy) -> Sweep:
    """Cost above the optimum against the twin's relative error, of each kind and of all on the same slots."""

    def over(replicate: int) -> Iterable[Unit]:
        parameters = {
            "scenario": study.at(horizon=1),
            "kinds": {kind: list(names) for kind, names in ALL_KINDS.items()},
            "deviations": list(study.sizes.deviations),
            "options": {"time_limit_s": SECONDS},
            "count": study.sizes.twin_instances,
            "seed": study.test_seed(replicate),
        }
        yield Unit(study.measure.imperfect_twin, parameters, {REPLICATE: replicate})

    return Sweep(
        study=study,
        name="imperfect-twin",
        keys=("kind", "deviation"),
        over=over,
        read=lambda unit, result: result["rows"],
        axis=Axis("deviation", "relative deviation of what the twin knows", ticks=False),
        panels=(
            Panel("excess", "cost above the optimum, %", 100.0, least=-0.2),
            Panel("failed", "failed tasks, %", 100.0, least=-0.2),
        ),
        styles=LOOKS,
        by="kind",
        wide_bands=False,
    )
