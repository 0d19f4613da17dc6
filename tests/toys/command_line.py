"""Calling the command line in tests, and a solver whose decisions are infeasible."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.core import Decisions, Instances, Problem, Progress, Solutions, Solver

SMALL = ("multi_server", "--set", "users=5")
COMMAND = (sys.executable, "-c", "import sys; from offloadopt.cli import main; sys.exit(main())")


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


def assert_one_line(ran: Ran, status: int, *words: str) -> None:
    """Nothing on stdout, one line on stderr that names the fault."""
    assert (ran.status, ran.out) == (status, "")
    assert re.fullmatch(r"error: [^\n]+\n", ran.err)
    for word in words:
        assert word in ran.err


def stacked(found: Any, what: str) -> dict[str, np.ndarray]:
    rows = [result[what] for result in found["results"]]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


class Overloading(Solver):
    """Sends every task of every second instance to server 1 with more CPU than it has."""

    name = "overloading"
    serves = Problem

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        decisions = {name: array.copy() for name, array in self._local(problem, instances).items()}
        decisions["server"][1::2] = 1
        decisions["cpu_hz"][1::2] = problem.scenario.cpu_server_hz
        return Solutions.scored(problem, instances, Decisions(decisions), seconds=0.0)

    def _local(self, problem: Any, instances: Instances) -> Decisions:
        decisions: Decisions = problem.allocate(instances, np.zeros((instances.count, problem.tasks), dtype=np.int64))
        return decisions
