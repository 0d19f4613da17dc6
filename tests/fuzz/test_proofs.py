"""Differential tries of proofs: they hold, a false bound is found and its case made small."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuzz.cases import Case, random_case, smaller_cases
from fuzz.perturbations import perturbed
from fuzz.proofs import FILE, FalseProof, examine, proofs, table_of_proofs
from fuzz.shrink import shrink
from fuzz.tries import Try
from offloadopt import registry
from offloadopt.core import Solutions
from offloadopt.solvers.assignment.baselines import Local

from toys.small_problems import SMALL

FOUND = sorted((Path(__file__).parents[1] / "known_values" / "false_proofs").glob("*.json"))


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)
def test_what_once_failed_holds(file: Path) -> None:
    assert examine(file).total() > 0


@pytest.mark.parametrize("name", SMALL)
def test_a_random_case_is_compared_with_many_decisions(name: str, tmp_path: Path) -> None:
    case = random_case(random.Random(1), name)
    content = {**case.content, "methods": ["exact", "exhaustive", "random"] if name != "carbon_mimo" else ["exact"]}
    (tmp_path / FILE).write_text(json.dumps(content))
    counts = examine(tmp_path / FILE)
    assert counts[f"{name}: instances"] == 1
    assert counts[f"{name}: comparisons"] > 50
    assert f"| {name} | 1 | {counts[f'{name}: comparisons']:,} | exact 1, " in table_of_proofs(counts)


def test_a_seed_gives_the_same_cases() -> None:
    assert proofs(random.Random("3")).files == proofs(random.Random("3")).files


@pytest.mark.parametrize("name", SMALL)
def test_smaller_cases_are_smaller_and_mostly_cases(name: str) -> None:
    case = Case(**{**random_case(random.Random(2), name).content, "methods": ["exact", "random"]})
    sizes = len(json.dumps(case.content))
    made = [smaller for smaller in smaller_cases(case) if len(json.dumps(smaller.content)) < sizes]
    assert len(made) > 3
    problems = [smaller.made()[0] for smaller in made if smaller.scenario == case.scenario]
    assert all(problem.scenario == case.made()[0].scenario for problem in problems)


def test_decisions_nearby_are_within_their_limits_and_some_are_the_same() -> None:
    problem = registry.problem("multi_server", **SMALL["multi_server"])
    instance = problem.sample(1, 0)
    best = registry.solver("exact", problem).run(problem, instance).decisions
    near = perturbed(problem, instance, best, 60, np.random.default_rng(0))
    outcome = problem.evaluate(instance.take(np.zeros(60, dtype=np.int64)), problem.check_decisions(near, 60))
    assert 10 < outcome.feasible.sum() < 60


def test_a_false_bound_is_found_and_its_case_made_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_local = Local.run

    def claiming(self: Any, problem: Any, instances: Any, **options: Any) -> Solutions:
        found = run_local(self, problem, instances, **options)
        return replace(found, bound=found.objective)

    monkeypatch.setattr(Local, "proves", True)
    monkeypatch.setattr(Local, "run", claiming)
    case = Case(**{**random_case(random.Random(4), "multi_server").content, "methods": ["exact", "local", "random"]})

    def run(made: Try) -> str | None:
        (tmp_path / FILE).write_text(json.dumps(made.files[FILE]))
        try:
            examine(tmp_path / FILE)
        except FalseProof as error:
            return f"escaped FalseProof: {error}"
        except Exception as error:
            return f"escaped {type(error).__name__}: {error}"
        return None

    made = Try(files={FILE: case.content}, smaller=proofs(random.Random(0)).smaller)
    fault = run(made)
    assert fault is not None
    assert fault.startswith("escaped FalseProof: local: bound")
    small = shrink(made, fault, run, attempts=40).files[FILE]
    assert small["methods"] == ["local"]
    assert len(json.dumps(small)) < len(json.dumps(case.content))
