"""The `prices` learner: equivariant, of any size, and honest about its own gap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Budget, Instances
from offloadopt.learners.policies import load_policy


def make(users: int, servers: int, **changes: Any) -> Any:
    return offloadopt.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    learner = offloadopt.learner("prices", batches=20)
    place = tmp_path_factory.mktemp("prices") / "policy"
    learner.fit(make(24, 3), budget=Budget(steps=120), seed=0).save(place)
    return place


@pytest.mark.parametrize(("users", "servers"), [(5, 2), (7, 1), (6, 3)])
def test_its_bound_is_a_proof_and_its_decision_feasible(folder: Path, users: int, servers: int) -> None:
    problem = make(users, servers, layout_seed=None)
    instances = problem.sample(30, seed=1)
    found = load_policy(folder, problem).run(problem, instances)
    best = offloadopt.solver("exhaustive").run(problem, instances)
    assert np.isfinite(found.objective).all()
    assert (found.bound <= best.objective * (1 + 1e-12)).all()
    assert (found.objective >= best.bound).all()


def test_sizes_it_never_saw_are_decided_well_by_its_own_account(folder: Path) -> None:
    problem = make(600, 6)
    found = load_policy(folder, problem).run(problem, problem.sample(3, seed=2))
    assert (found.bound > 0).all()
    assert found.gap.mean() < 0.05


def test_permuting_users_and_servers_permutes_the_decision(folder: Path) -> None:
    problem = make(20, 4)
    drawn = problem.sample(3, seed=3)
    users, servers = np.random.default_rng(0).permutation(20), np.random.default_rng(1).permutation(4)
    shuffled = Instances(
        {
            "gain": drawn["gain"][:, users][..., servers],
            "task_bits": drawn["task_bits"][:, users],
            "task_cycles": drawn["task_cycles"][:, users],
            "distance_m": drawn["distance_m"][:, users][..., servers],
        }
    )
    policy = load_policy(folder, problem)
    plain, other = policy.run(problem, drawn), policy.run(problem, shuffled)
    np.testing.assert_allclose(plain.bound, other.bound, rtol=1e-5)


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    learner = offloadopt.learner("prices", batches=20)
    learner.fit(make(24, 3), budget=Budget(steps=120), seed=0).save(tmp_path / "again")
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def test_units_do_not_matter(folder: Path) -> None:
    problem = make(20, 3)
    scaled = make(20, 3, task_cycles=1e15, cpu_local_hz=1e15, kappa=1e-45, load=1e6)
    first = load_policy(folder, problem).run(problem, problem.sample(5, seed=4))
    second = load_policy(folder, scaled).run(scaled, scaled.sample(5, seed=4))
    # The network works in single precision: rounding may turn a near tie, of two moves or of two options at a price.
    np.testing.assert_allclose(first.bound, second.bound, rtol=2e-3)
    np.testing.assert_allclose(first.objective.mean(), second.objective.mean(), rtol=0.02)
