"""Tables in CSV: columns read by name, and cells written as text that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.errors import DamagedFile, printable, shown
from offloadopt.formats.reading import read_text

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA_SIGNS = ("=", "+", "-", "@")
"""First characters that make a spreadsheet compute a cell."""


def read_columns(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Read columns of a CSV file by the names in its first line, in any case and order; returns rows.

    Raises
    ------
    DamagedFile
        If the file cannot be read, is no CSV, lacks a column or has it twice, has no rows or one of another length.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        heading = [name.strip().lower() for name in next(reader, [])]
        places = [_place(path, heading, name) for name in names]
        rows = []
        for row in reader:
            if len(row) not in (0, len(heading)):
                raise DamagedFile(f"{path}, line {reader.line_num}: {len(row)} cells; allowed: {len(heading)}")
            if row:
                rows.append([row[place] for place in places])
    except csv.Error as error:
        reason = "a quotation mark is not closed" if "end of data" in str(error) else error
        raise DamagedFile(f"{path}, line {reader.line_num} is no CSV: {reason}") from None
    if not rows:
        raise DamagedFile(f"{path} has no rows")
    return rows


def read_numbers(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read a CSV file of numbers: its columns by the names in its first line, in lower case.

    Raises
    ------
    DamagedFile
        As `read_columns`, and if a cell is no number.
    """
    heading = next(csv.reader(io.StringIO(read_text(path), newline="")), [])
    names = [name.strip().lower() for name in heading]
    rows = read_columns(path, names)
    found = {}
    for place, name in enumerate(names):
        try:
            found[name] = np.array([row[place] for row in rows], dtype=np.float64)
        except ValueError:
            line, cell = next((line, row[place]) for line, row in enumerate(rows, 1) if not _is_number(row[place]))
            raise DamagedFile(f"{path}, row {line}: {name} is {shown(cell)}; allowed: a number") from None
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _place(path: Path, heading: list[str], name: str) -> int:
    found = heading.count(name.lower())
    if found != 1:
        many = "no column" if found == 0 else f"{found} columns"
        raise DamagedFile(f"{path} has {many} {name!r}; found: {printable(', '.join(heading))[:80]!r}")
    return heading.index(name.lower())


def encode(frame: DataFrame) -> bytes:
    """Encode a frame as CSV in UTF-8 without its index, its texts as `text_cell` writes them."""
    table = frame.rename(columns=_cell)
    texts = table.select_dtypes(exclude="number").columns
    table = table.assign(**{name: table[name].map(_cell) for name in texts})
    return str(table.to_csv(index=False)).encode()


def text_cell(text: str) -> str:
    """Remove control characters, and begin what a spreadsheet would take for a formula with an apostrophe."""
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def _cell(value: Any) -> Any:
    return text_cell(value) if isinstance(value, str) else value
