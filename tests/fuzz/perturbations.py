"""Random decisions near a given one, within the limits of their fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ArrayField, Decisions, Instances, Problem
from offloadopt.structures.assignment import AssignmentProblem

SCALES = (1e-9, 1e-6, 1e-3, 0.1, 1.0)
"""Standard deviations of the logarithms of factors."""


def perturbed(
    problem: Problem[Any], instance: Instances, decisions: Decisions, count: int, rng: np.random.Generator
) -> Decisions:
    """Draw ``count`` decisions; some are infeasible.

    Whole numbers change at some places; real numbers are multiplied, moved from one place to another, or set to a
    limit. Where the problem allocates what an assignment needs, a third of the decisions is allocated anew.
    """
    many = {name: np.repeat(values, count, axis=0) for name, values in decisions.items()}
    for name, field in problem.decision_fields.items():
        change = _whole if field.integer else _real
        many[name] = change(field, many[name], rng)
    if not isinstance(problem, AssignmentProblem) or problem.horizon > 1:
        return Decisions(many)
    some = count // 3
    copies = instance.take(np.zeros(some, dtype=np.int64))
    allocated = problem.allocate(copies, problem.assignment(Decisions(many).take(slice(some))))
    return Decisions.concatenate([allocated, Decisions(many).take(slice(some, None))])


def _whole(field: ArrayField, values: Any, rng: np.random.Generator) -> Any:
    """Draw entries anew: none in half of the decisions, in the others each with a chance."""
    count, ndim = len(values), values.ndim
    chance = np.where(rng.random(count) < 0.5, 0.0, rng.choice((0.1, 0.3, 1.0), count))
    fresh = rng.integers(int(field.low), int(field.high) + 1, values.shape)
    return np.where(rng.random(values.shape) < chance.reshape(-1, *(1,) * (ndim - 1)), fresh, values)


def _real(field: ArrayField, values: Any, rng: np.random.Generator) -> Any:
    """Multiply entries, move amounts between two of the last axis, and set some to a limit."""
    each = (len(values), *(1,) * (values.ndim - 1))
    factor = np.exp(rng.choice(SCALES, each) * rng.normal(size=values.shape))
    made = np.where(rng.random(values.shape) < rng.choice((0.3, 1.0), each), values * factor, values)
    size = values.shape[-1]
    if size > 1:
        moved = rng.random(each) * rng.choice((0.0, 0.0, 1e-6, 0.1, 1.0), each)
        source, target = (np.broadcast_to(rng.integers(size, size=each), (*values.shape[:-1], 1)) for _ in range(2))
        amount = np.take_along_axis(made, source, axis=-1) * moved
        np.put_along_axis(made, source, np.take_along_axis(made, source, axis=-1) - amount, axis=-1)
        np.put_along_axis(made, target, np.take_along_axis(made, target, axis=-1) + amount, axis=-1)
    high = field.high if np.isfinite(field.high) else 2.0 * np.abs(values).max(initial=1.0)
    limits = np.where(rng.random(values.shape) < 0.5, field.low, high)
    made = np.where(rng.random(values.shape) < rng.choice((0.0, 0.0, 0.2, 1.0), each), limits, made)
    return np.clip(made, field.low, high)
