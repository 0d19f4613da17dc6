"""Make a failing try small: drop what the fault does not need, and simplify the values that it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from fuzz.tries import Try

ATTEMPTS = 60
KEEP = ("--seconds", "--steps", "--time-limit")
"""Arguments that are not dropped: without them a fault of a short try becomes one of a whole training."""


def shrink(made: Try, fault: str, run: Callable[[Try], str | None], attempts: int = ATTEMPTS) -> Try:
    """Return the smallest try found that shows the same kind of fault."""
    kind = kind_of(fault)
    progress = True
    while progress and attempts > 0:
        progress = False
        for smaller in _smaller(made):
            attempts -= 1
            found = run(smaller)
            if found is not None and kind_of(found) == kind:
                made, progress = smaller, True
                break
            if attempts <= 0:
                break
    return made


def kind_of(fault: str) -> tuple[str, ...]:
    """The first words of a fault: what happened, and the exception that escaped."""
    words = fault.split()
    return tuple(words[: 2 if words[0] == "escaped" else 1])


def _smaller(made: Try) -> Iterator[Try]:
    if made.smaller is not None:
        yield from made.smaller(made)
        return
    groups = made.arguments
    for dropped in range(1, len(groups)):
        if groups[dropped][0] in KEEP:
            continue
        yield dataclasses.replace(made, arguments=groups[:dropped] + groups[dropped + 1 :])
    for name, content in made.files.items():
        for array in content:
            fewer = {other: values for other, values in content.items() if other != array}
            yield dataclasses.replace(made, files={**made.files, name: fewer})
    for at, group in enumerate(groups):
        simple = _simpler(group[-1])
        if at > 0 and simple != group[-1]:
            yield dataclasses.replace(made, arguments=(*groups[:at], (*group[:-1], simple), *groups[at + 1 :]))


def _simpler(text: str) -> str:
    """A number with one digit, a shorter text."""
    key, equals, value = text.rpartition("=")
    try:
        short = f"{float(value):.0e}" if len(value) > 6 else value
    except ValueError:
        short = value[: len(value) // 2] if len(value) > 40 else value
    return f"{key}{equals}{short}"
