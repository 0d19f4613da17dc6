"""Tries: a command line with the files that it reads, or Python code."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DONE, FAILED, WRONG_USAGE, NO_SOLUTION, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True)
class Try:
    """One try, run in an empty folder.

    Attributes
    ----------
    arguments : list of tuple of str
        Groups of arguments of the command line; shrinking drops whole groups but the first.
    files : mapping of str to dict
        Named arrays that are written as JSON before.
    code : str
        Python code instead of a command line; it may raise errors of offloadopt and nothing else, and count what it
        does in the Counter ``counts``.
    check : callable, optional
        Instead of both, a function of the folder that returns the fault it found, or None.
    statuses : tuple of int
        Exit statuses that are promised.
    limit_s : float
        Seconds after which the try counts as hanging.
    smaller : callable, optional
        Gives smaller tries of this one, in addition to those with fewer arguments.
    """

    arguments: tuple[tuple[str, ...], ...] = ()
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    code: str = ""
    check: Callable[[Path], str | None] | None = None
    statuses: tuple[int, ...] = (DONE, WRONG_USAGE, NO_SOLUTION)
    limit_s: float = 20.0
    smaller: Callable[[Try], Iterator[Try]] | None = None

    @property
    def words(self) -> list[str]:
        return [word for group in self.arguments for word in group]

    @property
    def command(self) -> str:
        """A shell command that shows the try."""
        files = [f"echo {shlex.quote(json.dumps(content))} > {name}" for name, content in self.files.items()]
        run = ["python", "-c", self.code] if self.code else ["offloadopt", *self.words]
        return "; ".join([*files, shlex.join(run)])


def encoded(made: Try) -> str:
    """A try without a function as text, for the pipe to a worker."""
    fields = {"arguments": made.arguments, "files": made.files, "code": made.code}
    text = json.dumps({**fields, "statuses": made.statuses, "limit_s": made.limit_s})
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> Try:
    values = json.loads(base64.b64decode(text))
    values["arguments"] = tuple(map(tuple, values["arguments"]))
    return Try(**{**values, "statuses": tuple(values["statuses"])})
