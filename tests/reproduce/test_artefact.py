"""Units are known by what determines their result; every paper's tables, pictures and claims are whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from offloadopt.errors import InvalidInput, UnknownName
from offloadopt.reproduce import PAPERS, paper
from offloadopt.reproduce.artefact import Artefact, Measured, Unit, distinct_units, measured
from offloadopt.reproduce.claims import Claim
from offloadopt.reproduce.partial_mobile.study import GREEDY, LOCAL, RULES
from offloadopt.reproduce.summary import REPLICATE

from toys import slow_paper, tiny_papers
from toys.tiny_papers.partial_mobile import STUDY

Made = tuple[Path, list[Claim]]
of_each_paper = pytest.mark.parametrize(("made", "name"), [(name, name) for name in PAPERS], indirect=["made"])
CHOSEN = {name: RULES[name] for name in (GREEDY, LOCAL)}
BOUNDS = {
    "multi_server": ("fig-9", "fig-10", "table-3", "hard-servers"),
    "carbon_mimo": ("cost",),
    "partial_mobile": (),
    "battery_d2d": ("hindsight",),
    "twin_inference": ("users", "servers"),
}
"""Tables with gaps to a bound or a proved optimum."""


def test_a_unit_is_known_by_its_parameters_and_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, other = slow_paper.slow("fig-1", (1, 2)).units[:2]
    relabelled = Unit(unit.function, dict(reversed(unit.parameters.items())), {REPLICATE: 9})
    assert unit.name == relabelled.name != other.name
    monkeypatch.setattr("offloadopt.reproduce.artefact.__version__", "9.9.9")
    assert slow_paper.slow("fig-1", (1, 2)).units[0].name != unit.name


def test_numbers_that_json_cannot_hold_are_refused_as_parameters() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        _ = Unit(slow_paper.measure, {"point": float("nan"), "seed": 1}).name


def test_units_of_several_artefacts_are_counted_once() -> None:
    first, second = slow_paper.slow("fig-1", (1, 2)), slow_paper.slow("fig-2", (2, 3))
    assert len(distinct_units([first, second])) == 9
    assert set(distinct_units([first])) < set(distinct_units([first, second]))


def test_a_table_has_a_row_for_each_point_and_replicate() -> None:
    artefact = slow_paper.slow("fig-1", (1, 2, 2), replicates=2)
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


def test_numbers_are_read_by_method_and_by_test() -> None:
    def function() -> dict[str, int]:
        return {}

    solved = Unit(function, {"scenario": {"users": 3}})
    assert list(measured(solved, {"a": {"cost": 1}, "b": {"cost": 2}})) == [
        Measured("test", {"users": 3}, "a", {"cost": 1}),
        Measured("test", {"users": 3}, "b", {"cost": 2}),
    ]
    tests = [{"name": "near", "scenario": {"users": 4}}, {"name": "far", "scenario": {"users": 9}}]
    trained = Unit(function, {"scenario": {"users": 3}, "tests": tests}, {"method": "c"})
    assert list(measured(trained, {"tests": {"far": {"cost": 3}, "near": {"cost": 4}}})) == [
        Measured("near", {"users": 4}, "c", {"cost": 4}),
        Measured("far", {"users": 9}, "c", {"cost": 3}),
    ]


def of_two_sizes(replicate: int) -> Iterable[Unit]:
    for size in ("small", "large"):
        yield STUDY.solvers(replicate, STUDY.scenario(), CHOSEN, size=size)


def results(table: Artefact) -> dict[str, dict[str, dict[str, float]]]:
    return {unit.name: {GREEDY: {"cost": 1.0, "loss": 0.5}, LOCAL: {"cost": 2.0, "loss": 0.25}} for unit in table.units}


def test_keys_are_labels_of_units_and_methods() -> None:
    table = Artefact(study=STUDY, name="table", keys=("size", "method"), over=of_two_sizes)
    frame = table.frame(results(table))
    assert list(frame.columns) == [REPLICATE, "size", "method", "cost", "loss"]
    assert frame[frame[REPLICATE] == 1]["size"].tolist() == ["small", "small", "large", "large"]
    assert frame["cost"].tolist() == [1.0, 2.0] * 4
    assert list(table.claims(frame)) == []
    with pytest.raises(NotImplementedError, match="table has no picture"):
        table.draw(frame)


def test_columns_choose_the_rows_and_numbers_the_columns() -> None:
    table = Artefact(
        study=STUDY,
        name="table",
        keys=("method",),
        over=of_two_sizes,
        columns=lambda unit, found: {"method": found.method} if found.method == GREEDY else None,
        numbers=("loss",),
        derive=lambda frame: frame.assign(twice=2 * frame["loss"]),
        picture=lambda summary: Figure(figsize=(len(summary), 1)),
    )
    frame = table.frame(results(table))
    assert frame.to_dict("list") == {REPLICATE: [1, 2], "method": [GREEDY] * 2, "loss": [0.5] * 2, "twice": [1.0] * 2}
    assert table.draw(frame).get_size_inches().tolist() == [1.0, 1.0]


def test_rows_may_be_read_otherwise() -> None:
    table = Artefact(
        study=STUDY, name="table", keys=("size",), over=of_two_sizes, read=lambda unit, result: [{"size": len(result)}]
    )
    assert table.frame(results(table))["size"].tolist() == [2, 2]
