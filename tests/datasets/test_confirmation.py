"""Demonstrations are what the problem says of them: an edited set is refused though all its digests are renewed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Demonstrations
from offloadopt.datasets.confirmation import observations_along
from offloadopt.datasets.demonstrations import read
from offloadopt.errors import DamagedFile
from offloadopt.formats import parquet
from offloadopt.formats.reading import digest

from toys.demonstration_sets import PROBLEM, small

NAME = "shard-00001.parquet"
Arrays = dict[str, Any]


def edit(folder: Path, change: Callable[[Arrays, Arrays], Any]) -> None:
    """Change the arrays or notes of a shard, and renew its digests."""
    arrays, notes = parquet.decode((folder / NAME).read_bytes(), 1 << 30)
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(arrays, notes)
    data = parquet.encode(arrays, notes)
    (folder / NAME).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["shards"][NAME] = {"rows": len(next(iter(arrays.values()))), "sha256": digest(data)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("set")
    small(folder, solver=offloadopt.solver("exact", PROBLEM))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_not_edited_is_confirmed(made: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    edit(tmp_path, lambda arrays, notes: None)
    assert isinstance(read(tmp_path, PROBLEM), Demonstrations)


def put(name: str, value: Any) -> Callable[[Arrays, Arrays], None]:
    def change(arrays: Arrays, notes: Arrays) -> None:
        arrays[name].flat[0] = value

    return change


def cast(name: str, kind: Any) -> Callable[[Arrays, Arrays], None]:
    return lambda arrays, notes: arrays.update({name: arrays[name].astype(kind)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put("objective", 1e-3), "bound lies above"),
        (put("objective", 1e3), "objective is 1000 in row 0"),
        (put("objective", np.nan), "no number"),
        (put("bound", 1e9), "bound lies above"),
        (put("bound", -1.0), "a status is not"),
        (put("status", 9), "status holds 9; allowed: 0 to 4"),
        (put("status", 1), "a status is not"),
        (put("seconds", -1.0), "seconds"),
        (put("seconds", np.inf), "seconds"),
        (put("decision.server", 7), "server holds 7"),
        (put("instance.gain", -1.0), "gain holds -1"),
        (put("instance.gain", np.nan), "NaN"),
        (put("instance.task_bits", 1e5), "above the cost|objective is"),
        (cast("objective", np.float32), "objective is float32"),
        (cast("instance.gain", np.float32), "gain is float32"),
        (cast("decision.server", np.int8), "server is int8"),
        (lambda arrays, notes: arrays.pop("instance.gain"), "does not hold demonstrations"),
        (lambda arrays, notes: arrays.pop("status"), "status"),
        (lambda arrays, notes: arrays.update({"decision.extra": arrays["bound"]}), "'extra'"),
        (lambda arrays, notes: arrays.update({"more": arrays["bound"]}), "more"),
        (lambda arrays, notes: notes.update(observations=["gain"]), "allowed: "),
        (lambda arrays, notes: notes.update(observations=3), "does not hold demonstrations"),
        (lambda arrays, notes: notes.clear(), "observed_instance_arrays"),
        (lambda arrays, notes: [arrays.update({n: a[:2]}) for n, a in arrays.items()], "do not add up"),
    ],
)
def test_an_edited_shard_is_refused_in_one_line_though_its_digests_are_renewed(
    made: dict[str, bytes], tmp_path: Path, change: Callable[[Arrays, Arrays], Any], reason: str
) -> None:
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    edit(tmp_path, change)
    with pytest.raises(DamagedFile, match=reason) as error:
        read(tmp_path, PROBLEM)
    assert str(error.value).isprintable()
    assert len(str(error.value)) <= 300


def test_observations_along_a_horizon_are_those_before_each_decision() -> None:
    problem = offloadopt.problem("carbon_mimo", horizon=3)
    instances = problem.sample(2, 0)
    decisions = offloadopt.solver("random").run(problem, instances).decisions
    found = observations_along(problem, instances, decisions)
    state = problem.reset(instances)
    for slot in range(problem.horizon):
        for name, values in problem.observe(instances, state).items():
            assert found[name][:, slot].tobytes() == np.ascontiguousarray(values).tobytes()
        state, _ = problem.step(instances, state, decisions.at_slot(slot))
