"""Units are known by what determines their result; every paper's tables, pictures and claims are whole."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.reproduce import PAPERS, paper
from offloadopt.reproduce.artefact import REPLICATE, Artefact, Unit, distinct_units
from offloadopt.reproduce.claims import Claim

from toys import slow_paper, tiny_papers

Made = tuple[Path, list[Claim]]
of_each_paper = pytest.mark.parametrize(("made", "name"), [(name, name) for name in PAPERS], indirect=["made"])
BOUNDS = {
    "multi_server": ("fig-9", "fig-10", "table-3", "hard-servers"),
    "carbon_mimo": ("cost",),
    "partial_mobile": (),
    "battery_d2d": ("hindsight",),
    "twin_inference": ("users", "servers"),
}
"""Tables with gaps to a bound or a proved optimum."""


def test_a_unit_is_known_by_its_parameters_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, other = slow_paper.Slow("fig-1", (1, 2)).units[:2]
    relabelled = Unit(unit.function, dict(reversed(unit.parameters.items())), {REPLICATE: 9})
    assert unit.name == relabelled.name != other.name
    monkeypatch.setattr("offloadopt.reproduce.artefact.__version__", "9.9.9")
    assert slow_paper.Slow("fig-1", (1, 2)).units[0].name != unit.name


def test_numbers_that_json_cannot_hold_are_refused_as_parameters() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = Unit(slow_paper.measure, {"point": float("nan"), "seed": 1}).name


def test_units_of_several_artefacts_are_counted_once() -> None:
    first, second = slow_paper.Slow("fig-1", (1, 2)), slow_paper.Slow("fig-2", (2, 3))
    assert len(distinct_units([first, second])) == 9
    assert set(distinct_units([first])) < set(distinct_units([first, second]))


def test_a_table_has_a_row_for_each_point_and_replicate() -> None:
    artefact = slow_paper.Slow("fig-1", (1, 2, 2), replicates=2)
    results = {unit.name: {"number": 10.0 * unit.labels["point"]} for unit in artefact.units}
    expected = pd.DataFrame({REPLICATE: [1, 1, 2, 2], "point": [1, 2, 1, 2], "number": [10.0, 20.0, 10.0, 20.0]})
    pd.testing.assert_frame_equal(artefact.frame(results), expected)


def test_artefacts_are_chosen_by_name_in_the_order_of_the_paper() -> None:
    paper = slow_paper.paper()
    assert paper.choose([]) == list(paper.artefacts)
    assert [artefact.name for artefact in paper.choose(["fig-2", "fig-1"])] == ["fig-1", "fig-2"]
    with pytest.raises(UnknownName, match="'fig-3' of slow"):
        paper.choose(["fig-3"])


def shown(name: str) -> list[Artefact]:
    """The artefacts of a paper that `made` holds."""
    module = tiny_papers.of(name)
    return module.tiny().choose(getattr(module, "SHOWN", []))


@of_each_paper
def test_every_artefact_has_its_tables_and_its_picture(made: Made, name: str) -> None:
    folder, _ = made
    artefacts = shown(name)
    assert len({artefact.name for artefact in artefacts}) == len(artefacts) > 4
    for artefact in artefacts:
        assert (folder / f"{artefact.name}.png").read_bytes().startswith(b"\x89PNG")
        summary, single = (pd.read_csv(folder / f"{artefact.name}{end}.csv") for end in ("", "-replicates"))
        assert not summary.duplicated(list(artefact.keys)).any()
        assert not single.duplicated([REPLICATE, *artefact.keys]).any()
        assert set(single[REPLICATE]) == {1, 2}


@of_each_paper
def test_claims_are_listed_once_each_with_five_fields_and_their_rules(made: Made, name: str) -> None:
    folder, claims = made
    rows = json.loads((folder / "claims.json").read_bytes())
    assert rows == [claim.row() for claim in claims]
    assert all(set(row) == {"claim", "source", "paper", "measured", "holds"} for row in rows)
    assert all(row["holds"] in (True, False, None) and row["measured"] for row in rows)
    assert len({row["claim"] for row in rows}) == len(rows) > 2
    rules = json.loads((folder / "run.json").read_bytes())["rules"]
    assert list(rules) == [row["claim"] for row in rows]
    assert all(rules.values())


@of_each_paper
def test_no_method_is_better_than_a_bound(made: Made, name: str) -> None:
    tables = {artefact.name: pd.read_csv(made[0] / f"{artefact.name}-replicates.csv") for artefact in shown(name)}
    assert set(BOUNDS[name]) <= {table for table, frame in tables.items() if "gap" in frame}
    for frame in tables.values():
        for number in ("gap", "gap_of_means"):
            assert (frame.get(number, pd.Series()).dropna() >= -1e-9).all()
        if {"bound", "cost"} <= set(frame):
            proved = frame.dropna(subset="bound")
            assert (proved["cost"] >= proved["bound"] - 1e-9).all()


@pytest.mark.parametrize("name", PAPERS)
def test_no_policy_is_tested_or_taught_on_instances_of_its_training(name: str) -> None:
    trainings = [unit for unit in distinct_units(shown(name)).values() if {"learner", "tests"} <= set(unit.parameters)]
    assert trainings
    for unit in trainings:
        given = unit.parameters
        tests = {test["seed"] for test in given["tests"]}
        others = {given["seed"], *([given["demonstrations"]["seed"]] if given.get("demonstrations") else [])}
        assert tests.isdisjoint(others)
        assert len(others) == 1 + ("demonstrations" in given)


@pytest.mark.parametrize("name", ["partial_mobile", "battery_d2d", "twin_inference"])
def test_a_plan_without_learners_has_no_trainings_and_leaves_out_what_only_they_can_show(name: str) -> None:
    module = tiny_papers.of(name)
    bare, whole = module.tiny(**module.WITHOUT_LEARNERS), module.tiny()
    names = [artefact.name for artefact in bare.artefacts]
    assert set(names) < {artefact.name for artefact in whole.artefacts}
    units = distinct_units(bare.choose([found for found in names if found not in getattr(module, "PICTURES", [])]))
    assert not any("learner" in unit.parameters or "learners" in unit.parameters for unit in units.values())


@pytest.mark.parametrize("name", PAPERS)
def test_sizes_and_files_are_checked_and_only_the_quick_run_is_shortened(name: str) -> None:
    with pytest.raises(UnknownName, match="no size 'ful'; did you mean 'full'"):
        paper(name, "ful")
    with pytest.raises(InvalidInput, match="users_file is missing" if name == "multi_server" else "no real places"):
        paper(name, "quick", sites_file=Path("sites.csv"))
    full = set(paper(name, "full").shortened)
    assert full < set(paper(name, "quick").shortened) or not full
    assert paper(name, "quick").shortened
