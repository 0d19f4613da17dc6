"""Errors raised on purpose, each with a one-line message and the exit status of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OffloadError(Exception):
    """Base of every error that offloadopt raises on purpose; ``exit_status`` is what the command line returns."""

    exit_status = 1


class InvalidInput(OffloadError, ValueError):
    """An invalid value: the message names the field, the value and the allowed ones."""

    exit_status = 2


class UnknownName(InvalidInput):
    """An unknown name; the message gives the nearest valid one."""


class Unsupported(InvalidInput):
    """A method was applied to a problem or a size that it does not serve; the message says why."""


class DamagedFile(OffloadError, ValueError):
    """A file that cannot be read, is cut short, or does not match its digest."""


class OutputExists(InvalidInput):
    """An output folder that holds other files; nothing is overwritten without the option for it."""


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
