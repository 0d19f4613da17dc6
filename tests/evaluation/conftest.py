"""Reports with known numbers, without running anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from offloadopt.evaluation.reference import choose_reference
from offloadopt.evaluation.report import MethodRun, Report

MakeReport = Callable[..., Report]


@pytest.fixture
def make_report() -> MakeReport:
    """Builds the report of given costs and bounds per method."""

    def make(
        costs: Mapping[str, Sequence[float]],
        bounds: Mapping[str, Sequence[float]] | None = None,
        paired_with: str | None = None,
        scenario: Mapping[str, Any] | None = None,
    ) -> Report:
        def run(name: str) -> MethodRun:
            cost = np.array(costs[name], dtype=float)
            bound = np.array((bounds or {}).get(name, np.full(len(cost), -np.inf)), dtype=float)
            return MethodRun(name, {}, cost, bound, np.full(len(cost), 0.002), np.full(3, 0.004), False)

        runs = tuple(map(run, costs))
        reference = choose_reference({run.name: run.cost for run in runs}, {run.name: run.bound for run in runs})
        notes = dict.fromkeys(scenario or {}, "what it is")
        return Report("demo", scenario or {"users": 3}, notes, reference, runs, paired_with, seed=0, bootstrap=200)

    return make
