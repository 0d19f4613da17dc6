"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.carbon_mimo.ancestor import AncestorFigure, TradeOffFigure
from offloadopt.reproduce.carbon_mimo.learning import InferenceTable, expert_table, one_user_table, training_figure
from offloadopt.reproduce.carbon_mimo.loads import carbon_figure, cost_figure, overflow_figure
from offloadopt.reproduce.carbon_mimo.study import CADDTO, DDPG, ENERGY, PPO, SB3_DDPG, SB3_PPO, CarbonMimoStudy, Sizes
from offloadopt.reproduce.study import Plan

FULL = Sizes(
    replicates=5,
    test_instances=200,
    loads=tuple(float(load) for load in range(1, 11)),
    each_load=True,
    steps={
        CADDTO: 2_500_000,
        ENERGY: 6_000_000,
        PPO: 6_000_000,
        DDPG: 5_000_000,
        SB3_PPO: 2_000_000,
        SB3_DDPG: 500_000,
    },
    changes={},
    users=(1, 2, 5, 10, 20, 50, 100),
    rates=(1.5, 2.0, 2.5, 3.0, 3.5, 4.0),
    ancestor_slots=100_000,
    ancestor_steps={"DDPG": 400_000, "DQN": 400_000},
    one_user_steps=5_000_000,
    values_of_v=(5e7, 1e8, 2e8, 4e8, 8e8),
    expert_instances=500,
    expert_steps=3000,
)
QUICK = Sizes(
    replicates=2,
    test_instances=50,
    loads=(1.0, 3.0, 10.0),
    each_load=False,
    steps={CADDTO: 500_000, ENERGY: 4_000_000, PPO: 4_000_000, DDPG: 500_000},
    changes={},
    users=(1, 5, 20, 100),
    rates=(1.5, 2.0, 4.0),
    ancestor_slots=20_000,
    ancestor_steps={},
    one_user_steps=1_500_000,
    values_of_v=(1e8, 2e8, 4e8),
    expert_instances=50,
    expert_steps=1000,
)
SHORTENED = (
    "2 replicates (seeds of training) instead of 5, so most intervals are very wide; 50 held-out instances, not 200",
    "loads 1, 3 and 10 instead of 1 to 10, and one short training over the whole range of loads instead of one at "
    "each: overload rules what is learned; no Stable-Baselines3",
    "the ancestor's greedy rules at three rates, without its DDPG and DQN",
)


def artefacts(study: CarbonMimoStudy) -> list[Artefact]:
    """The paper's figures, then tables of ours, then the ancestor's curve."""
    return [
        training_figure(study),
        cost_figure(study),
        carbon_figure(study),
        overflow_figure(study),
        InferenceTable(study),
        one_user_table(study),
        expert_table(study),
        TradeOffFigure(study),
        AncestorFigure(study),
    ]


PLAN = Plan(CarbonMimoStudy, {"quick": QUICK, "full": FULL}, SHORTENED, artefacts)
