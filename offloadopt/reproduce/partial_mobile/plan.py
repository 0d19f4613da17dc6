"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.partial_mobile.kappa import kappa_table
from offloadopt.reproduce.partial_mobile.stability import stability_figure
from offloadopt.reproduce.partial_mobile.study import SIZES, PartialMobileStudy
from offloadopt.reproduce.partial_mobile.sweeps import grid_figure, users_figure
from offloadopt.reproduce.partial_mobile.table import weight_table
from offloadopt.reproduce.study import Plan

SHORTENED = (
    "2 replicates (seeds of training and of nature) instead of 5, so most intervals are very wide; 1 held-out episode "
    "each, not 5",
    "5 and 40 users in episodes of 5 slots, not 5 to 40 in 40; the server's energy is fitted to three rows of Table 3 "
    "with 8 slots",
    "learners at three weights and with short trainings; of Stable-Baselines3 DQN alone",
)


def artefacts(study: PartialMobileStudy) -> list[Artefact]:
    """Table 3, the fit of the server's energy, and the figures."""
    stability = [stability_figure(study)] if study.sizes.steps else []
    return [weight_table(study), kappa_table(study), users_figure(study), *stability, grid_figure(study)]


PLAN = Plan(PartialMobileStudy, SIZES, SHORTENED, artefacts)
