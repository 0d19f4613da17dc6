"""Windows with a known optimum, and imitation of experts."""

from __future__ import annotations

import pytest

from offloadopt.reproduce.battery_d2d.measurements import BOUND
from offloadopt.reproduce.battery_d2d.study import GREEDY, OPTIMUM, QUEUE, RANDOM, RMAPPO
from offloadopt.reproduce.battery_d2d.windows import hindsight_table, imitation_label, imitation_table, optimum_solver

from toys.tiny_papers.battery_d2d import STUDY, TINY


def test_labels_name_the_expert_and_whether_reinforcement_learning_follows() -> None:
    assert imitation_label("an expert", "before") == "imitates an expert"
    assert imitation_label("an expert", "after") == "rMAPPO after an expert"


def test_the_optimum_is_searched_within_the_limit_of_its_window() -> None:
    assert optimum_solver(STUDY) == {OPTIMUM: ("exact", {"time_limit_s": TINY.window_seconds})}


def test_gaps_are_above_the_bound_of_the_same_replicate() -> None:
    table = hindsight_table(STUDY)
    results = {}
    for unit in table.units:
        scale = unit.labels["replicate"]
        if "tests" in unit.parameters:
            results[unit.name] = {"tests": {"test": {"cost": 40.0 * scale}}}
        elif OPTIMUM in unit.parameters["solvers"]:
            results[unit.name] = {OPTIMUM: {"cost": 22.0 * scale}, BOUND: {"cost": 20.0 * scale}}
        else:
            results[unit.name] = {RANDOM: {"cost": 50.0 * scale}}
    gaps = table.frame(results).groupby("method")["gap"]
    assert (gaps.min() == gaps.max()).all()
    assert gaps.min().to_dict() == pytest.approx({OPTIMUM: 0.1, BOUND: 0.0, RANDOM: 1.5, RMAPPO: 1.0})


def test_every_expert_is_imitated_where_it_is_measured() -> None:
    table = imitation_table(STUDY)
    trained = {
        (unit.parameters["scenario"]["horizon"], unit.labels["expert"])
        for unit in table.units
        if "expert" in unit.labels
    }
    assert trained == {(3, GREEDY), (3, OPTIMUM), (6, GREEDY), (6, QUEUE)}
