"""The tables and figures of the discretised DDPG: every number is what the problem says, and so is every verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from offloadopt import registry
from offloadopt.errors import InvalidInput
from offloadopt.reproduce import paper
from offloadopt.reproduce.artefact import REPLICATE, distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.partial_mobile.study import (
    DISCRETE,
    EXACT,
    GREEDY,
    LOCAL,
    RANDOM,
    SB3_A2C,
)

from toys.tiny_papers.partial_mobile import tiny


def test_every_artefact_has_its_tables_and_its_picture(made: tuple[Path, list[Claim]]) -> None:
    folder, _ = made
    assert [artefact.name for artefact in tiny().artefacts] == ["table-3", "kappa", "users", "stability", "grid"]
    for artefact in tiny().artefacts:
        assert (folder / f"{artefact.name}.png").read_bytes().startswith(b"\x89PNG")
        summary = pd.read_csv(folder / f"{artefact.name}.csv")
        assert not summary.duplicated(list(artefact.keys)).any()
        single = pd.read_csv(folder / f"{artefact.name}-replicates.csv")
        assert set(single[REPLICATE]) == {1, 2}


@pytest.mark.parametrize(("name", "key"), [("table-3", "weight"), ("users", "users")])
def test_no_method_is_above_the_optimum(made: tuple[Path, list[Claim]], name: str, key: str) -> None:
    frame = pd.read_csv(made[0] / f"{name}-replicates.csv")
    assert {EXACT, GREEDY, RANDOM, LOCAL} <= set(frame["method"])
    best = frame[frame["method"] == EXACT].set_index([key, REPLICATE])
    at = frame.set_index([key, REPLICATE]).index
    assert (frame["utility"] <= best["utility"].reindex(at).to_numpy() + 2e-3).all()
    assert (frame["cost"] >= best["bound"].reindex(at).to_numpy() - 1e-9).all()


def test_a_grid_costs_something_and_not_less_than_a_finer_one_that_contains_it(
    made: tuple[Path, list[Claim]],
) -> None:
    frame = pd.read_csv(made[0] / "grid-replicates.csv")
    excess = frame.pivot_table(index=["weight", REPLICATE], columns="decisions", values="excess")
    assert (excess["continuous"] == 0).all()
    assert (excess["K = 5"] >= -1e-9).all()
    assert (excess["K = 3"] >= excess["K = 5"] - 2e-3).all()


def test_claims_are_listed_once_each_with_five_fields_and_their_rules(made: tuple[Path, list[Claim]]) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows)
    assert all(json.loads((folder / "run.json").read_bytes())["rules"].values())


def test_a_plan_without_learners_leaves_out_what_only_they_can_show() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny(steps={}).artefacts}
    assert list(artefacts) == ["table-3", "kappa", "users", "grid"]
    assert "train" not in {unit.function.__name__ for unit in distinct_units(artefacts.values()).values()}


def test_learners_that_nobody_registered_are_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda group: {"a2c-sb3": registry.BUILT_IN[group]["a2c-sb3"]})
    learners = {DISCRETE: 120, SB3_A2C: 400}
    (stability,) = (artefact for artefact in tiny(steps=learners).artefacts if artefact.name == "stability")
    trained = {unit.labels["method"] for unit in stability.units if unit.function.__name__ == "train"}
    assert trained == {SB3_A2C}


def test_the_paper_method_is_in_every_artefact_that_learners_are_in(made: tuple[Path, list[Claim]]) -> None:
    for name in ("table-3", "users", "stability"):
        assert DISCRETE in set(pd.read_csv(made[0] / f"{name}.csv")["method"])


def test_the_grid_of_table_3_is_not_solved_again_for_the_price_of_levels() -> None:
    artefacts = {artefact.name: artefact for artefact in tiny().artefacts}
    shared = set(distinct_units([artefacts["table-3"]])) & set(distinct_units([artefacts["grid"]]))
    assert len(shared) == 2 * 2 * 2  # replicates, weights, the optimum and the grid with five levels


def test_real_places_are_refused() -> None:
    with pytest.raises(InvalidInput, match="partial_mobile has no real places"):
        paper("partial_mobile", "quick", users_file=Path("users.csv"), sites_file=Path("sites.csv"))
