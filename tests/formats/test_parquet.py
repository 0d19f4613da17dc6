"""Parquet files hold arrays of numbers of the shapes that they declare, or are refused before they are decoded."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from offloadopt import files
from offloadopt.errors import InvalidInput
from offloadopt.formats import parquet

LIMIT = 1 << 20
ARRAYS = {"gain": np.arange(24.0).reshape(4, 3, 2), "flag": np.array([True, False, True, True])}


def table(columns: Any, metadata: Any = None, **options: Any) -> bytes:
    made = columns if isinstance(columns, pa.Table) else pa.table(columns)
    if metadata is not None:
        made = made.replace_schema_metadata({"offloadopt": metadata})
    stream = io.BytesIO()
    pa.parquet.write_table(made, stream, **options)
    return stream.getvalue()


def test_a_table_written_with_pandas_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"task_bits": [[1.0, 2.0], [3.0, 4.0]], "gain": [[[1.0], [2.0]], [[3.0], [4.0]]], "x": [1, 2]})
    frame.to_parquet(tmp_path / "p.parquet")
    loaded = files.load_arrays(tmp_path / "p.parquet")
    assert {name: array.shape for name, array in loaded.items()} == {"task_bits": (2, 2), "gain": (2, 2, 1), "x": (2,)}


def test_a_stored_array_is_a_list_to_anybody_who_reads_the_parquet_file(tmp_path: Path) -> None:
    files.save_batch({"whole": np.array([[2**63 - 1, -(2**63)]] * 8)}, tmp_path / "b.parquet")
    assert pd.read_parquet(tmp_path / "b.parquet")["whole"].tolist()[0].tolist() == [2**63 - 1, -(2**63)]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_reading_parquet_starts_no_thread_that_could_outlive_the_interpreter(tmp_path: Path) -> None:
    files.save_batch(ARRAYS, tmp_path / "b.parquet")
    code = (
        "import os, sys, pyarrow.parquet; from offloadopt import files\n"
        "before = set(os.listdir('/proc/self/task')); files.load_arrays(sys.argv[1])\n"
        "names = [open(f'/proc/self/task/{t}/comm').read() for t in set(os.listdir('/proc/self/task')) - before]\n"
        "print([name for name in names if 'jemalloc' not in name])"  # that one runs nothing of Python's
    )
    started = subprocess.run([sys.executable, "-c", code, tmp_path / "b.parquet"], capture_output=True, text=True)
    assert started.stdout == "[]\n", started.stderr


def test_what_parquet_cannot_hold_is_refused(tmp_path: Path) -> None:
    for values in (np.array(["a", "b"]), np.zeros((2, 0))):
        with pytest.raises(InvalidInput, match="'odd one'"):
            files.save_batch({"odd one": values}, tmp_path / "a.parquet")


def test_arrays_and_notes_come_back() -> None:
    arrays, notes = parquet.decode(parquet.encode(ARRAYS, {"writer": [1, "x"]}), LIMIT)
    assert {name: (a.dtype, a.tolist()) for name, a in arrays.items()} == {
        name: (a.dtype, a.tolist()) for name, a in ARRAYS.items()
    }
    assert notes == {"writer": [1, "x"]}


ROWS = pa.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (table({"a": pa.array(["x"])}), "'a' holds string; allowed: numbers"),
        (table({"a": pa.array([[b"x"]])}), "holds list"),
        (table({"a": pa.array([{"b": 1}])}), "holds struct"),
        (table({"a": pa.array([None, 1.0])}, '{"shapes": {"a": []}}'), "'a' is not complete"),
        (table({"a": pa.array([[1.0], [2.0, 3.0]])}, '{"shapes": {"a": [2]}}'), "'a' is not complete"),
        (table({"a": ROWS}, '{"shapes": {"a": [-1]}}'), "no shapes"),
        (table({"a": ROWS}, '{"shapes": {"a": [1.0]}}'), "no shapes"),
        (table({"a": ROWS}, '{"shapes": [1]}'), "no shapes"),
        (table({"a": ROWS}, "[1]"), "no shapes"),
        (table({"a": ROWS}, '{"shapes": {}, "shapes": {}}'), "twice"),
        (table({"a": ROWS}, "[" * 5000), "nested"),
        (table(pa.Table.from_arrays([ROWS, ROWS], names=["a", "a"])), "a column twice"),
        (
            table({"a": pa.array(np.zeros(1 << 18))}),
            "2,097,152 bytes or more; allowed on this machine: at most 131,072",
        ),
        (table({"a": pa.array([[0.0] * (1 << 17), [1.0]])}), "bytes or more"),
        (table({"a": pa.array(np.zeros(1 << 18))}, '{"shapes": {"a": []}}'), "2,097,152 bytes"),
    ],
)
def test_what_are_no_small_arrays_of_numbers_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parquet.decode(data, LIMIT)


def test_a_deep_schema_is_refused() -> None:
    kind = pa.float64()
    for _ in range(300):
        kind = pa.list_(kind)
    with pytest.raises((OSError, InvalidInput, pa.ArrowException), match="deep"):
        parquet.decode(table({"a": pa.array([None], kind)}, store_schema=False), LIMIT)


def test_a_flipped_byte_is_noticed_or_changes_no_number_and_does_not_end_the_process() -> None:
    data = parquet.encode(ARRAYS)
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            arrays, _ = parquet.decode(bytes(changed), LIMIT)
        except Exception:  # Arrow's are of many types
            continue
        assert {name: (a.dtype, a.size, a.tobytes()) for name, a in arrays.items()} == {
            name: (a.dtype, a.size, a.tobytes()) for name, a in ARRAYS.items()
        }, place
