"""Figure 7: a row for each generation, and a claim that the paper's scenario decides alone."""

from __future__ import annotations

from typing import Any

import pytest

from offloadopt.reproduce.multi_server import measurements
from offloadopt.reproduce.multi_server.search import PAPER_SCENARIO, SCENARIOS, SEARCHES, search_figure
from offloadopt.reproduce.summary import REPLICATE

from toys.tiny_papers import judged
from toys.tiny_papers.multi_server import STUDY, TINY


def test_rows_have_each_generation_and_the_gap_to_the_optimum() -> None:
    figure = search_figure(STUDY)
    result = {measurements.OPTIMUM: 2.0, "levy": [4.0, 3.0, 2.0], "levy-classic": [4.0, 4.0, 3.0]}
    rows = list(figure.rows(figure.units[0], result))
    assert len(rows) == 2 * 3 + 2
    classic = [row["gap_of_means"] for row in rows if row["method"] == "levy-classic"]
    assert classic == pytest.approx([1.0, 1.0, 0.5])
    optimum = [row["generation"] for row in rows if row["method"] == measurements.OPTIMUM]
    assert optimum == [0, 2]


def test_searches_differ_in_their_moves_alone() -> None:
    for unit in search_figure(STUDY).units:
        proposed, classic = (unit.parameters["solvers"][name] for name in SEARCHES)
        shared = set(proposed) & set(classic)
        assert {"beta", "generations", "population"} <= shared
        assert {name: proposed[name] for name in shared} == {name: classic[name] for name in shared}


@pytest.mark.parametrize(("advantage", "holds"), [(1.0, True), (-1.0, False)])
def test_the_papers_scenario_alone_decides(advantage: float, holds: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            REPLICATE: r,
            "scenario": name,
            "method": method,
            "generation": TINY.generations,
            "fitness": 10.0 + 0.01 * r * (method == "levy") + better * (method == "levy-classic"),
            "gap_of_means": 0.1,
        }
        for name in SCENARIOS
        for better in [advantage if name == PAPER_SCENARIO else -advantage]
        for method in SEARCHES
        for r in (1, 2, 3)
    ]
    assert list(judged(search_figure(STUDY), rows).values()) == [holds]
