"""Reading of whole files: regular ones, no larger than fits comfortably in memory."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.errors import DamagedFile
from offloadopt.memory import machine_bytes

TEXT_GROWTH = 8
"""How many times larger than a text the numbers and lists are that are made of it, about."""


def comfortable_bytes() -> int:
    """Return a quarter of the machine's memory: the most that the contents of a file may take."""
    return machine_bytes() // 4


def read_bytes(path: Path | str, *, growth: int = 1) -> bytes:
    """Read a regular file.

    Parameters
    ----------
    path : path
    growth : int
        How many times larger its contents are in memory.

    Raises
    ------
    DamagedFile
        If it is missing, is not a regular file, cannot be read, or is too large.
    """
    limit = comfortable_bytes() // growth
    with _open(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise DamagedFile(f"{path} has {size:,} bytes; allowed on this machine: at most {limit:,}")
        data = stream.read(size + 1)
    if len(data) != size:
        raise DamagedFile(f"{path} has {size:,} bytes and other contents; allowed: a file that nobody is writing")
    return data


def read_text(path: Path | str) -> str:
    """Read a regular file of text in UTF-8, with or without a byte order mark."""
    try:
        return read_bytes(path, growth=TEXT_GROWTH).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedFile(f"{path} is no text in UTF-8, see byte {error.start}") from None


def digest(data: bytes) -> str:
    """Compute the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_arrays(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Compute the SHA-256 of names, types, shapes and numbers, in hexadecimal."""
    found = hashlib.sha256()
    for name, values in arrays.items():
        numbers = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        found.update(f"{name} {numbers.dtype.str} {values.shape}".encode(errors="surrogatepass"))
        found.update(numbers.data)
    return found.hexdigest()


def sha256(path: Path | str) -> str:
    """Compute the SHA-256 of a regular file of any size, in hexadecimal."""
    with _open(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def refuse_damage(path: Path | str, what: str) -> Iterator[None]:
    """Turn whatever a damaged or edited file leads to into one line: ``path``, ``what`` it is not, and why.

    Parsers raise exceptions of any type, and so does code that trusts what a parser found.
    """
    try:
        yield
    except DamagedFile:
        raise
    except Exception as error:
        raise DamagedFile(f"{path} {what}: {str(error) or type(error).__name__}") from None


@contextmanager
def _open(path: Path | str) -> Iterator[BufferedReader]:
    """Open a regular file; all others are refused before they are opened, and none can block."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DamagedFile(f"cannot read {path}: it is not a regular file")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as stream:
            yield stream
    except OSError as error:
        raise DamagedFile(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # no path has a null byte
        if isinstance(error, DamagedFile):
            raise
        raise DamagedFile(f"cannot read {path}: {error}") from None
