"""Atomic writing of files, checksums, output folders, and named arrays in NPZ, JSON and Parquet (never pickle).

NPZ and Parquet preserve every bit. In Parquet an array ``[count, ...]`` is one column of lists of fixed length; the
shape of a row is stored in the schema's metadata.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.core import Batch
from offloadopt.errors import DamagedFile, InvalidInput, OffloadError, OutputExists
from offloadopt.settings import Settings
from offloadopt.version import __version__

try:
    import fcntl
except ImportError:  # Windows: a folder is then not locked
    fcntl = None  # type: ignore[assignment]

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


def read_bytes(path: Path | str) -> bytes:
    """Read a file.

    Raises
    ------
    DamagedFile
        If it is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DamagedFile(f"cannot read {path}: {error.strerror}") from None


def digest(data: bytes) -> str:
    """Compute the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256(path: Path | str) -> str:
    """Compute the SHA-256 of a file, in hexadecimal."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DamagedFile(f"cannot read {path}: {error.strerror}") from None


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
    try:
        values = json.loads(read_bytes(path))
        found = values["format_version"]
        if found != version:
            raise DamagedFile(
                f"{path} has format version {found!r}, but offloadopt {__version__} needs {version}: {remedy}"
            )
        return make(values)
    except DamagedFile:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedFile(f"{path} {what}: {error}") from None


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


# ---------------------------------------------------------------------------------------------------- output folders


def make_folder(path: Path | str) -> Path:
    """Create a folder, with its parents, unless it exists."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise OutputExists(f"{folder} is a file or inside one; allowed: a folder") from None
    except OSError as error:
        raise OffloadError(f"cannot create the folder {folder}: {error.strerror}") from None
    return folder


def prepare_folder(
    path: Path | str, *, overwrite: bool = False, resumable: bool = False, patterns: Sequence[str] | None = None
) -> Path:
    """Create an output folder, and refuse one whose contents would be lost.

    Parameters
    ----------
    path : path
        Created if it does not exist.
    overwrite : bool
        Accept a folder that is not empty.
    resumable : bool
        Accept a folder that holds the same unfinished work; nothing is deleted.
    patterns : sequence of str, optional
        Patterns of all file names of the format. With ``overwrite`` such files are deleted in this order, and a folder
        that holds anything else is refused. Without patterns nothing is deleted.

    Raises
    ------
    OutputExists
        If the folder holds anything that must not be overwritten, or the path is a file.
    """
    folder = make_folder(path)
    try:
        for unfinished in folder.glob(f".*{UNFINISHED}"):
            unfinished.unlink()
        names = sorted(entry.name for entry in folder.iterdir())
        if not names or resumable:
            return folder
        if not overwrite:
            raise OutputExists(f"{folder} is not empty ({names[0]}); choose another folder or overwrite it")
        if patterns is not None:
            owned = {
                entry.name: entry for pattern in patterns for entry in sorted(folder.glob(pattern)) if entry.is_file()
            }
            foreign = [name for name in names if name not in owned]
            if foreign:
                raise OutputExists(f"{folder} holds {foreign[0]}, which is not part of what it would be replaced by")
            for entry in owned.values():
                entry.unlink()
    except OSError as error:
        raise OffloadError(f"cannot use the folder {folder}: {error.strerror}") from None
    return folder


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other writing processes; the system releases the lock however this process ends."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputExists(f"{folder} is being written by another process") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


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
    data = read_bytes(path)
    if not data:
        raise DamagedFile(f"{path} is empty")
    try:
        arrays = decode(data)
        batch = Batch(arrays)
        for name, array in batch.items():
            _require_numbers(name, array)
        if batch.count == 0:
            raise InvalidInput("it holds no instances")
    # Parsers raise exceptions of any type on a damaged file.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedFile(f"{path} cannot be read as {path.suffix[1:]} of named arrays: {reason}") from None
    return arrays


def _format(path: Path) -> tuple[Callable[[bytes], Arrays], Callable[[Arrays], bytes]]:
    formats = {
        ".npz": (_npz_arrays, _npz_bytes),
        ".json": (_json_arrays, _json_bytes),
        ".parquet": (parquet_arrays, parquet_bytes),
    }
    if path.suffix not in formats:
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; allowed: {', '.join(formats)}")
    return formats[path.suffix]


def _require_numbers(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"array {name!r} holds {array.dtype}; allowed: numbers of one shape")


NPY_MAGIC = b"\x93NUMPY"
"""First bytes of a single array in NumPy's format."""


