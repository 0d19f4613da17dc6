"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.multi_server.accuracy import accuracy_table
from offloadopt.reproduce.multi_server.extensions import anytime_figure, generalisation_figure, hard_servers_figure
from offloadopt.reproduce.multi_server.learners import learners_table
from offloadopt.reproduce.multi_server.search import search_figure
from offloadopt.reproduce.multi_server.study import SIZES, MultiServerStudy
from offloadopt.reproduce.multi_server.sweeps import servers_figure, users_figure
from offloadopt.reproduce.multi_server.training import ablation_figure, loss_figure, time_energy_figure
from offloadopt.reproduce.study import Plan

SHORTENED = (
    "3 replicates (layouts and seeds) instead of 5, so most intervals are wide; 200 held-out instances instead of 500",
    "only the end points of figures 9 (10 and 100 users) and 10 (2 and 10 servers)",
    "no servers of 5 GHz among the harder ones",
    "300 generations on 50 instances instead of 1000 on 200 in figure 7",
    "DIRS with this package's defaults: 4,096 demonstrations, 1,500 steps of pre-training and 300 slots; "
    "500 steps of the learner of prices",
)
"""Differences of a quick run. DIRS itself has the paper's 256 demonstrations, 1000 iterations and 3000 slots."""


# Plans of all papers look alike: each is a list of its own artefacts and of what a quick run leaves out.
def artefacts(study: MultiServerStudy) -> list[Artefact]:
    """The paper's tables and figures, then those beyond it."""
    return [
        accuracy_table(study),
        loss_figure(study),
        time_energy_figure(study),
        search_figure(study),
        ablation_figure(study),
        learners_table(study),
        users_figure(study),
        servers_figure(study),
        anytime_figure(study),
        generalisation_figure(study),
        hard_servers_figure(study),
    ]


PLAN = Plan(MultiServerStudy, SIZES, SHORTENED, artefacts)
