"""How a clause of the contract is checked and, where it does not hold, named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import (
    ArrayField,
    Batch,
    Decisions,
    FloatArray,
    Instances,
    Observation,
    Outcome,
    Problem,
    Solutions,
    State,
)
from offloadopt.errors import InvalidInput

COUNT = 4
"""Instances in each check: enough to tell a batch from its rows."""
SAME = 1e-12
"""Relative difference allowed where only the order of a sum may differ."""


class ConformanceError(AssertionError):
    """A clause of the contract that does not hold."""


@dataclass(frozen=True)
class Slot:
    """One slot of a rollout: the state and observation before the decision, the decision and its outcome."""

    state: State
    observation: Observation
    decision: Decisions
    outcome: Outcome


@dataclass(frozen=True)
class Rollout:
    """Instances, decisions over the whole horizon, and the resulting slots."""

    instances: Instances
    decisions: Decisions
    slots: tuple[Slot, ...]


def record_rollout(problem: Problem[Any], instances: Instances, decisions: Decisions) -> Rollout:
    """Apply decisions slot by slot and record observations and outcomes."""
    state, slots = problem.reset(instances), list[Slot]()
    for slot in range(problem.horizon):
        decision = decisions if problem.horizon == 1 else decisions.at_slot(slot)
        following, outcome = problem.step(instances, state, decision)
        slots.append(Slot(state, problem.observe(instances, state), decision, outcome))
        state = following
    return Rollout(instances, decisions, tuple(slots))


def named(outcome: Outcome) -> Batch:
    """Return all arrays of an outcome by name."""
    violations = {f"violation {name}": array for name, array in outcome.violations.items()}
    metrics = {f"metric {name}": array for name, array in outcome.metrics.items()}
    return Batch({"cost": outcome.cost, "agent_cost": outcome.agent_cost, **violations, **metrics})


def bytes_of(batch: Batch) -> dict[str, bytes]:
    """Return the bytes of every array."""
    return {name: array.tobytes() for name, array in batch.items()}


def close(first: FloatArray, second: FloatArray, rtol: float) -> bool:
    """Tell whether two arrays are equal up to ``rtol`` of their entries, or of the largest one."""
    scale = np.abs(second[np.isfinite(second)]).max(initial=0.0)
    return first.shape == second.shape and np.allclose(first, second, rtol=rtol, atol=rtol * scale)


def check_fields(what: str, batch: Batch, fields: Mapping[str, ArrayField], count: int, horizon: int = 1) -> None:
    """Check names, count, shapes and limits of arrays; of one slot unless a horizon is given."""
    missing = {name for name, spec in fields.items() if not spec.optional} - set(batch)
    must(not missing, f"{what}: array {min(missing, default='')!r} is missing")
    for name, array in batch.items():
        must(name in fields, f"{what}: array {name!r} is not declared")
        must(len(array) == count, f"{what}: {name} has {len(array)} rows for {count} instances")
        try:
            fields[name].check(name, array, horizon)
        except InvalidInput as error:
            raise ConformanceError(f"{what}: {error}") from None


def must_have_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Check that an array has a shape, and neither NaN nor infinite values."""
    must(array.shape == shape, f"{name} has shape {list(array.shape)}; allowed: {list(shape)}")
    must(bool(np.isfinite(array).all()), f"{name} holds NaN or infinite values")


def must(holds: bool, clause: str) -> None:
    """Raise `ConformanceError` with the clause unless it holds."""
    if not holds:
        raise ConformanceError(clause)


def must_match(first: Batch, second: Batch, clause: str) -> None:
    """Check that two batches hold the same names and values, up to the order of sums."""
    must(set(first) == set(second), f"{clause}: other names")
    for name in first:
        must(close(first[name], second[name], SAME), f"{clause}: {name}")


def must_repeat(first: Solutions, second: Solutions, what: str) -> None:
    """Check that two solutions hold the same bytes, apart from run times."""
    must(bytes_of(first.decisions) == bytes_of(second.decisions), f"{what} gives other decisions")
    for name in ("objective", "bound", "status"):
        same = getattr(first, name).tobytes() == getattr(second, name).tobytes()
        must(same, f"{what} gives another {name}")


def must_refuse(what: str, call: Callable[[], object], kind: type[InvalidInput] = InvalidInput) -> None:
    """Check that a call is refused by an error of ``kind``, whose message is one line by itself."""
    try:
        call()
    except kind:
        return
    except Exception as error:
        raise ConformanceError(f"{what} raises {type(error).__name__}, not {kind.__name__}: {error}") from error
    raise ConformanceError(f"{what} is not refused")
