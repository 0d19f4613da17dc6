"""Trainings, their budgets and their held-out tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from offloadopt import registry
from offloadopt.reproduce.artefact import REPLICATE, distinct_units
from offloadopt.reproduce.twin_inference import measurements
from offloadopt.reproduce.twin_inference.federation import HELD_OUT, LEARNING, FederationFigure
from offloadopt.reproduce.twin_inference.setting import (
    CENTRALISED,
    FEDAVG,
    LEARNERS,
    MADDPG,
    PERSONALISED,
    Point,
)
from offloadopt.reproduce.twin_inference.sweeps import UsersFigure

from toys.tiny_papers.twin_inference import (
    SETTING,
)


def test_policies_are_trained_pretrained_and_tested_on_different_instances() -> None:
    for unit in distinct_units([UsersFigure(SETTING), FederationFigure(SETTING)]).values():
        if unit.function is measurements.train:
            seeds = [unit.parameters["seed"], unit.parameters["test"]["seed"]]
            seeds += [unit.parameters[name]["seed"] for name in ("demonstrations",) if name in unit.parameters]
            assert len(set(seeds)) == len(seeds)


def test_budgets_are_the_same_number_of_slots_whatever_the_users() -> None:
    for method in LEARNERS:
        steps = [SETTING.trained(1, Point(users, 2), [method])[0].parameters["steps"] // users for users in (2, 3, 5)]
        assert steps == [84 * 2] * 3
    (federated, *_) = SETTING.federated(1)
    assert federated.parameters["steps"] == 84 * 2 * 2


def test_federations_differ_in_the_rule_alone() -> None:
    own = SETTING.trained(1, SETTING.common, [MADDPG])[0].parameters["learner"]["settings"]
    for unit in SETTING.federated(1):
        settings = unit.parameters["learner"]["settings"]
        wrapped = registry.learner("federated", **settings).wrapped  # type: ignore[attr-defined]
        made = wrapped.model_dump(mode="json")
        assert wrapped.shared == (settings["rule"] == "centralised")
        different = {name for name in own if own[name] != made[name]}
        assert different <= {"shared", "federation"}


def federated(personalised: Sequence[float], megabytes: float) -> pd.DataFrame:
    """Curves that end at the costs of FedAvg, 100, or those given."""
    rows: list[dict[str, Any]] = []
    for r in (1, 2, 3):
        courses = {FEDAVG: (300.0, 200.0, 100.0), CENTRALISED: (300.0, 90.0, 90.0), PERSONALISED: personalised}
        for method, curve in courses.items():
            noisy = [cost * (1 + 1e-3 * r) for cost in curve]
            rows += [
                {REPLICATE: r, "cost_of": LEARNING, "method": method, "step": 10.0 * (n + 1), "cost": cost}
                for n, cost in enumerate(noisy)
            ]
            passed = megabytes if method == PERSONALISED else 10.0
            end = {"cost_of": HELD_OUT, "step": 30.0, "cost": noisy[-1], "delivered_mb": passed, "sent_mb": passed}
            rows.append({REPLICATE: r, "method": method, **end})
    return pd.DataFrame(rows)
