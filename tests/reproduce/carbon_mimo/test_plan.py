"""The tables and figures of CADDTO-PPO: every number is what the problem says, every verdict what the numbers say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from offloadopt.errors import InvalidInput
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import REPLICATE, distinct_units
from offloadopt.reproduce.carbon_mimo import measurements
from offloadopt.reproduce.carbon_mimo.study import (
    CADDTO,
    DDPG,
    LYAPUNOV,
)
from offloadopt.reproduce.claims import Claim

from toys.tiny_papers.carbon_mimo import tiny


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for artefact in tiny().artefacts:
        assert (folder / f"{artefact.name}.png").read_bytes().startswith(b"\x89PNG")
        table = pd.read_csv(folder / f"{artefact.name}.csv")
        assert not table.duplicated(list(artefact.keys)).any()
        single = pd.read_csv(folder / f"{artefact.name}-replicates.csv")
        assert set(single[REPLICATE]) == {1, 2}


def test_no_method_is_below_the_hindsight_bound(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    frame = pd.read_csv(folder / "cost-replicates.csv")
    assert {CADDTO, DDPG, LYAPUNOV, measurements.HINDSIGHT, measurements.BOUND} <= set(frame["method"])
    assert (frame["gap"] >= -1e-9).all()
    assert (frame[frame["method"] == measurements.BOUND]["gap"] == 0).all()


def test_claims_are_listed_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    assert all(json.loads((folder / "run.json").read_bytes())["rules"].values())


def test_figures_over_the_loads_share_their_work() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny().artefacts}
    shared = [set(distinct_units([artefacts[name]])) for name in ("cost", "carbon", "overflow")]
    assert shared[0] == shared[1] == shared[2]
    assert set(distinct_units([artefacts["training"]])) < shared[0]


def test_real_places_are_refused() -> None:
    with pytest.raises(InvalidInput, match="carbon_mimo has no real places"):
        paper("carbon_mimo", "quick", users_file=Path("users.csv"), sites_file=Path("sites.csv"))
