"""Atomic writing of files, and files of named arrays: NPZ, JSON and Parquet (never pickle).

NPZ and Parquet preserve every bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Batch
from offloadopt.errors import DamagedFile, InvalidInput, OffloadError
from offloadopt.formats import json_arrays, npz, parquet, reading, strict_json
from offloadopt.settings import Settings
from offloadopt.version import __version__

UNFINISHED = ".unfinished"
"""Suffix of a file that is being written; such a file in a folder was left by a killed process."""

Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=Settings)


# ---------------------------------------------------------------------------------------------------- bytes on disk


def write_atomic(path: Path | str, data: bytes) -> None:
    """Write a file atomically: if the process is killed, the path holds the old file or the complete new one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OffloadError(f"cannot write {path}: {error.strerror}") from None


def _sync_folder(folder: Path) -> None:
    """Synchronise a folder with the disk, so that a rename survives a power failure; POSIX only."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -------------------------------------------------------------------------------------------- descriptions in JSON


def read_versioned(path: Path, version: int, make: Callable[[dict[str, Any]], T], *, what: str, remedy: str) -> T:
    """Read a description from a JSON file with a field ``format_version``.

    Parameters
    ----------
    version : int
        The format version that is needed.
    make : callable
        Makes the description of the file's fields.
    what, remedy : str
        For the messages: what the file is not, and what to do about another format.

    Raises
    ------
    DamagedFile
        If the file is missing, is no description, or has another format version.
    """
    data = reading.read_bytes(path, growth=reading.TEXT_GROWTH)
    with reading.refuse_damage(path, what):
        values = strict_json.parse(data)
        found = values["format_version"]
        if found != version:
            raise DamagedFile(
                f"{path} has format version {found!r}, but offloadopt {__version__} needs {version}: {remedy}"
            )
        return make(values)


def read_sealed(path: Path, version: int, kind: type[SettingsT], *, what: str, remedy: str) -> SettingsT:
    """Read settings that `write_sealed` wrote; those that do not match their SHA-256 are refused as well."""

    def make(values: dict[str, Any]) -> SettingsT:
        sha256 = values.pop("sha256")
        settings = kind(**values)
        if settings.digest() != sha256:
            raise DamagedFile(f"{path} is damaged: its fields do not match their SHA-256")
        return settings

    return read_versioned(path, version, make, what=what, remedy=remedy)


def write_sealed(path: Path, settings: Settings) -> None:
    """Write settings, which have a field ``format_version``, atomically as JSON with the SHA-256 of all fields."""
    fields = {**settings.model_dump(mode="json"), "sha256": settings.digest()}
    write_atomic(path, json.dumps(fields, indent=1, allow_nan=False).encode() + b"\n")


# ------------------------------------------------------------------------------------------------------ named arrays


def save_batch(batch: Mapping[str, NDArray[Any]], path: Path | str) -> None:
    """Store named arrays ``[count, ...]`` as ``.npz``, ``.json`` or ``.parquet``, by the path's suffix."""
    path = Path(path)
    _, encode = _format(path)
    write_atomic(path, encode({name: np.asarray(values) for name, values in batch.items()}))


def load_arrays(path: Path | str) -> Arrays:
    """Read named arrays ``[count, ...]`` of a ``.npz``, ``.json`` or ``.parquet`` file.

    JSON may be a mapping of names to arrays, a list of instances, or what ``offloadopt solve --json
    --with-instances`` prints.

    Raises
    ------
    DamagedFile
        If the file is missing, truncated or of another format, or its arrays are not numeric arrays of one length.
    """
    path = Path(path)
    decode, _ = _format(path)
    data = reading.read_bytes(path, growth=reading.TEXT_GROWTH if path.suffix == ".json" else 1)
    if not data:
        raise DamagedFile(f"{path} is empty")
    with reading.refuse_damage(path, f"cannot be read as {path.suffix[1:]} of named arrays"):
        arrays = decode(data, reading.comfortable_bytes())
        batch = Batch(arrays)
        for name, array in batch.items():
            if array.dtype.kind not in "biuf":
                raise InvalidInput(f"array {name!r} holds {array.dtype}; allowed: numbers of one shape")
        if batch.count == 0:
            raise InvalidInput("it holds no instances")
        return arrays


def _format(path: Path) -> tuple[Callable[[bytes, int], Arrays], Callable[[Arrays], bytes]]:
    formats: dict[str, tuple[Callable[[bytes, int], Arrays], Callable[[Arrays], bytes]]] = {
        ".npz": (npz.decode, npz.encode),
        ".json": (lambda data, limit: json_arrays.decode(data), json_arrays.encode),
        ".parquet": (lambda data, limit: parquet.decode(data, limit)[0], parquet.encode),
    }
    if path.suffix not in formats:
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; allowed: {', '.join(formats)}")
    return formats[path.suffix]
