"""Windows of battery_d2d for which HiGHS with presolve proves bounds above a decision that exists."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions, Status

WINDOWS = sorted((Path(__file__).parent / "battery_windows").glob("*.json"))


@pytest.mark.parametrize("path", WINDOWS, ids=lambda path: path.stem)
def test_the_optimum_of_a_window_is_the_cheapest_of_all_its_decisions(path: Path) -> None:
    changes, arrays = json.loads(path.read_text(encoding="utf-8"))
    problem = offloadopt.problem("battery_d2d", **changes)
    instances = problem.check_instances({name: [values] for name, values in arrays.items()})
    assert problem.modes == 1
    shape = (problem.horizon, problem.num_agents)
    every = itertools.product(range(problem.devices), repeat=problem.horizon * problem.num_agents)
    target = np.array(list(every)).reshape(-1, *shape)
    copies = instances.take(np.zeros(len(target), dtype=np.int64))
    cost = problem.evaluate(copies, Decisions({"target": target, "mode": np.zeros_like(target)})).cost
    solutions = offloadopt.solve(problem, instances)
    assert solutions.status_names == [Status.OPTIMAL.name]
    assert solutions.objective[0] == pytest.approx(cost.min(), rel=1e-9)
    assert solutions.bound[0] <= cost.min()


def test_the_windows_are_here() -> None:
    assert [path.stem for path in WINDOWS] == ["battery_window_1", "battery_window_2"]
