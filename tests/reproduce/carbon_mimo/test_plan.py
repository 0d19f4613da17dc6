"""The tables and figures of CADDTO-PPO: every number is what the problem says, every verdict what the numbers say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from offloadopt.reproduce.artefact import distinct_units
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.study import CADDTO, DDPG, LYAPUNOV
from offloadopt.reproduce.claims import Claim

from toys.tiny_papers.carbon_mimo import tiny


def test_no_method_is_below_the_hindsight_bound(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    frame = pd.read_csv(folder / "cost-replicates.csv")
    assert {CADDTO, DDPG, LYAPUNOV, measurements.HINDSIGHT, measurements.BOUND} <= set(frame["method"])
    assert (frame["gap"] >= -1e-9).all()
    assert (frame[frame["method"] == measurements.BOUND]["gap"] == 0).all()


def test_figures_over_the_loads_share_their_work() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny().artefacts}
    shared = [set(distinct_units([artefacts[name]])) for name in ("cost", "carbon", "overflow")]
    assert shared[0] == shared[1] == shared[2]
    assert set(distinct_units([artefacts["training"]])) < shared[0]
