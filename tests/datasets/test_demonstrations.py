"""A demonstration set is the same however it was made, and nothing damaged, foreign or half-made is taken for it."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import files
from offloadopt.core import (
    Demonstrations,
    Instances,
    Solutions,
)
from offloadopt.datasets.demonstrations import Manifest, collect, read
from offloadopt.errors import DamagedFile, InvalidInput, OffloadError, OutputExists, Unsupported
from offloadopt.solvers.assignment.baselines import Local

from toys import slow_expert
from toys.demonstration_sets import EXPERT, PROBLEM, Queue, QueueScenario, ServeHalf, assert_same_bytes, one_line, small


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Demonstrations:
    return small(tmp_path_factory.mktemp("wanted") / "set")


# ----------------------------------------------------------------------------------------------------- what it holds


def test_with_a_horizon_it_holds_what_was_seen_before_each_decision(tmp_path: Path) -> None:
    problem, solver = Queue(QueueScenario()), ServeHalf()
    demonstrations = small(tmp_path / "set", problem=problem, solver=solver)
    arrivals = demonstrations.instances["arrivals"]
    left = np.cumsum(arrivals / 2, axis=1)
    assert arrivals.shape == (7, 3)
    np.testing.assert_array_equal(demonstrations.observations["backlog"][:, 0], 0.0)
    np.testing.assert_allclose(demonstrations.observations["backlog"][:, 1:], left[:, :-1], rtol=1e-12)


def test_costs_are_the_problems_and_one_shot_observations_are_what_may_be_observed(wanted: Demonstrations) -> None:
    cost = PROBLEM.evaluate(wanted.instances, wanted.solutions.decisions).cost
    np.testing.assert_array_equal(wanted.solutions.objective, cost)
    seen = PROBLEM.observe(wanted.instances, PROBLEM.reset(wanted.instances))
    assert {name: array.tobytes() for name, array in wanted.observations.items()} == {
        name: array.tobytes() for name, array in seen.items()
    }


def test_no_two_demonstrations_are_alike_and_another_seed_gives_others(wanted: Demonstrations, tmp_path: Path) -> None:
    other = small(tmp_path / "set", seed=4)
    gains = np.concatenate([wanted.instances["gain"], other.instances["gain"]]).reshape(14, -1)
    assert len(np.unique(gains, axis=0)) == 14


# --------------------------------------------------------------------------------------------------------- how made


def test_processes_change_nothing(wanted: Demonstrations, tmp_path: Path) -> None:
    assert_same_bytes(small(tmp_path / "set", workers=2), wanted)


def test_progress_counts_every_demonstration_once(tmp_path: Path) -> None:
    for workers in (1, 2):
        reported: list[int] = []
        small(tmp_path / str(workers), workers=workers, progress=reported.append)
        assert sum(reported) == 7


def test_a_finished_set_is_read_back_without_work(wanted: Demonstrations, tmp_path: Path) -> None:
    small(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert_same_bytes(small(tmp_path), wanted)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_larger_count_extends_a_set_and_a_smaller_one_is_refused(wanted: Demonstrations, tmp_path: Path) -> None:
    small(tmp_path, count=4)
    kept = (tmp_path / "shard-00000.parquet").stat().st_mtime_ns
    assert_same_bytes(small(tmp_path, count=7), wanted)
    assert (tmp_path / "shard-00000.parquet").stat().st_mtime_ns == kept
    with pytest.raises(OutputExists) as error:
        small(tmp_path, count=4)
    one_line(error, "count = 7, not 4")


def test_a_damaged_shard_is_made_anew_by_the_same_call(wanted: Demonstrations, tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "shard-00000.parquet").write_bytes(b"")
    (tmp_path / "shard-00001.parquet").unlink()
    reported: list[int] = []
    assert_same_bytes(small(tmp_path, progress=reported.append), wanted)
    assert reported == [1, 3, 3]


def test_an_expert_that_fails_leaves_the_finished_shards(wanted: Demonstrations, tmp_path: Path) -> None:
    class Failing(type(EXPERT)):  # type: ignore[misc]
        """Gives up at its third shard, which has a single instance."""

        def run(self, problem: Any, instances: Instances, *, seed: int = 0, progress: Any = None) -> Solutions:
            if instances.count == 1:
                raise OffloadError("licence expired")
            return EXPERT.run(problem, instances, seed=seed, progress=progress)

    with pytest.raises(OffloadError, match="licence expired"):
        small(tmp_path, solver=Failing())
    reported: list[int] = []
    assert_same_bytes(small(tmp_path, progress=reported.append), wanted)
    assert reported == [6, 1]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"count": 0}, ["count = 0"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"shard_size": 0}, ["shard_size = 0"]),
        ({"workers": 0}, ["workers = 0"]),
        ({"backend": "locky"}, ["'locky'", "'loky'"]),
        ({"problem": Queue(QueueScenario())}, ["'random'", "'queue'"]),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(InvalidInput) as error:
        small(tmp_path / "set", **changes)
    one_line(error, *parts)
    assert not (tmp_path / "set").exists()


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unsupported) as error:
        small(tmp_path / "set", backend="ray")
    one_line(error, "pip install 'offloadopt[ray]'")
    assert not (tmp_path / "set").exists()


# ------------------------------------------------------------------------------------------------ folders in the way


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"problem": offloadopt.problem("multi_server", "heterogeneous", users=5)}, "scenario.users = 4, not 5"),
        ({"solver": Local()}, "solver = 'random', not 'local'"),
        ({"solver": offloadopt.solver("random", relative_gap=0.5)}, "random.relative_gap = 0.0, not 0.5"),
        ({"seed": 4}, "seed = 3, not 4"),
        ({"shard_size": 4}, "shard_size = 3, not 4"),
    ],
)
def test_another_set_in_the_folder_is_kept_and_the_difference_named(
    wanted: Demonstrations, tmp_path: Path, changes: dict[str, Any], difference: str
) -> None:
    small(tmp_path)
    with pytest.raises(OutputExists) as error:
        small(tmp_path, **changes)
    one_line(error, str(tmp_path), difference)
    assert_same_bytes(read(tmp_path, PROBLEM), wanted)


def test_overwriting_replaces_a_set_even_a_damaged_one(wanted: Demonstrations, tmp_path: Path) -> None:
    small(tmp_path, seed=4, count=20)
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:100])
    with pytest.raises(DamagedFile):
        small(tmp_path)
    assert_same_bytes(small(tmp_path, overwrite=True), wanted)
    assert len(os.listdir(tmp_path)) == 4


def test_a_users_own_files_are_never_touched(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    held = sorted(os.listdir(tmp_path))
    with pytest.raises(OutputExists) as error:
        small(tmp_path, seed=4, overwrite=True)
    one_line(error, "notes.txt")
    assert sorted(os.listdir(tmp_path)) == held

    (tmp_path / "notes.txt").unlink()
    (tmp_path / "shard-mine.parquet").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"shard-mine\.parquet"):
        small(tmp_path, seed=4, overwrite=True)

    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists) as error:
        small(other)
    one_line(error, str(other), "notes.txt")
    assert os.listdir(other) == ["notes.txt"]


# ------------------------------------------------------------------------------------------------------ interruption

SCRIPT = Path(slow_expert.__file__)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Demonstrations:
    folder = tmp_path_factory.mktemp("uninterrupted")
    slow_expert.run(folder)
    return read(folder)


def stop_in_the_middle(folder: Path, workers: int, stop: signal.Signals) -> tuple[int, str]:
    """Exit status and what was printed, once the process and all its workers have ended."""
    with (folder.parent / "printed").open("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), str(workers), "0.3"],
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )
        wait_until(lambda: recorded_shards(folder) >= 2 or process.poll() is not None)
        if stop == signal.SIGKILL:
            process.kill()  # this process alone, as the kernel does when memory runs out
        else:
            os.killpg(process.pid, stop)  # all of them, as a terminal does
        status = process.wait(timeout=60)
        wait_until(lambda: not group_exists(process.pid))
        printed.seek(0)
        return status, printed.read()


def recorded_shards(folder: Path) -> int:
    manifest = folder / "manifest.json"
    return manifest.read_text(encoding="utf-8").count("parquet") if manifest.exists() else 0


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    uninterrupted: Demonstrations, tmp_path: Path, workers: int
) -> None:
    folder = tmp_path / "set"
    status, _ = stop_in_the_middle(folder, workers, signal.SIGKILL)
    assert status == -signal.SIGKILL
    with pytest.raises(InvalidInput) as error:
        read(folder)
    one_line(error, "of 24")
    recorded = {name: (folder / name).read_bytes() for name in Manifest.read(folder).shards}
    assert 0 < len(recorded) < slow_expert.SHARDS

    slow_expert.run(folder)
    assert_same_bytes(read(folder), uninterrupted)
    assert [name for name, data in recorded.items() if (folder / name).read_bytes() != data] == []
    assert len(os.listdir(folder)) == slow_expert.SHARDS + 1


def test_a_worker_that_dies_is_one_line_and_the_same_call_goes_on(tmp_path: Path) -> None:
    problem, expert = offloadopt.problem("multi_server", users=4), slow_expert.Dying(home=os.getpid())
    given: dict[str, Any] = {"count": 24, "seed": 0, "shard_size": 2}
    with pytest.raises(OffloadError, match=r"^a worker process died, perhaps out of memory; finished work is kept$"):
        collect(problem, expert, folder=tmp_path / "set", workers=2, **given)
    kept = {name: (tmp_path / "set" / name).read_bytes() for name in Manifest.read(tmp_path / "set").shards}
    assert 0 < len(kept) < 12
    found = collect(problem, expert, folder=tmp_path / "set", **given)
    assert_same_bytes(found, collect(problem, expert, folder=tmp_path / "whole", **given))
    assert [name for name, data in kept.items() if (tmp_path / "set" / name).read_bytes() != data] == []


def test_ctrl_c_ends_all_workers_quietly_and_keeps_what_is_finished(
    uninterrupted: Demonstrations, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    assert stop_in_the_middle(folder, 2, signal.SIGINT) == (130, "")
    assert 0 < len(Manifest.read(folder).shards) < slow_expert.SHARDS
    slow_expert.run(folder)
    assert_same_bytes(read(folder), uninterrupted)


def test_ctrl_c_in_this_process_keeps_what_is_finished(wanted: Demonstrations, tmp_path: Path) -> None:
    reported: list[int] = []

    def interrupt_the_second_shard(finished: int) -> None:
        reported.append(finished)
        if len(reported) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, progress=interrupt_the_second_shard)
    assert list(Manifest.read(tmp_path).shards) == ["shard-00000.parquet"]
    assert_same_bytes(small(tmp_path), wanted)


def test_killed_at_any_write_it_goes_on_to_the_same_bytes(
    wanted: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before or after each single rename, and during each single write."""
    atomically = files.write_atomic

    class Crash(BaseException):
        """Nothing after it is done."""

    def crash_at(moment: int, how: str) -> Callable[[Path, bytes], None]:
        writes = iter(range(100))

        def write(path: Path, data: bytes) -> None:
            if next(writes) != moment:
                return atomically(path, data)
            if how == "after":
                atomically(path, data)
            elif how == "during":
                path.with_name(f".{path.name}.1{files.UNFINISHED}").write_bytes(data[: len(data) // 2])
            raise Crash

        return write

    crashes = 0
    for how in ("before", "during", "after"):
        for moment in range(7):  # the first manifest, then a shard and a manifest three times
            folder = tmp_path / f"{how}-{moment}"
            monkeypatch.setattr(files, "write_atomic", crash_at(moment, how))
            with pytest.raises(Crash):
                small(folder)
            monkeypatch.setattr(files, "write_atomic", atomically)
            assert_same_bytes(small(folder), wanted)
            assert len(os.listdir(folder)) == 4
            crashes += 1
    assert crashes == 21


# -------------------------------------------------------------------------------------------------------------- Ray


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ray = pytest.importorskip("ray")
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
    assert_same_bytes(there, here)
    assert sys.modules["ray"].is_initialized(), "a cluster that was connected before stays connected"
