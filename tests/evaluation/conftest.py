"""Reports with known numbers, without running anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from offloadopt.evaluation.reference import choose_reference
from offloadopt.evaluation.report import Report
from offloadopt.evaluation.statistics import MethodRun

MakeReport = Callable[..., Report]
INF = float("inf")
NASTY = "<script>alert('x')</script> & $x^{2$"
"""A name that a user could give: HTML, an entity and broken mathematics."""


@pytest.fixture
def make_report() -> MakeReport:
    """Builds the report of given costs and bounds per method."""

    def make(
        costs: Mapping[str, Sequence[float]],
        bounds: Mapping[str, Sequence[float]] | None = None,
        paired_with: str | None = None,
        scenario: Mapping[str, Any] | None = None,
        hindsight: Sequence[str] = (),
        horizon: int = 1,
    ) -> Report:
        def run(name: str) -> MethodRun:
            cost = np.array(costs[name], dtype=float)
            bound = np.array((bounds or {}).get(name, np.full(len(cost), -np.inf)), dtype=float)
            return MethodRun(name, {}, cost, bound, np.full(len(cost), 0.002), np.full(3, 0.004), False)

        runs = tuple(map(run, costs))
        costs, proved = {run.name: run.cost for run in runs}, {run.name: run.bound for run in runs}
        reference = choose_reference(costs, proved, hindsight=hindsight)
        notes = dict.fromkeys(scenario or {}, "what it is")
        fields = scenario or {"users": 3}
        return Report("demo", fields, notes, reference, runs, paired_with, seed=0, bootstrap=200, horizon=horizon)

    return make


@pytest.fixture
def report(make_report: MakeReport) -> Report:
    rng = np.random.default_rng(0)
    best = 10 + rng.random(30)
    costs = {"exact": best, NASTY: best * (1 + rng.exponential(0.1, 30)), "fails": np.where(best > 10.5, INF, 12.0)}
    return make_report(costs, {"exact": best}, paired_with=NASTY, scenario={"note": NASTY, "bandwidth_hz": 1e6})


@pytest.fixture
def hopeless(make_report: MakeReport) -> Report:
    return make_report({"never": [INF, INF]})
