"""Progress of long work on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_S = 2.0
"""Work shorter than this shows no progress line."""
EVERY_S = 10.0
"""Pause between progress lines where stderr is not a terminal."""


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
            print(
                f"{label}: {done}{'' if total is None else f' of {total}'} after {now - begin:.0f} s", file=sys.stderr
            )

    return advance
