"""Windows with a known optimum, and imitation of experts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offloadopt.reproduce.battery_d2d import measurements
from offloadopt.reproduce.battery_d2d.setting import OPTIMUM, RANDOM, RMAPPO, Setting
from offloadopt.reproduce.battery_d2d.windows import (
    HindsightTable,
    ImitationTable,
    imitation_label,
    optimum_solver,
    trained_in_windows,
)

from toys.tiny_papers.battery_d2d import BASE, SETTING, TINY


def test_labels_name_the_expert_and_whether_reinforcement_learning_follows() -> None:
    assert imitation_label("an expert", "before") == "imitates an expert"
    assert imitation_label("an expert", "after") == "rMAPPO after an expert"


def test_the_optimum_is_searched_within_the_limit_of_its_window() -> None:
    assert optimum_solver(SETTING) == {OPTIMUM: ("exact", {"time_limit_s": TINY.window_seconds})}


def test_without_rmappo_no_window_is_trained_in() -> None:
    assert trained_in_windows(Setting(replace(TINY, steps={}), BASE), 1) == []
    (unit,) = trained_in_windows(SETTING, 1)
    assert unit.labels["method"] == RMAPPO
    (test,) = unit.parameters["tests"]
    assert test["most_tasks"] == TINY.window_tasks


def test_gaps_are_above_the_bound_of_the_same_replicate() -> None:
    table = HindsightTable(SETTING)
    results = {}
    for unit in table.units:
        scale = unit.labels["replicate"]
        if unit.function is measurements.train:
            results[unit.name] = {"tests": {"test": {"cost": 40.0 * scale}}}
        elif OPTIMUM in unit.parameters["solvers"]:
            results[unit.name] = {OPTIMUM: {"cost": 22.0 * scale}, measurements.BOUND: {"cost": 20.0 * scale}}
        else:
            results[unit.name] = {RANDOM: {"cost": 50.0 * scale}}
    gaps = table.frame(results).groupby("method")["gap"]
    assert (gaps.min() == gaps.max()).all()
    assert gaps.min().to_dict() == pytest.approx({OPTIMUM: 0.1, measurements.BOUND: 0.0, RANDOM: 1.5, RMAPPO: 1.0})


def test_every_expert_is_imitated_where_it_is_measured() -> None:
    table = ImitationTable(SETTING)
    trained = {
        (unit.labels["at"], unit.labels["expert"])
        for unit in table.units
        if unit.function is measurements.train_on_demonstrations
    }
    assert trained == {(at, expert) for at, experts in table.experts.items() for expert in experts}
