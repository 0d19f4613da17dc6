"""The tables and figures of DIRS: every number is what the problem says, every verdict what the numbers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import REPLICATE, distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.runner import read_result

from toys.tiny_papers.multi_server import TINY, named, tiny


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for artefact in tiny().artefacts:
        assert (folder / f"{artefact.name}.png").read_bytes().startswith(b"\x89PNG")
        table = pd.read_csv(folder / f"{artefact.name}.csv")
        assert not table.duplicated(list(artefact.keys)).any()
        single = pd.read_csv(folder / f"{artefact.name}-replicates.csv")
        assert set(single[REPLICATE]) == {1, 2}


def test_no_method_beats_the_certified_optimum(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    for name in ("fig-9", "fig-10", "table-3", "hard-servers"):
        frame = pd.read_csv(folder / f"{name}-replicates.csv")
        assert (frame["gap"] >= 0).all()
        optimum = frame[frame["method"] == measurements.OPTIMUM]
        assert (optimum["gap"] <= 1e-6).all()
        assert (frame["method"].value_counts().loc[["local", "greedy", "random"]] > 0).all()
        keys = [REPLICATE, "scenario"] if name == "hard-servers" else [REPLICATE]
        if name in ("table-3", "hard-servers"):
            least = optimum.set_index(keys)["cost"]
            others = frame.join(least.rename("least"), on=keys)
            assert (others["cost"] >= others["least"] * (1 - 1e-9)).all()


def test_a_searched_fitness_never_rises_and_stays_above_the_optimum(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    frame = pd.read_csv(folder / "fig-7-replicates.csv").sort_values("generation")
    for _, curve in frame.groupby(["scenario", "method", REPLICATE]):
        assert (np.diff(curve["fitness"]) <= 0).all()
        assert (curve["gap_of_means"] >= -1e-9).all()


def test_claims_are_listed_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert all(row["holds"] in (True, False, None) and row["measured"] for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    run = json.loads((folder / "run.json").read_bytes())
    assert list(run["rules"]) == [row["claim"] for row in rows]
    assert all(run["rules"].values())


def test_trainings_that_several_figures_show_are_done_once() -> None:
    shared = [set(distinct_units([named(name)])) for name in ("fig-5", "fig-6", "fig-8", "table-3", "fig-10")]
    assert len(set.intersection(*shared)) == TINY.replicates


def curve(of: Callable[[float], float], wobble: float) -> list[dict[str, Any]]:
    """A figure 6 of three replicates over 3000 slots."""
    return [
        {REPLICATE: replicate, "method": method, "step": step, "time_s": value, "energy_j": value, "cost": value}
        for replicate in (1, 2, 3)
        for method in ("DIRS", "without imitation")
        for step in range(10, 3001, 10)
        for value in [of(step) + wobble * np.sin(replicate * step)]
    ]


def test_sizes_and_papers_are_known_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'full'"):
        paper("multi_server", "ful")
    with pytest.raises(InvalidInput, match="users_file is missing"):
        paper("multi_server", "quick", sites_file=Path("sites.csv"))
    assert paper("multi_server", "quick").shortened
    assert not paper("multi_server", "full").shortened


def test_a_finished_unit_can_be_read_by_its_name(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    assert all(read_result(folder / "work", unit) for unit in distinct_units(tiny().artefacts).values())
