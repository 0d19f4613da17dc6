"""NPZ archives come back bit by bit, or are refused: nothing in them is expanded, run or believed unchecked."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import files
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.formats import npz

LIMIT = 1 << 20
ARRAYS = {
    "gain": np.arange(6.0).reshape(3, 2),
    "flag": np.array([True, False, True]),
    "whole": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 2, 2)),
    "big": np.arange(3).astype(">f4"),
    "none": np.zeros((3, 0)),
}


def archive(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, content in members:
            with warnings.catch_warnings(action="ignore"):  # of a doubled name
                made.writestr(name, content)
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    bits = [{name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()} for arrays in (left, right)]
    return bits[0] == bits[1]


def test_arrays_of_any_order_and_byte_order_come_back() -> None:
    assert same(npz.decode(npz.encode(ARRAYS), LIMIT), ARRAYS)
    stream = io.BytesIO()
    np.savez_compressed(stream, **ARRAYS)
    assert same(npz.decode(stream.getvalue(), LIMIT), ARRAYS)


def test_a_single_unnamed_array_is_no_batch(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(DamagedFile, match="without a name"):
        files.load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive(("a.npy", npy(np.ones(2))), ("a.npy", npy(np.zeros(2)))), "'a.npy' 2 times"),
        (archive(("../a.npy", npy(np.ones(2)))), "'../a.npy'"),
        (archive(("a.txt", b"x")), "'a.txt'; allowed: arrays"),
        (archive(("a.npy", npy(np.array([{}], dtype=object)))), "holds object; allowed: numbers"),
        (archive(("a.npy", npy(np.array(["text"])))), "holds <U4"),
        (archive(("a.npy", npy(np.array([1j])))), "holds complex128"),
        (archive(("a.npy", npy(np.ones(2))[:-1])), "15 bytes"),
        (archive(("a.npy", npy(np.ones(2)) + b"x")), "17 bytes"),
        (archive(("a.npy", npy(np.ones(2)).replace(b"(2,)", b"(-2,)").replace(b" \n", b"\n"))), "-2"),
        (
            archive(("a.npy", npy(np.array([True]))[:-1] + b"\x02")),
            "holds 2; allowed: 0 and 1",
        ),
        (archive(("a.npy", npy(np.zeros(1 << 20))), compression=zipfile.ZIP_DEFLATED), "8,388,736 bytes"),
        (archive(("a.npy", npy(np.ones(2))))[:-4], "zip"),
    ],
)
def test_what_is_no_archive_of_small_numbers_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        npz.decode(data, LIMIT)


def test_a_member_that_is_longer_than_it_declares_is_not_expanded() -> None:
    content = npy(np.zeros(1 << 22))
    data = archive(("a.npy", content), compression=zipfile.ZIP_DEFLATED)
    size = len(content).to_bytes(4, "little")
    assert data.count(size) == 2
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        npz.decode(data.replace(size, (100_000).to_bytes(4, "little")), LIMIT)


def test_a_flipped_byte_is_noticed_or_changes_no_number() -> None:
    data = npz.encode({"gain": ARRAYS["gain"], "flag": ARRAYS["flag"]})
    whole, refused = npz.decode(data, LIMIT), 0
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            assert same(npz.decode(bytes(changed), LIMIT), whole), place
        except (InvalidInput, zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError):
            refused += 1
    assert refused > 0.7 * len(data)
