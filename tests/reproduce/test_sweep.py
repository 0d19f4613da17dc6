"""A sweep's table has a row for each method and place, and its picture a panel for each number."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import pytest

from offloadopt.reproduce import plots
from offloadopt.reproduce.artefact import Unit
from offloadopt.reproduce.claim_builders import Lowest
from offloadopt.reproduce.partial_mobile.study import DISCRETE, GREEDY, LOCAL, RULES
from offloadopt.reproduce.summary import REPLICATE
from offloadopt.reproduce.sweep import Axis, Panel, Sweep

from toys.tiny_papers.partial_mobile import STUDY

CHOSEN = {name: RULES[name] for name in (GREEDY, LOCAL)}


def sweep(**changes: object) -> Sweep:
    def at(replicate: int, weight: float) -> Iterable[Unit]:
        yield STUDY.solvers(replicate, STUDY.scenario(time_weight=weight), CHOSEN)

    parts: dict[str, object] = {
        "axis": Axis("weight", "weight of time", (0.2, 0.8), "time_weight"),
        "at": at,
        "panels": (Panel("cost", "cost"), Panel("loss", "loss, %", 100.0, span=(0.5, 2.0), without=[LOCAL])),
        "claimed": (Lowest(claim="greedy costs less", source="-", axis="weight", method=GREEDY, rivals=(LOCAL,)),),
    }
    return Sweep(study=STUDY, name="sweep", **{**parts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def frame() -> pd.DataFrame:
    return sweep().frame(results())


def results() -> dict[str, dict[str, dict[str, float]]]:
    """Costs that grow with the weight, and a loss."""
    return {
        unit.name: {
            method: {"cost": place + unit.labels[REPLICATE] + unit.parameters["scenario"]["time_weight"], "loss": 0.1}
            for place, method in enumerate(CHOSEN)
        }
        for unit in sweep().units
    }


def test_units_are_those_of_each_replicate_and_place() -> None:
    assert len(sweep().units) == 4
    more = sweep(over=lambda replicate: [STUDY.solvers(replicate, STUDY.scenario(), CHOSEN)])
    assert [unit.parameters["scenario"]["time_weight"] for unit in more.units[:3]] == [0.2, 0.8, 0.5]
    assert len(more.units) == 6


def test_the_table_has_the_place_from_the_scenario_of_each_test(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == [REPLICATE, "weight", "method", "cost", "loss"]
    assert frame["cost"].tolist() == pytest.approx([1.2, 2.2, 1.8, 2.8, 2.2, 3.2, 2.8, 3.8])
    doubled = sweep(derive=lambda table: table.assign(twice=2 * table["cost"])).frame(results())
    assert doubled["twice"].tolist() == pytest.approx([2 * cost for cost in frame["cost"]])


def test_a_panel_draws_the_methods_that_have_numbers(frame: pd.DataFrame) -> None:
    left, right = sweep().draw(frame).axes
    assert left.get_legend_handles_labels()[1] == [GREEDY, LOCAL]
    assert right.get_legend_handles_labels()[1] == [GREEDY]
    assert right.get_yscale() == "log"
    assert right.get_ylim() == pytest.approx((5.0, 20.0))
    assert list(left.get_xticks()) == [0.2, 0.8]
    assert DISCRETE in STUDY.styles  # it has no numbers, so it has no line


def test_published_values_are_hollow_markers(frame: pd.DataFrame) -> None:
    panel = Panel("cost", "cost", published={0.2: 1.0, 0.8: 2.0})
    (ax,) = sweep(panels=(panel,), grid=1).draw(frame).axes
    (line,) = [line for line in ax.get_lines() if line.get_label() == "as published"]
    assert line.get_markerfacecolor() == "none"
    assert line.get_color() == plots.VERMILION


def test_claims_are_those_of_the_builders(frame: pd.DataFrame) -> None:
    (claim,) = sweep().claims(frame)
    assert claim.holds is True
    assert list(sweep(claimed=()).claims(frame)) == []
