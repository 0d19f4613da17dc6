"""What people see: progress, tables, notes and errors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

QUIET_S = 2.0
"""Work shorter than this shows no progress line."""
EVERY_S = 10.0
"""Pause between progress lines where stderr is not a terminal."""


def fail(message: str, status: int) -> int:
    """Print an error as one line on stderr; hands the exit status back."""
    print("error:", " ".join(message.split()), file=sys.stderr)
    return status


def note(message: str) -> None:
    """Print a line for people that belongs to no result."""
    print(message, file=sys.stderr)


def print_json(value: Any) -> None:
    """Print JSON alone on stdout."""
    print(json.dumps(value, allow_nan=False))


def print_version(wanted: bool) -> None:
    """Print the version and stop, if ``wanted``."""
    if wanted:
        from offloadopt import __version__

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
        table.add_row(*map(Text, row))
    Console().print(table)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far a long piece of work is: a bar in a terminal, otherwise a line now and then.

    Parameters
    ----------
    label : str
        What is being done.
    total : int or None
        Number of pieces; none if nobody knows.

    Yields
    ------
    callable
        To be called with the number of pieces finished since the last call.
    """
    if not sys.stderr.isatty():
        yield _lines(label, total)
        return

    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    # Rich's own columns are description, bar, share and remaining time.
    columns = (SpinnerColumn(), *Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda finished: bar.advance(task, finished)


def _lines(label: str, total: int | None) -> Callable[[int], None]:
    begin = time.monotonic()
    done, next_line = 0, begin + QUIET_S

    def advance(finished: int) -> None:
        nonlocal done, next_line
        done += finished
        now = time.monotonic()
        if now >= next_line:
            next_line = now + EVERY_S
            note(f"{label}: {done}{'' if total is None else f' of {total}'} after {now - begin:.0f} s")

    return advance
