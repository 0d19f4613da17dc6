"""Named arrays of numbers as NPZ, NumPy's zip archive, without pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from offloadopt.errors import InvalidInput

SUFFIX = ".npy"
END = b"PK\5\6"
"""Begins the archive's last record, whose bytes 10 and 11 are the number of members."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Readers of an array's header by its format's version; version 3 is for names of fields, which numbers have not."""


def encode(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode named arrays."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def decode(data: bytes, limit: int) -> dict[str, NDArray[Any]]:
    """Decode named arrays.

    Parameters
    ----------
    data : bytes
    limit : int
        Most bytes of all arrays together; no more are expanded.

    Raises
    ------
    InvalidInput, BadZipFile
        If an array is doubled, is no array of numbers, is damaged or too large.
    """
    if data.startswith(npy.MAGIC_PREFIX):
        raise InvalidInput("it is a single array without a name")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise InvalidInput("it is not a complete NPZ (zip) archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        end = data.rindex(END)
        if len(members) != int.from_bytes(data[end + 10 : end + 12], "little"):
            raise InvalidInput(f"its directory lists {len(members)} arrays, and its end says another number")
        for name, times in Counter(member.filename for member in members).items():
            if times > 1:
                raise InvalidInput(f"it holds {name!r} {times} times")
            if not name.endswith(SUFFIX) or "/" in name:
                raise InvalidInput(f"it holds {name!r}; allowed: arrays, NAME{SUFFIX}")
        size = sum(member.file_size for member in members)
        if size > limit:
            raise InvalidInput(f"its arrays have {size:,} bytes; allowed on this machine: at most {limit:,}")
        return {member.filename.removesuffix(SUFFIX): _array(archive, member) for member in members}


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Read a member; no more bytes are expanded than it declares, and their CRC is checked."""
    with archive.open(member) as stream:
        content = io.BytesIO(stream.read(member.file_size))
    version = npy.read_magic(content)
    if version not in HEADERS:
        raise InvalidInput(f"{member.filename!r} has format {version}; allowed: {', '.join(map(str, HEADERS))}")
    shape, fortran, dtype = HEADERS[version](content)
    if dtype.kind not in "biuf":
        raise InvalidInput(f"{member.filename!r} holds {dtype}; allowed: numbers")
    numbers = content.getvalue()[content.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(numbers):
        raise InvalidInput(f"{member.filename!r} says that its shape is {list(shape)}, and has {len(numbers)} bytes")
    if dtype == np.bool_ and numbers and max(numbers) > 1:
        raise InvalidInput(f"{member.filename!r} holds {max(numbers)}; allowed: 0 and 1, for false and true")
    array = np.frombuffer(numbers, dtype).reshape(shape, order="F" if fortran else "C")
    return array.copy(order="K")
