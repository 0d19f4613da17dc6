"""The same demonstrations from a Ray cluster, a real one on this machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import offloadopt
from offloadopt.datasets.demonstrations import collect

ray = pytest.importorskip("ray")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # A token given this way is not saved in the user's home.
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_a_ray_cluster_gives_the_same_demonstrations_as_this_process(tmp_path: Path) -> None:
    problem, solver = offloadopt.problem("multi_server", users=4), offloadopt.solver("random")
    here = collect(problem, solver, count=10, seed=0, shard_size=2, folder=tmp_path / "here")
    finished: list[int] = []
    there = collect(
        problem, solver, count=10, seed=0, shard_size=2, folder=tmp_path / "there", workers=2, backend="ray",
        progress=finished.append,
    )  # fmt: skip
    assert finished == [2] * 5
    for ours, theirs in (
        (here.instances, there.instances),
        (here.observations, there.observations),
        (here.solutions.decisions, there.solutions.decisions),
    ):
        assert {name: array.tobytes() for name, array in ours.items()} == {
            name: array.tobytes() for name, array in theirs.items()
        }
    np.testing.assert_array_equal(here.solutions.objective, there.solutions.objective)
    assert ray.is_initialized(), "a cluster that was joined before stays joined"
