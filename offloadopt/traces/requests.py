"""Recorded requests to a language model: arrival times, context tokens and generated tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from offloadopt.core import FloatArray
from offloadopt.errors import DamagedFile
from offloadopt.formats.csv_tables import read_columns
from offloadopt.formats.reading import refuse_damage

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MAX_TOKENS = 1e8
"""Most tokens of a request; the longest contexts of today's models have ten million."""


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
    rows = read_columns(path, COLUMNS)
    with refuse_damage(path, "is not a table of times and numbers of tokens"):
        times = [datetime.fromisoformat(row[0]) for row in rows]
        second = np.array([(time - times[0]).total_seconds() for time in times])
        tokens = np.array([row[1:] for row in rows], dtype=np.float64)
    # A request needs context tokens; without them there is no work.
    wrong = ~((tokens >= 0).all(axis=1) & (tokens <= MAX_TOKENS).all(axis=1) & (tokens[:, 0] > 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DamagedFile(f"{path}, data row {row + 1}: {tokens[row].tolist()} are not numbers of tokens")
    order = np.argsort(second, kind="stable")
    second, tokens = second[order], tokens[order]
    return Requests(second - second[0], tokens[:, 0], tokens[:, 1])
