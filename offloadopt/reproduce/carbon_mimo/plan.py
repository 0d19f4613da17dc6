"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.carbon_mimo.ancestor import ancestor_figure, trade_off_figure
from offloadopt.reproduce.carbon_mimo.learning import expert_table, inference_table, one_user_table, training_figure
from offloadopt.reproduce.carbon_mimo.loads import carbon_figure, cost_figure, overflow_figure
from offloadopt.reproduce.carbon_mimo.study import SIZES, CarbonMimoStudy
from offloadopt.reproduce.study import Plan

SHORTENED = (
    "2 replicates (seeds of training) instead of 5, so most intervals are very wide; 50 held-out instances, not 200",
    "loads 1, 3 and 10 instead of 1 to 10, and one short training over the whole range of loads instead of one at "
    "each: overload rules what is learned; no Stable-Baselines3",
    "the ancestor's greedy rules at three rates, without its DDPG and DQN",
)


# Plans of all papers look alike: each is a list of its own artefacts and of what a quick run leaves out.
def artefacts(study: CarbonMimoStudy) -> list[Artefact]:
    """The paper's figures, then tables of ours, then the ancestor's curve."""
    return [
        training_figure(study),
        cost_figure(study),
        carbon_figure(study),
        overflow_figure(study),
        inference_table(study),
        one_user_table(study),
        expert_table(study),
        trade_off_figure(study),
        ancestor_figure(study),
    ]


PLAN = Plan(CarbonMimoStudy, SIZES, SHORTENED, artefacts)
