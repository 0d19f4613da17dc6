"""Artefacts that the paper does not have."""

from __future__ import annotations

from pathlib import Path

from offloadopt.reproduce import paper
from offloadopt.reproduce.multi_server.extensions import anytime_figure, generalisation_figure, hard_servers_figure
from offloadopt.reproduce.multi_server.study import AS_TRAINED, LEARNED, SHIFTS

from toys.tiny_papers.multi_server import STUDY, TINY


def test_real_places_join_the_generalisation_only_where_they_are_named(real_places: tuple[Path, Path]) -> None:
    users, sites = real_places
    labels = [
        {unit.labels["scenario"] for unit in artefact.units}
        for made in (paper("multi_server", "full"), paper("multi_server", "full", users, sites))
        for artefact in made.choose(["generalisation"])
    ]
    assert labels == [{"paper", "heterogeneous"}, {"paper", "heterogeneous", "melbourne"}]


def test_each_point_of_the_anytime_curve_is_a_training_of_its_own() -> None:
    figure = anytime_figure(STUDY)
    points = {(unit.labels["method"], unit.labels["share"]) for unit in figure.units}
    assert points == {(method, share) for method in LEARNED for share in TINY.budget_shares}
    assert len({unit.name for unit in figure.units}) == len(figure.units) == TINY.replicates * len(points)
    spent = {"cpu_seconds": 2.0, "seconds": 3.0}
    (row,) = figure.rows(figure.units[0], {"spent": spent, "samples": 5, "tests": {AS_TRAINED: {"gap": 0.1}}})
    assert (row["samples"], row["train_cpu_s"], row["train_wall_s"], row["gap"]) == (5, 2.0, 3.0, 0.1)


def test_harder_servers_differ_in_their_speed_alone() -> None:
    scenarios = {unit.labels["scenario"]: unit.parameters["scenario"] for unit in hard_servers_figure(STUDY).over(1)}
    assert list(scenarios) == ["2 GHz", "5 GHz"]
    slow, fast = scenarios.values()
    assert {name for name in slow if slow[name] != fast[name]} == {"cpu_server_hz"}


def test_policies_of_the_papers_preset_alone_have_rows_for_shifts() -> None:
    figure = generalisation_figure(STUDY)
    tests = {name: {"gap": 0.1} for name in (AS_TRAINED, *SHIFTS)}
    for unit in figure.units:
        if "learner" in unit.parameters:
            names = [row["scenario"] for row in figure.rows(unit, {"tests": tests})]
            assert names == [unit.labels["scenario"], *(SHIFTS if unit.labels["scenario"] == "paper" else ())]
