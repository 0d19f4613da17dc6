"""Templates of own instances: sampled ones, to be replaced by the user's numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from offloadopt.core import Instances, Problem
from offloadopt.errors import InvalidInput
from offloadopt.files import write_atomic
from offloadopt.folders import make_folder
from offloadopt.own_instances import document, tables

TABLE_SUFFIXES = (".csv", ".parquet")


def template(problem: Problem[Any], instances: Instances) -> str:
    """Return a document of these instances as JSON, with a line for each instance of an array."""
    content = document.encode(problem, instances)
    return "\n".join(_lines(content)) + "\n"


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Lines of a document: fields one below the other, values one instance a line."""
    yield "{"
    for name, value in content.items():
        if name != "arrays":
            text = json.dumps(value, indent=2, allow_nan=False).replace("\n", "\n  ")
            yield f"  {json.dumps(name)}: {text},"
    yield '  "arrays": {'
    for number, (name, entry) in enumerate(content["arrays"].items(), 1):
        yield f"    {json.dumps(name)}: {{"
        for field in ("about", "unit", "shape"):
            yield f"      {json.dumps(field)}: {json.dumps(entry[field])},"
        rows = ",\n".join(f"        {json.dumps(row, allow_nan=False)}" for row in entry["values"])
        yield f'      "values": [\n{rows}\n      ]'
        yield "    }" if number == len(content["arrays"]) else "    },"
    yield "  }"
    yield "}"


def write_tables(problem: Problem[Any], instances: Instances, folder: Path | str, suffix: str = ".csv") -> list[Path]:
    """Write instances as tables, one file for all arrays whose rows are the same; return their paths.

    Parameters
    ----------
    problem : Problem
    instances : Instances
    folder : path
        New or empty.
    suffix : {".csv", ".parquet"}
    """
    import pandas as pd

    if suffix not in TABLE_SUFFIXES:
        raise InvalidInput(f"suffix = {suffix!r}; allowed: {', '.join(TABLE_SUFFIXES)}")
    place = make_folder(folder)
    if any(place.iterdir()):
        raise InvalidInput(f"{place} is not empty; allowed: a new or empty folder")
    paths = []
    for name, columns in tables.encode(problem, instances).items():
        frame, path = pd.DataFrame(columns), place / f"{name}{suffix}"
        stream = io.BytesIO()
        frame.to_csv(stream, index=False) if suffix == ".csv" else frame.to_parquet(stream, index=False)
        write_atomic(path, stream.getvalue())
        paths.append(path)
    return paths
