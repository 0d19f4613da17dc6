"""Errors raised on purpose, each with a message of one short line and the exit status of the command line."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Container, Iterable

MAX_MESSAGE = 300
"""Most characters of a message: it stays one that is read, whatever a name or a value in it holds."""
MAX_WORD = 60
"""Most characters of a word (a name, a path, a number) in a message that would be too long."""


class OffloadError(Exception):
    """Base of every error that offloadopt raises on purpose; ``exit_status`` is what the command line returns."""

    exit_status = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


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


def printable(text: str) -> str:
    """Remove what a terminal obeys instead of showing it: control characters, changes of direction, surrogates."""
    return "".join(character for character in text if character.isprintable())


def one_line(text: str) -> str:
    """Make a message printable and at most `MAX_MESSAGE` long; its beginning and its end survive."""
    words = printable(" ".join(text.split())).split()
    length = len(" ".join(words))
    for longest in sorted(range(len(words)), key=lambda place: len(words[place]), reverse=True):
        if length > MAX_MESSAGE:
            length -= max(len(words[longest]) - MAX_WORD, 0)
            words[longest] = _cut(words[longest], MAX_WORD)
    return _cut(" ".join(words), MAX_MESSAGE)


def require_whole(name: str, value: object, least: int = 0) -> None:
    """Refuse what is not a whole number of at least ``least``; ``name`` is the argument's."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InvalidInput(f"{name} = {shown(value)}; allowed: a whole number of at least {least}")


def shown(value: object) -> str:
    """Show a value of any type in a message, shortened."""
    try:
        return _cut(repr(value), MAX_WORD)
    except ValueError:  # a whole number of more digits than Python writes
        return f"a {type(value).__name__} of too many digits"


def _cut(text: str, length: int) -> str:
    """Replace the middle of a text that is too long."""
    if len(text) <= length:
        return text
    begin = length // 2
    return f"{text[:begin]}…{text[begin + 1 - length :]}"


def is_name(name: object, known: Container[str]) -> bool:
    """Whether a value of any type is one of the known names; callers may have no type checker."""
    return isinstance(name, str) and name in known


def nearest(name: str, known: Iterable[str]) -> str:
    """Half a sentence that offers the nearest known name, or lists all of them."""
    known = sorted(known)
    if not isinstance(name, str):  # callers may have no type checker
        return f"known: {', '.join(known) or 'none'}"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
