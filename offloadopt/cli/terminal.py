"""What people see: progress, tables, notes and errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import typer

from offloadopt.errors import one_line, printable

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def fail(message: str, status: int) -> int:
    """Print an error as one line on stderr; hands the exit status back."""
    print("error:", one_line(message), file=sys.stderr)
    return status


def note(message: str) -> None:
    """Print a line for people that belongs to no result."""
    print(printable(message), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print JSON alone on stdout."""
    print(json.dumps(value, allow_nan=False))


def print_version(wanted: bool) -> None:
    """Print the version and stop, if ``wanted``."""
    if wanted:
        from offloadopt.version import __version__

        print(f"offloadopt {__version__}")
        raise typer.Exit


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> None:
    """Print a table: its first ``text_columns`` columns to the left, the numbers after them to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if position < text_columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)