def _npz_bytes(arrays: Arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _npz_arrays(data: bytes) -> Arrays:
    if not data.startswith(NPY_MAGIC) and not zipfile.is_zipfile(io.BytesIO(data)):
        raise InvalidInput("it is not a complete NPZ (zip) archive")
    archive = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InvalidInput("it is a single array without a name")
    with archive:
        return {name: archive[name] for name in archive.files}


def _json_bytes(arrays: Arrays) -> bytes:
    lists = {name: array.tolist() for name, array in arrays.items()}
    try:
        return json.dumps(lists, allow_nan=False).encode()
    except ValueError:
        raise InvalidInput("JSON knows neither NaN nor infinity; save as .npz or .parquet") from None


def _json_arrays(data: bytes) -> Arrays:
    content = json.loads(data, parse_constant=_refuse_constant)
    if isinstance(content, dict) and "results" in content:
        content = [result.get("instance", {}) if isinstance(result, dict) else result for result in content["results"]]
    if isinstance(content, list):
        if not all(isinstance(instance, dict) for instance in content):
            raise InvalidInput("a list must hold instances, each a mapping of names to arrays")
        content = _columns(content)
    if not isinstance(content, dict):
        raise InvalidInput("it is neither a mapping of names to arrays nor a list of instances")
    return {name: _rectangular(name, values) for name, values in content.items()}


def _columns(instances: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = list(instances[0]) if instances else []
    for row, instance in enumerate(instances):
        if not instance:
            raise InvalidInput(f"result {row} holds no instance (print results with --with-instances)")
        if instance.keys() != set(names):
            missing = sorted(instance.keys() ^ set(names))[0]
            raise InvalidInput(f"array {missing!r} is in some instances only, see instances 0 and {row}")
    return {name: [instance[name] for instance in instances] for name in names}


def _rectangular(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError:
        raise InvalidInput(f"array {name!r} is ragged; allowed: rows of one length") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise InvalidInput(f"{constant} is not a JSON number")


# ----------------------------------------------------------------------------------------------------------- Parquet


def parquet_bytes(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any] | None = None) -> bytes:
    """Encode named arrays ``[count, ...]`` as Parquet; ``notes`` (JSON) are stored in the schema's metadata."""
    import pyarrow
    import pyarrow.parquet

    columns = {}
    for name, values in arrays.items():
        _require_numbers(name, values)
        if 0 in values.shape[1:]:
            raise InvalidInput(f"array {name!r} has shape {list(values.shape)}; allowed: no axis of length 0")
        flat = _arrow_array(values)
        size = int(np.prod(values.shape[1:]))
        columns[name] = flat if values.ndim == 1 else pyarrow.FixedSizeListArray.from_arrays(flat, size)
    shapes = {name: list(values.shape[1:]) for name, values in arrays.items()}
    metadata = {"offloadopt": json.dumps({"shapes": shapes, **(notes or {})})}
    table = pyarrow.table(columns).replace_schema_metadata(metadata)
    stream = io.BytesIO()
    # Dictionary encoding would merge values that compare equal but differ in their bits.
    pyarrow.parquet.write_table(
        table, stream, compression="zstd", use_dictionary=False, write_statistics=False, write_page_checksum=True
    )
    return stream.getvalue()


def _arrow_array(values: NDArray[Any]) -> Any:
    """Convert to a flat Arrow array."""
    import pyarrow

    flat = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("=")).reshape(-1)
    if flat.dtype == np.bool_:  # Arrow packs them into bits
        return pyarrow.array(flat)
    # pyarrow.array would import pandas, which takes longer than most shards.
    return pyarrow.Array.from_buffers(pyarrow.from_numpy_dtype(flat.dtype), flat.size, [None, pyarrow.py_buffer(flat)])


def parquet_arrays(data: bytes) -> Arrays:
    """Decode named arrays of a Parquet file, also a foreign one with numbers or lists of numbers in its columns."""
    return parquet_contents(data)[0]


def parquet_contents(data: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Decode named arrays and notes of a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    # In this thread alone: a thread of Arrow's that lets go of Python's bytes while the interpreter ends aborts the process
    # (apache/arrow#34314). `read_table` starts one even where it is asked for none.
    stream = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data), pre_buffer=False, page_checksum_verification=True)
    table = stream.read(use_threads=False)
    notes = json.loads((table.schema.metadata or {}).get(b"offloadopt", b"{}"))
    shapes = notes.pop("shapes", {})
    arrays = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if name in shapes:
            flat = column.flatten() if shapes[name] else column
            arrays[name] = flat.to_numpy(zero_copy_only=False).reshape(len(column), *shapes[name])
        else:
            arrays[name] = _rectangular(name, column.to_pylist())
    return arrays, notes
