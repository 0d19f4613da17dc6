"""`offloadopt list` names everything that is registered, and its matrix is true."""

from __future__ import annotations

import re
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest

from offloadopt import registry
from offloadopt.core import Budget, Learner, Problem, Solver
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.registry import serves

from toys.command_line import Run
from toys.model_problems import model_problem

PROBLEMS = list(registry.BUILT_IN["problems"])
IMITATING = ("imitation", "imitation-agents")
SMALL: dict[str, dict[str, Any]] = {
    "multi_server": {"users": 4},
    "carbon_mimo": {"users": 2, "antennas": 4, "horizon": 3},
    "partial_mobile": {"users": 3, "horizon": 2},
    "battery_d2d": {"users": 2, "servers": 1, "horizon": 2},
    "twin_inference": {"users": 2, "servers": 2, "horizon": 2},
}


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
def test_what_the_matrix_denies_is_refused_and_what_it_promises_works(name: str) -> None:
    problem, small = registry.problem(name), registry.problem(name, **SMALL[name])
    for solver in registry.BUILT_IN["solvers"]:
        if serves("solvers", solver, problem):
            least = model_problem(name) if solver in ("milp", "minlp") else small
            registry.solver(solver, least).run(least, least.sample(1, seed=0))
        else:
            for kind in registry.implementations("solvers", solver):
                refused(lambda made: made.run(problem, problem.sample(1, seed=0)), kind())
    for learner in registry.BUILT_IN["learners"]:
        if serves("learners", learner, problem):
            trained(registry.learner(learner, small), small)
        else:
            for kind in registry.implementations("learners", learner):
                refused(lambda made: made.fit(problem, budget=Budget(steps=1)), kind())


def refused(call: Any, method: Solver | Learner) -> None:
    with pytest.raises(Unsupported):
        call(method)


def trained(learner: Learner, problem: Problem[Any]) -> None:
    # Only demonstrations may be missing.
    expected = pytest.raises(InvalidInput, match="none were given") if learner.name in IMITATING else nullcontext()
    with expected:
        learner.fit(problem, budget=Budget(steps=1), seed=0)
