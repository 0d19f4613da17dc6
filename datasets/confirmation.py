"""Confirmation of demonstrations that were read: what they claim is what the problem says of them.

A digest shows damage, not changes: who edits a file can renew it. All rows are confirmed, not a sample of them:
``evaluate`` and ``observe`` of a shard take a tenth of a millisecond to 20 ms a row, about as much as reading it, or
up to three times that, and a small part of what an expert takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offloadopt.core import (
    ROUNDING,
    Decisions,
    Demonstrations,
    Instances,
    Observation,
    Problem,
    Solutions,
    Status,
)
from offloadopt.errors import InvalidInput


def observations_along(problem: Problem[Any], instances: Instances, decisions: Decisions) -> Observation:
    """Compute the observations before each decision: ``[count, ...]``, or ``[count, horizon, ...]`` with a horizon."""
    state, observations = problem.reset(instances), []
    for slot in range(problem.horizon):
        observations.append(problem.observe(instances, state))
        if slot + 1 < problem.horizon:
            state, _ = problem.step(instances, state, decisions.at_slot(slot))
    return observations[0] if problem.horizon == 1 else Observation.over_slots(observations)


def require_solutions(solutions: Solutions) -> None:
    """Refuse arrays that no method returns, whatever the problem."""
    count = len(solutions.objective)
    types = {"objective": np.float64, "bound": np.float64, "status": np.uint8, "seconds": np.float64}
    for name, kind in types.items():
        values = getattr(solutions, name)
        if (values.dtype, values.shape) != (kind, (count,)):
            raise InvalidInput(f"{name} is {values.dtype} {list(values.shape)}; allowed: {np.dtype(kind)} [{count}]")
    if not np.isin(solutions.status, list(Status)).all():
        raise InvalidInput(f"status holds {solutions.status.max()}; allowed: {min(Status)} to {max(Status)}")
    if not (np.isfinite(solutions.seconds) & (solutions.seconds >= 0)).all():
        raise InvalidInput("seconds holds negative or infinite values; allowed: 0 or more")
    if not ((solutions.bound <= solutions.objective) & (solutions.objective > -np.inf)).all():
        raise InvalidInput("a bound lies above its objective, or an objective is no number")


def require_confirmed(problem: Problem[Any], found: Demonstrations, asked_gap: float) -> None:
    """Refuse demonstrations of which the problem says something else: limits, costs, proofs and observations.

    Parameters
    ----------
    problem : Problem
    found : Demonstrations
    asked_gap : float
        Relative gap that the expert was asked for.
    """
    solutions = found.solutions
    _require_fields(problem.check_instances(found.instances), found.instances)
    _require_fields(problem.check_decisions(solutions.decisions, found.instances.count), solutions.decisions)
    again = Solutions.scored(
        problem, found.instances, solutions.decisions, seconds=0.0, bound=solutions.bound, asked_gap=asked_gap
    )
    _require_close("objective", again.objective, solutions.objective)
    _require_close("bound", again.bound, solutions.bound)
    # A solver may name only a decision that is optimal as optimal.
    bounded = (again.status == Status.OPTIMAL) & (solutions.status == Status.BOUNDED) & (again.gap > ROUNDING)
    if not ((again.status == solutions.status) | bounded).all():
        raise InvalidInput("a status is not the one that follows from its objective and bound")
    observed = observations_along(problem, found.instances, solutions.decisions)
    _require_fields(observed, found.observations)
    for name, values in observed.items():
        _require_close(name, values, found.observations[name])


def _require_fields(wanted: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> None:
    """Refuse arrays of other names, types or shapes."""
    if wanted.keys() != found.keys():
        raise InvalidInput(f"it holds {', '.join(found)}; allowed: {', '.join(wanted)}")
    for name, values in wanted.items():
        if (values.dtype, values.shape) != (found[name].dtype, found[name].shape):
            was, now = found[name], values
            raise InvalidInput(f"{name} is {was.dtype} {list(was.shape)}; allowed: {now.dtype} {list(now.shape)}")


def _require_close(name: str, wanted: ArrayLike, found: ArrayLike) -> None:
    """Refuse numbers that differ by more than two machines' rounding."""
    close = np.isclose(wanted, found, rtol=ROUNDING, atol=0.0)
    if not close.all():
        place = np.unravel_index(int(np.argmin(close)), close.shape)
        was, now = np.asarray(found)[place], np.asarray(wanted)[place]
        raise InvalidInput(f"{name} is {was:g} in row {place[0]}; allowed: {now:g}")
