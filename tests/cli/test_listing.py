"""`offloadopt list` names everything that is registered, and its matrix is true."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from offloadopt import registry
from offloadopt.core import Budget, Learner, Problem, Solver
from offloadopt.errors import Unsupported
from offloadopt.registry import serves

from toys.command_line import Run
from toys.small_problems import served_by

PROBLEMS = list(registry.BUILT_IN["problems"])
IMITATING = ("imitation", "imitation-agents")


def test_list_names_everything_registered(run: Run) -> None:
    found = run("list", "--json").json
    for group, entries in found.items():
        assert [entry["name"] for entry in entries] == list(registry.names(group))
        assert all(entry["summary"] for entry in entries)
    solvers = {entry["name"]: entry["serves"] for entry in found["solvers"]}
    assert solvers["exact"] == {
        "multi_server": "proof",
        "carbon_mimo": "hindsight",
        "partial_mobile": "proof",
        "battery_d2d": "hindsight",
        "twin_inference": "hindsight",
    }
    proofs = {
        "multi_server": "proof",
        "carbon_mimo": "hindsight",
        "partial_mobile": "proof",
        "twin_inference": "hindsight",
    }  # and short windows of battery_d2d
    assert solvers["milp"] == solvers["minlp"] == proofs
    assert solvers["levy"] == {
        "multi_server": "yes",
        "carbon_mimo": "offline",
        "partial_mobile": "yes",
        "battery_d2d": "offline",
        "twin_inference": "yes",
    }


def test_list_shows_plugins_and_survives_a_broken_one(run: Run, toy: ModuleType) -> None:
    ran = run("list", "--json")
    assert "queues" in [entry["name"] for entry in ran.json["problems"]]
    solvers = {entry["name"]: entry for entry in ran.json["solvers"]}
    assert solvers["foresight"]["summary"] == toy.Foresight.__doc__.partition("\n")[0]
    assert solvers["exact"]["serves"]["queues"] in ("proof", "hindsight")
    assert "missing" not in solvers
    uses = {entry["name"]: entry["demonstrations"] for entry in ran.json["learners"]}
    assert uses.pop("threshold-search") == "refused"
    assert all(uses.pop(name) == "needed" for name in IMITATING)
    assert set(uses.values()) == {"used"}
    assert "solver 'missing'" in ran.err


def test_people_see_a_matrix_of_at_most_80_columns(run: Run) -> None:
    lines = run("list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch(r" *exact +proof +hindsight +proof +hindsight +hindsight *", line) for line in lines)
    assert any(re.fullmatch(r" *dirs +yes +- +- +- +- *", line) for line in lines)
    assert "    presets: paper, heterogeneous, melbourne" in lines
    assert "--demos    needed by imitation, imitation-agents; used by all other learners" in lines


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_the_matrix_denies_is_refused_and_what_it_promises_is_checked(name: str) -> None:
    problem = registry.problem(name)
    for group, attempt in (("solvers", solve), ("learners", train)):
        for method in registry.BUILT_IN[group]:
            if serves(group, method, problem):
                # The methods' conformance test runs them on all of these.
                checked = served_by(registry.serving(group, method, problem)())
                assert name in {each.name for each in checked}, method
                continue
            for kind in registry.implementations(group, method):
                with pytest.raises(Unsupported):
                    attempt(kind(), problem)


def solve(solver: Solver, problem: Problem[Any]) -> None:
    solver.run(problem, problem.sample(1, seed=0))


def train(learner: Learner, problem: Problem[Any]) -> None:
    learner.fit(problem, budget=Budget(steps=1))
