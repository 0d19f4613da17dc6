"""Files are whole or not there, arrays come back bit by bit, and a bad file is named in one line."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt import files
from offloadopt.core import Batch, Instances
from offloadopt.errors import DamagedFile, InvalidInput, OffloadError
from offloadopt.settings import Settings

ODD = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 0.1])
BATCH = Batch(
    {
        "odd": ODD,
        "matrix": np.stack([ODD, ODD[::-1]], axis=1).reshape(8, 2, 1),
        "whole": np.array([[2**63 - 1, -(2**63)]] * 8),
        "status": np.arange(248, 256, dtype=np.uint8),
        "flag": np.arange(24).reshape(8, 3) % 2 == 0,
        "single": np.linspace(0, 1, 8, dtype=np.float32),
    }
)


def same_bits(left: Any, right: Any) -> bool:
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


def one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


# ------------------------------------------------------------------------------------------------------------ writing


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_atomic(path, b"old")
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_leaves_the_old_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    files.write_atomic(path, b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OffloadError) as error:
        files.write_atomic(path, b"new")
    one_line(error, str(path), "No space left")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_ctrl_c_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    files.write_atomic(path, b"old")

    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    files.write_atomic(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


# ------------------------------------------------------------------------------------------------------ named arrays


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_every_bit_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"batch{suffix}"
    files.save_batch(BATCH, path)
    loaded = files.load_arrays(path)
    assert list(loaded) == list(BATCH)
    assert [name for name in BATCH if not same_bits(loaded[name], BATCH[name])] == []


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".json"])
def test_the_same_arrays_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    batch = Batch({name: BATCH[name] for name in ("whole", "status", "flag")})
    for name in ("a", "b"):
        files.save_batch(batch, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".json"])
def test_sampled_instances_survive_every_format(tmp_path: Path, suffix: str) -> None:
    problem = offloadopt.problem("multi_server", users=3)
    instances = problem.sample(5, seed=0)
    files.save_batch(instances, tmp_path / f"i{suffix}")
    loaded = problem.check_instances(files.load_arrays(tmp_path / f"i{suffix}"))
    assert [name for name in instances if not same_bits(loaded[name], instances[name])] == []


def test_transposed_and_foreign_byte_order_arrays_are_stored_by_value(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3).T
    files.save_batch(Batch({"t": values, "big": values.astype(">f8")}), tmp_path / "t.parquet")
    loaded = files.load_arrays(tmp_path / "t.parquet")
    np.testing.assert_array_equal(loaded["t"], values)
    np.testing.assert_array_equal(loaded["big"], values)


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    for act in (lambda path: files.save_batch(BATCH, path), files.load_arrays):
        with pytest.raises(InvalidInput) as error:
            act(tmp_path / "a.csv")
        one_line(error, "'.csv'", ".npz", ".json", ".parquet")


# -------------------------------------------------------------------------------------------------------- bad files


@pytest.mark.parametrize("suffix", [".npz", ".json", ".parquet"])
def test_no_beginning_of_a_file_is_taken_for_the_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    files.save_batch(Instances({"gain": np.arange(24.0).reshape(4, 3, 2), "task_bits": np.ones((4, 3))}), path)
    whole = path.read_bytes()
    for length in {0, 1, len(whole) - 1, *range(0, len(whole), 17)}:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedFile) as error:
            files.load_arrays(path)
        one_line(error, str(path))


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_changed_bit_in_the_numbers_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"flip{suffix}"
    values = np.random.default_rng(0).random(4096)
    files.save_batch(Batch({"x": values}), path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedFile) as error:
        files.load_arrays(path)
    one_line(error, str(path))


@pytest.mark.parametrize("suffix", [".npz", ".json", ".parquet"])
def test_files_of_another_kind_and_missing_ones_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"other{suffix}"
    with pytest.raises(DamagedFile) as error:
        files.load_arrays(path)
    one_line(error, str(path), "No such file")
    for data in (b"\x89PNG\r\n\x1a\n" * 10, b"\xff\xfe\x00\x01" * 30):
        path.write_bytes(data)
        with pytest.raises(DamagedFile) as error:
            files.load_arrays(path)
        one_line(error, str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(DamagedFile) as error:
        files.load_arrays(path)
    one_line(error, str(path))


class Trap:
    """What a pickle of this would do when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_inside_a_file_is_never_run(tmp_path: Path) -> None:
    trapped = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / "a.npz", allow_pickle=True, gain=trapped)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.namelist() == ["gain.npy"]
    with pytest.raises(DamagedFile) as error:
        files.load_arrays(tmp_path / "a.npz")
    one_line(error, "a.npz")
    assert not (tmp_path / "sprung").exists()


# -------------------------------------------------------------------------------------------- descriptions in JSON


class Note(Settings):
    format_version: int = 2
    text: str = "as it was"


def test_a_sealed_description_comes_back_and_a_changed_one_does_not(tmp_path: Path) -> None:
    path, words = tmp_path / "note.json", {"what": "is no note", "remedy": "write another"}
    files.write_sealed(path, Note())
    assert files.read_sealed(path, 2, Note, **words) == Note()
    damage = {
        "is damaged: its fields do not match": {"text": "as it is"},
        "format version 1, but offloadopt .* needs 2: write another": {"format_version": 1},
        "is no note: unknown field 'more'": {"more": 1},
    }
    for message, changed in damage.items():
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
        with pytest.raises(DamagedFile, match=message):
            files.read_sealed(path, 2, Note, **words)
        files.write_sealed(path, Note())
