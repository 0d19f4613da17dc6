"""The errors a user can meet, each one clear line, and the exit status it ends the command line with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OffloadError(Exception):
    """Base of every error that offloadopt raises on purpose; ``exit_status`` is what the command line returns."""

    exit_status = 1


class InvalidInput(OffloadError, ValueError):
    """A value that is refused where it enters: the message names the field, the value and what is allowed."""

    exit_status = 2


class UnknownName(InvalidInput):
    """A name that nothing is registered under; the message gives the nearest valid one."""


class Unsupported(InvalidInput):
    """A method was asked for a problem or a size that it does not serve; the message says why."""


class DamagedFile(OffloadError, ValueError):
    """A file that cannot be read, is cut short, or does not match its digest."""


class OutputExists(InvalidInput):
    """An output folder that holds other work; nothing is overwritten unless asked."""


class NoSolution(OffloadError):
    """No feasible decision was found (or none exists)."""

    exit_status = 3


class BrokenProof(OffloadError):
    """A claimed bound lies above the cost of a feasible decision: a defect of the solver, never of the input."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that offers the nearest known name, or lists all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
