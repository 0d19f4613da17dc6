"""Random values of settings' fields: within their limits, at them, and far outside; of a wrong type now and then."""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from offloadopt import registry
from offloadopt.core import Settings

from toys.small_problems import SMALL

WRONG = (
    "",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1",
    "0",
    "1e-308",
    "1e999",
    "none",
    "x" * 3000,
    "[]",
    "[1,2]",
    "[" * 5000,
    "{}",
)
SLOW = ("exhaustive", "minlp", "milp", "grid-milp", "dynamic-programming")
"""Solvers that take seconds also for small problems: they are tried seldom."""


def field_value(rng: random.Random, field: FieldInfo) -> str:
    """A value for a field as the command line has it."""
    if rng.random() < 0.12:
        return rng.choice(WRONG)
    default = field.default
    numbers = default if isinstance(default, tuple) else (default,)
    if isinstance(default, bool):
        return rng.choice(("true", "false"))
    if not all(isinstance(number, (int, float)) for number in numbers):
        return rng.choice([*(str(value) for value in get_args(field.annotation) if isinstance(value, str)), "none"])
    made = [_number(rng, number, *limits_of(field)) for number in numbers]
    return f"[{','.join(made)}]" if isinstance(default, tuple) else made[0]


def limits_of(field: FieldInfo) -> tuple[float, float]:
    """Inclusive limits of a field, infinite where there are none."""
    low, high = -math.inf, math.inf
    for mark in (*field.metadata, *_marks(field.annotation)):
        low = float(getattr(mark, "ge", getattr(mark, "gt", low))) if isinstance(mark, (Ge, Gt)) else low
        high = float(getattr(mark, "le", getattr(mark, "lt", high))) if isinstance(mark, (Le, Lt)) else high
    return low, high


def _marks(annotation: Any) -> list[Any]:
    found = [mark for inner in getattr(annotation, "__metadata__", ()) for mark in getattr(inner, "metadata", ())]
    return found + [mark for part in get_args(annotation) for mark in _marks(part) if not isinstance(part, str)]


def _number(rng: random.Random, default: float, low: float, high: float) -> str:
    """A number near the default, at a limit, or anywhere between the limits on a logarithmic scale."""
    whole = isinstance(default, int)
    kind = rng.random()
    if kind < 0.2 and not whole and math.isfinite(low):
        return repr(low)
    if kind < 0.4 and not whole and math.isfinite(high):
        return repr(high)
    if whole:
        return str(rng.choice((default, 1, 2, 3, int(low) if math.isfinite(low) else 0)))
    if low < 0:
        return repr(rng.uniform(max(low, -1e9), min(high, 1e9)))
    least, most = max(low, 1e-15), min(high, 1e18)
    if kind < 0.6 and default > 0:
        return repr(min(max(default * 10.0 ** rng.uniform(-4, 4), least), most))
    return repr(math.exp(rng.uniform(math.log(least), math.log(most))))


@cache
def served(problem: str, group: str = "solvers") -> list[str]:
    """Methods that serve the small problem, by name."""
    made = registry.problem(problem, **SMALL[problem])
    return [name for name in registry.names(group) if registry.serves(group, name, made)]


@cache
def solver_type(problem: str, name: str) -> type[Settings]:
    found: type[Settings] = registry.serving("solvers", name, registry.problem(problem, **SMALL[problem]))
    return found


def solver(rng: random.Random, problem: str) -> str:
    names = served(problem)
    quick = [name for name in names if name not in SLOW]
    return rng.choice(names if rng.random() < 0.1 else quick)


def named(solver: str) -> list[tuple[str, str]]:
    """The arguments that name a solver; a rule is not tuned, which takes seconds."""
    return [("--solver", solver), *([("--option", "v=1")] if solver == "lyapunov" else [])]


def small(problem: str) -> list[tuple[str, str]]:
    """The arguments that make a problem small."""
    return [("--set", f"{name}={value}") for name, value in SMALL[problem].items()]


def scenario_changes(rng: random.Random, problem: str, most: int = 3) -> list[tuple[str, str]]:
    """Changed fields of a scenario; the sizes stay small unless they are wrong."""
    fields = registry.get("problems", problem).scenario_type.model_fields
    names = rng.sample([name for name in fields if not name.endswith("_file")], rng.randint(1, most))
    return [("--set", f"{name}={field_value(rng, fields[name])}") for name in names]
