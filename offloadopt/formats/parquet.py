"""Named arrays as Parquet: an array ``[count, ...]`` is one column of lists of fixed length.

The shape of a row is stored in the schema's metadata, and with it the SHA-256 of all arrays and notes of the writer.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.errors import InvalidInput
from offloadopt.formats import strict_json
from offloadopt.formats.json_arrays import rectangular
from offloadopt.formats.reading import TEXT_GROWTH, digest_arrays

METADATA = b"offloadopt"
MAX_PARTS = 100_000
"""Most columns, and row groups, that a file may list."""
BATCH_ROWS = 1 << 16


def encode(arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any] | None = None) -> bytes:
    """Encode named arrays ``[count, ...]``; ``notes`` (JSON) are stored in the schema's metadata."""
    import pyarrow
    import pyarrow.parquet

    columns = {}
    for name, values in arrays.items():
        if values.dtype.kind not in "biuf":
            raise InvalidInput(f"array {name!r} holds {values.dtype}; allowed: numbers of one shape")
        if 0 in values.shape[1:]:
            raise InvalidInput(f"array {name!r} has shape {list(values.shape)}; allowed: no axis of length 0")
        flat = _arrow_array(values)
        size = int(np.prod(values.shape[1:]))
        columns[name] = flat if values.ndim == 1 else pyarrow.FixedSizeListArray.from_arrays(flat, size)
    shapes = {name: list(values.shape[1:]) for name, values in arrays.items()}
    metadata = {METADATA.decode(): json.dumps({"shapes": shapes, "sha256": digest_arrays(arrays), **(notes or {})})}
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


def decode(data: bytes, limit: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Decode named arrays and notes, also of a foreign file with numbers or lists of numbers in its columns.

    Parameters
    ----------
    data : bytes
    limit : int
        Most bytes of all arrays together; a file that declares more is not decoded.

    Raises
    ------
    InvalidInput, ArrowException
        If a column holds anything but numbers, is damaged or too large, or a shape or the notes are wrong.
    """
    import pyarrow
    import pyarrow.parquet

    # In this thread alone: a thread of Arrow's that lets go of Python's bytes while the interpreter ends aborts the
    # process (apache/arrow#34314). `read_table` starts one even where it is asked for none.
    file = pyarrow.parquet.ParquetFile(
        pyarrow.BufferReader(data),
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_container_size_limit=MAX_PARTS,
    )
    schema = file.schema_arrow
    for field in schema:
        _require_numbers(field.name, field.type)
    if len(set(schema.names)) < len(schema.names):
        raise InvalidInput("it holds a column twice")
    notes = strict_json.parse((schema.metadata or {}).get(METADATA, b"{}"))
    shapes = _shapes(notes)
    if shapes and shapes.keys() != set(schema.names):
        raise InvalidInput("its columns are not those of its metadata")
    table = pyarrow.Table.from_batches(_batches(file, limit // (1 if shapes else TEXT_GROWTH)), schema)
    if len(table) != file.metadata.num_rows:
        raise InvalidInput(f"it has {len(table)} rows, and its metadata say {file.metadata.num_rows}")
    arrays = {name: _array(name, table[name].combine_chunks(), shapes.get(name)) for name in schema.names}
    if notes.pop("sha256", digest_arrays(arrays)) != digest_arrays(arrays):
        raise InvalidInput("its arrays do not match their SHA-256")
    return arrays, notes


def _batches(file: Any, limit: int) -> Iterator[Any]:
    """Decode some rows after others, as long as they take no more than ``limit`` bytes."""
    size = 8 * file.metadata.num_rows * sum(_least_numbers(field.type) for field in file.schema_arrow)
    # The numbers of values that the metadata of columns declare are not asked for: where these are damaged, pyarrow
    # ends the process (an exception of C++ that it does not catch).
    if size <= limit:
        size = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            size += batch.nbytes
            if size > limit:
                break
            yield batch
    if size > limit:
        raise InvalidInput(f"its arrays take {size:,} bytes or more; allowed on this machine: at most {limit:,}")


def _least_numbers(kind: Any) -> int:
    """Count the numbers in a row of a column, lists of any length as empty."""
    from pyarrow import types

    if types.is_fixed_size_list(kind):
        return int(kind.list_size) * _least_numbers(kind.value_type)
    return 0 if types.is_list(kind) or types.is_large_list(kind) else 1


def _require_numbers(name: str, kind: Any) -> None:
    """Refuse a column of anything but numbers, or lists of them."""
    from pyarrow import types

    held = kind
    while types.is_list(held) or types.is_large_list(held) or types.is_fixed_size_list(held):
        held = held.value_type
    if not (types.is_integer(held) or types.is_floating(held) or types.is_boolean(held)):
        raise InvalidInput(f"column {name!r} holds {kind}; allowed: numbers, or lists of them")


def _shapes(notes: Any) -> dict[str, list[int]]:
    """Take the shapes of rows by column out of the notes."""
    shapes = notes.pop("shapes", {}) if isinstance(notes, dict) else None
    if not isinstance(shapes, dict) or not all(
        isinstance(shape, list) and all(type(length) is int and length > 0 for length in shape)
        for shape in shapes.values()
    ):
        raise InvalidInput("its metadata hold no shapes of arrays; allowed: positive numbers by column")
    return shapes


def _array(name: str, column: Any, shape: list[int] | None) -> NDArray[Any]:
    if shape is None:
        return rectangular(name, column.to_pylist())
    flat = column.flatten() if shape else column
    if flat.null_count or column.null_count or len(flat) != len(column) * math.prod(shape):
        raise InvalidInput(f"column {name!r} is not complete; allowed: {math.prod(shape)} numbers in each row")
    return np.asarray(flat.to_numpy(zero_copy_only=False).reshape(len(column), *shape))
