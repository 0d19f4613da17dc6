"""What came out of a try, and whether it is a fault."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fuzz.tries import Try
from offloadopt.errors import MAX_MESSAGE

ABOVE = 1e-6
"""Relative excess of a bound over an objective that rounding may explain (offloadopt's own checks are stricter)."""


@dataclass(frozen=True)
class Result:
    """What a command did: its status, both streams, warnings from our code, an escaped exception, and counts."""

    status: int
    out: str
    err: str
    warnings: tuple[str, ...] = ()
    escaped: str = ""
    counts: Counter[str] = field(default_factory=Counter)


def fault_of(made: Try, result: Result) -> str | None:
    """Name the fault in one line, or None."""
    if result.escaped:
        return f"escaped {result.escaped}"
    if result.warnings:
        return f"warning {result.warnings[0]}"
    errors = [line for line in result.err.splitlines() if line.startswith("error:")]
    for word in ("unexpected ", "Traceback", "RuntimeWarning", "above the cost"):
        if word in result.err:
            return f"stderr holds {word.strip()}: {_shown(next(li for li in result.err.splitlines() if word in li))}"
    if result.status not in made.statuses:
        return f"status {result.status}: {_shown(result.err)}"
    if len(errors) > 1:
        return f"{len(errors)} error lines"
    long = [line for line in result.err.splitlines() if len(line.removeprefix("error: ")) > MAX_MESSAGE]
    if long:
        return f"a line of {len(long[0])} characters: {_shown(long[0])}"
    return _fault_of_json(result.out) if "--json" in made.words and result.status in (0, 3) else None


def _fault_of_json(text: str) -> str | None:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} in the JSON")

    try:
        found = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        return f"stdout is no JSON: {error}"
    for row in found.get("results", ()):
        if above(row["bound"], row["objective"]):
            return f"bound {row['bound']!r} above objective {row['objective']!r}"
    return None


def above(bound: Any, objective: Any) -> bool:
    """Whether a bound is above an objective by more than rounding; None is no number."""
    if bound is None or objective is None or not math.isfinite(bound):
        return False
    return bool(bound - objective > ABOVE * max(abs(bound), abs(objective)))


def _shown(text: str) -> str:
    return " ".join(text.split())[:160]
