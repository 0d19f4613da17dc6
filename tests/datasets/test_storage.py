"""A stored set comes back bit by bit, and a damaged, foreign or unfinished one is never read as a set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import offloadopt
from offloadopt.core import (
    Demonstrations,
)
from offloadopt.datasets.demonstrations import observations_along, read
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.formats.reading import sha256

from toys.demonstration_sets import PROBLEM, Queue, QueueScenario, ServeHalf, assert_same_bytes, one_line, small


def test_decisions_proofs_and_details_come_back_bit_by_bit(tmp_path: Path) -> None:
    problem, solver = Queue(QueueScenario()), ServeHalf()
    demonstrations = small(tmp_path / "set", problem=problem, solver=solver)
    again = solver.run(problem, demonstrations.instances)
    direct = Demonstrations(
        demonstrations.instances, observations_along(problem, demonstrations.instances, again.decisions), again
    )
    assert_same_bytes(demonstrations, direct)
    assert set(demonstrations.solutions.status_names) == {"BOUNDED", "LIMIT_NO_SOLUTION"}


def test_arrays_that_are_observed_as_they_are_stand_in_the_file_once(tmp_path: Path) -> None:
    small(tmp_path)
    columns = set(pd.read_parquet(tmp_path / "shard-00000.parquet").columns)
    assert {"instance.gain", "decision.server", "objective", "bound", "status", "seconds"} <= columns
    assert [name for name in columns if name.startswith("observation.")] == []


def test_the_manifest_tells_what_was_done(tmp_path: Path) -> None:
    small(tmp_path, solver=offloadopt.solver("random", relative_gap=0.25))
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["problem"] == "multi_server"
    assert manifest["scenario"] == PROBLEM.scenario.model_dump(mode="json")
    assert manifest["scenario_sha256"] == PROBLEM.scenario.digest()
    assert (manifest["solver"], manifest["solver_settings"]["relative_gap"]) == ("random", 0.25)
    assert [manifest[name] for name in ("format_version", "seed", "count", "shard_size")] == [2, 3, 7, 3]
    assert manifest["finished"] is True
    assert manifest["versions"]["numpy"] == [np.__version__]
    assert [shard["rows"] for shard in manifest["shards"].values()] == [3, 3, 1]
    for name, shard in manifest["shards"].items():
        assert shard["sha256"] == sha256(tmp_path / name)


def test_a_set_of_another_offloadopt_problem_needs_no_problem_to_be_read(tmp_path: Path) -> None:
    """A third party's set can be opened where its problem is not installed."""
    made = small(tmp_path, problem=Queue(QueueScenario()), solver=ServeHalf())
    assert_same_bytes(read(tmp_path), made)


# ----------------------------------------------------------------------------------------------------------- reading


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("damage", [flip_a_bit, cut, Path.unlink])
def test_a_damaged_shard_is_named_and_nothing_is_returned(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    small(tmp_path)
    damage(tmp_path / "shard-00001.parquet")
    with pytest.raises(DamagedFile) as error:
        read(tmp_path)
    one_line(error, str(tmp_path / "shard-00001.parquet"))


def test_exchanged_shards_are_noticed(tmp_path: Path) -> None:
    small(tmp_path)
    first, second = tmp_path / "shard-00000.parquet", tmp_path / "shard-00001.parquet"
    first_bytes = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_bytes)
    with pytest.raises(DamagedFile) as error:
        read(tmp_path)
    one_line(error, str(first))


def edit(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**values, **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"format_version": 1}, ["format version 1", "needs 2: collect the demonstrations again"]),
        ({"count": 8}, ["count of 8"]),
        ({"finished": False}, ["count of 7"]),
        ({"shards": {}}, ["count of 7"]),
        ({"shards": {"../../etc/passwd": {"rows": 3, "sha256": "0" * 64}}, "finished": False}, ["count of 7"]),
        ({"scenario": {"users": 5}}, ["SHA-256"]),
        ({"seed": "three"}, ["seed"]),
        ({"extra": 1}, ["'extra'"]),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, changes: dict[str, Any], parts: list[str]
) -> None:
    small(tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(DamagedFile) as error:
        read(tmp_path)
    one_line(error, "manifest.json", *parts)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"format_version": 2}', "\0" * 50])
def test_what_is_no_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(DamagedFile) as error:
        read(tmp_path)
    one_line(error, str(tmp_path / "manifest.json"))


def test_a_folder_without_a_set_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DamagedFile) as error:
            read(folder)
        one_line(error, str(folder / "manifest.json"))


def test_an_unfinished_set_is_refused_with_what_it_has(tmp_path: Path) -> None:
    small(tmp_path)
    shards = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["shards"]
    shards.pop("shard-00001.parquet")
    edit(tmp_path, shards=shards, finished=False)
    with pytest.raises(InvalidInput) as error:
        read(tmp_path)
    one_line(error, str(tmp_path), "4 of 7")


def test_a_set_of_another_problem_or_scenario_is_refused_with_both_values(tmp_path: Path) -> None:
    small(tmp_path)
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, Queue(QueueScenario()))
    one_line(error, "'multi_server'", "'queue'")
    with pytest.raises(InvalidInput) as error:
        read(tmp_path, offloadopt.problem("multi_server", "heterogeneous", users=4, bandwidth_hz=2e6))
    one_line(error, str(tmp_path), "bandwidth_hz = 1000000.0, not 2000000.0")
