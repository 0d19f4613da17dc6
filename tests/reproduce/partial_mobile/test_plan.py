"""The tables and figures of the discretised DDPG: every number is what the problem says, and so is every verdict."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from offloadopt import registry
from offloadopt.reproduce.artefact import distinct_units
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.partial_mobile.study import DISCRETE, EXACT, GREEDY, LOCAL, RANDOM, SB3_A2C
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers.partial_mobile import tiny


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
