"""How a clause of the contract is checked and, where it does not hold, named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from offloadopt.core import ArrayField, Batch, FloatArray, Outcome, Solutions
from offloadopt.errors import InvalidInput

COUNT = 4
"""Instances in each check: enough to tell a batch from its rows."""
SAME = 1e-12
"""Relative difference allowed where only the order of a sum may differ."""


class ConformanceError(AssertionError):
    """A clause of the contract that does not hold."""


def named(outcome: Outcome) -> Batch:
    """All arrays of an outcome."""
    violations = {f"violation {name}": array for name, array in outcome.violations.items()}
    metrics = {f"metric {name}": array for name, array in outcome.metrics.items()}
    return Batch({"cost": outcome.cost, "agent_cost": outcome.agent_cost, **violations, **metrics})


def bytes_of(batch: Batch) -> dict[str, bytes]:
    """The bytes of every array."""
    return {name: array.tobytes() for name, array in batch.items()}


def close(first: FloatArray, second: FloatArray, rtol: float) -> bool:
    """Whether two arrays are equal up to ``rtol`` of their entries, or of the largest one."""
    scale = np.abs(second[np.isfinite(second)]).max(initial=0.0)
    return first.shape == second.shape and np.allclose(first, second, rtol=rtol, atol=rtol * scale)


def check_fields(what: str, batch: Batch, fields: Mapping[str, ArrayField], count: int, horizon: int = 1) -> None:
    """Names, count, shapes and limits of arrays; of one slot unless a horizon is given."""
    missing = {name for name, spec in fields.items() if not spec.optional} - set(batch)
    must(not missing, f"{what}: array {min(missing, default='')!r} is missing")
    for name, array in batch.items():
        must(name in fields, f"{what}: array {name!r} is not declared")
        must(len(array) == count, f"{what}: {name} has {len(array)} rows for {count} instances")
        try:
            fields[name].check(name, array, horizon)
        except InvalidInput as error:
            raise ConformanceError(f"{what}: {error}") from None


def must(holds: bool, clause: str) -> None:
    """Name the clause unless it holds."""
    if not holds:
        raise ConformanceError(clause)


def must_match(first: Batch, second: Batch, clause: str) -> None:
    """Two batches hold the same names and values, up to the order of sums."""
    must(set(first) == set(second), f"{clause}: other names")
    for name in first:
        must(close(first[name], second[name], SAME), f"{clause}: {name}")


def must_repeat(first: Solutions, second: Solutions, what: str) -> None:
    """Two solutions hold the same bytes; how long they took does not count."""
    must(bytes_of(first.decisions) == bytes_of(second.decisions), f"{what} gives other decisions")
    for name in ("objective", "bound", "status"):
        same = getattr(first, name).tobytes() == getattr(second, name).tobytes()
        must(same, f"{what} gives another {name}")


def must_refuse(what: str, call: Callable[[], object], kind: type[InvalidInput] = InvalidInput) -> None:
    """A call is refused with one line, by an error of ``kind``."""
    try:
        call()
    except kind as error:
        must("\n" not in str(error), f"{what} is refused with more than one line")
    except Exception as error:
        raise ConformanceError(f"{what} raises {type(error).__name__}, not {kind.__name__}: {error}") from error
    else:
        raise ConformanceError(f"{what} is not refused")
