"""Recorded requests to a language model: arrival times, context tokens and generated tokens."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.errors import DamagedFile

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


@dataclass(frozen=True)
class Requests:
    """Requests in the order of their arrival, arrays ``[requests]``.

    Attributes
    ----------
    second : array
        Arrival in s after the first request.
    context, generated : array
        Numbers of context tokens and of generated tokens.
    """

    second: FloatArray
    context: FloatArray
    generated: FloatArray


def read_requests(path: Path) -> Requests:
    """Read requests of a CSV file with the columns of the Azure LLM inference traces.

    Raises
    ------
    DamagedFile
        If the file is missing, lacks a column, has no rows or a row that is no request.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                found = ", ".join(reader.fieldnames or [])[:80]
                raise DamagedFile(f"{path} has no column {missing[0]!r}; found: {found!r}")
            rows = [[row[name] for name in COLUMNS] for row in reader]
        times = [datetime.fromisoformat(row[0]) for row in rows]
        tokens = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 2)
        second = np.array([(time - times[0]).total_seconds() for time in times])
    except OSError as error:
        raise DamagedFile(f"cannot read {path}: {error.strerror}") from None
    except (TypeError, ValueError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, DamagedFile):
            raise
        raise DamagedFile(f"{path} is not a table of times and numbers of tokens: {error}") from None
    if not len(rows):
        raise DamagedFile(f"{path} has no rows")
    # A request needs context tokens; without them there is no work.
    wrong = ~(np.isfinite(tokens).all(axis=1) & (tokens >= 0).all(axis=1) & (tokens[:, 0] > 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DamagedFile(f"{path}, data row {row + 1}: {tokens[row].tolist()} are not numbers of tokens")
    order = np.argsort(second, kind="stable")
    second, tokens = second[order], tokens[order]
    return Requests(second - second[0], tokens[:, 0], tokens[:, 1])
