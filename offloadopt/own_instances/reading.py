"""Own instances from files: documents, arrays, tables, results of `offloadopt solve`, and shards of demonstrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt import files
from offloadopt.core import Instances, Problem
from offloadopt.core.sizes import shape_fault
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.formats import csv_tables, reading, strict_json
from offloadopt.own_instances import document, tables
from offloadopt.own_instances.axes import documented

SHARD = "instance."
"""Begins the columns of a shard of demonstrations that are instance arrays."""
MANIFEST = "manifest.json"
"""Stands beside shards, and states their scenario."""
SUFFIXES = (".json", ".npz", ".parquet", ".csv")


def read_instances(
    paths: Sequence[Path | str] | Path | str, problem: Problem[Any], *, fill_seed: int | None = None
) -> Instances:
    """Read a user's own instances, whose arrays may be spread over several files.

    Parameters
    ----------
    paths : path or sequence of path
        ``.json`` (a document of `template`, arrays by name, a list of instances, or what ``offloadopt solve --json
        --with-instances`` prints), ``.npz``, ``.parquet`` (arrays, a table, or a shard of demonstrations), ``.csv``
        (a table).
    problem : Problem
    fill_seed : int, optional
        Seed with which the arrays that the files do not hold are sampled; without it they are refused as missing.

    Raises
    ------
    InvalidInput, DamagedFile
        With the file, and the array, shape, unit or value that is wrong.
    """
    found: dict[str, NDArray[Any]] = {}
    tabled: list[str] = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        arrays, is_table = _arrays(Path(path), problem)
        twice = next((name for name in arrays if name in found), None)
        if twice is not None:
            raise InvalidInput(f"{path} holds {twice!r}, which another file holds too; allowed: one file for an array")
        found.update(arrays)
        tabled += list(arrays) if is_table else []
    whole = tables.repeated(found, tabled, problem)
    return problem.check_instances(whole if fill_seed is None else _filled(whole, problem, fill_seed))


def _filled(arrays: Mapping[str, NDArray[Any]], problem: Problem[Any], seed: int) -> dict[str, Any]:
    """Sample the needed arrays that are missing, and optional ones whose axes no given array has."""
    found = dict(problem.complete(arrays))
    fields = problem.instance_fields
    shapes = {name: np.shape(found[name]) for name in found if name in fields}
    if any(shape[1:] != fields[name].full_shape(problem.horizon) for name, shape in shapes.items()):
        raise InvalidInput(shape_fault(problem, shapes))
    sampled = problem.sample(max((shape[0] for shape in shapes.values()), default=1), seed)
    given = {fields[name].axes for name in shapes}
    missing = [name for name in sampled if name not in found]
    drawn = [name for name in missing if not fields[name].optional or fields[name].axes not in given]
    return {**found, **{name: sampled[name] for name in drawn}}


def read_scenario(path: Path | str, problem: str) -> dict[str, Any] | None:
    """Return the scenario that a document, or the manifest of a shard, states for this problem; None without one."""
    path = Path(path)
    if path.suffix == ".parquet" and (path.parent / MANIFEST).is_file():
        manifest = _json(path.parent / MANIFEST)
        ours = (
            isinstance(manifest, dict) and isinstance(manifest.get("shards"), dict) and path.name in manifest["shards"]
        )
        content = manifest if ours else {}
    elif path.suffix == ".json":
        content = _json(path)
        content = content if document.is_document(content) else {}
    else:
        return None
    with _named(path):
        return document.scenario_of(content, problem)


def _json(path: Path) -> Any:
    data = reading.read_bytes(path, growth=reading.TEXT_GROWTH)
    if not data:
        raise DamagedFile(f"{path} is empty")
    with reading.refuse_damage(path, "cannot be read as json of named arrays"):
        return strict_json.parse(data)


@contextmanager
def _named(path: Path | str) -> Iterator[None]:
    """Begin the message of what is wrong in a document with its path."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def _arrays(path: Path, problem: Problem[Any]) -> tuple[Mapping[str, NDArray[Any]], bool]:
    """Read the arrays of one file; tell whether it is a table."""
    if path.suffix not in SUFFIXES:
        raise InvalidInput(f"{path} has suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if path.suffix == ".csv":
        return tables.decode(csv_tables.read_numbers(path), problem, path), True
    if path.suffix == ".json":
        content = _json(path)
        if document.is_document(content):
            with _named(path):
                return document.decode(content, problem), False
    arrays = files.load_arrays(path)
    shard = {name.removeprefix(SHARD): array for name, array in arrays.items() if name.startswith(SHARD)}
    if shard:
        return shard, False
    is_table = not (tables.index_names(problem) - set(documented(problem))).isdisjoint(arrays)
    return (tables.decode(arrays, problem, path) if is_table else arrays), is_table
