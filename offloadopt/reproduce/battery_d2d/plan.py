"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.battery_d2d.study import RMAPPO, SIZES, BatteryD2DStudy
from offloadopt.reproduce.battery_d2d.sweeps import capacity_figure, tasks_figure, training_figure
from offloadopt.reproduce.battery_d2d.terms import frequency_figure, terms_table
from offloadopt.reproduce.battery_d2d.windows import hindsight_table, imitation_table
from offloadopt.reproduce.study import Plan

SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 64 held-out "
    "instances, not 200",
    "clipped deadlines alone, three points a figure, and one short training of each learner at 500 J and chance 0.5 "
    "that is used everywhere, not a quarter of an hour at each point: no other capacity and load is trained for",
    "20 windows of the optimum to compare with, and 25 to imitate, not 100 and 500",
)


def artefacts(study: BatteryD2DStudy) -> list[Artefact]:
    """Figures and tables, without those that only learners can show where none is installed."""
    learned = study.sizes.steps
    return [
        capacity_figure(study),
        tasks_figure(study),
        frequency_figure(study),
        *([training_figure(study)] if learned else []),
        terms_table(study),
        hindsight_table(study),
        *([imitation_table(study)] if RMAPPO in learned else []),
    ]


PLAN = Plan(BatteryD2DStudy, SIZES, SHORTENED, artefacts)
