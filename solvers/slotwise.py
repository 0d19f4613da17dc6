"""A horizon of slots that nature alone connects, solved slot by slot with a solver of single slots."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, Instances, Progress, Solutions, Solver
from offloadopt.structure import SlotwiseProblem


def solve_slots(
    solver: Solver, problem: SlotwiseProblem[Any], instances: Instances, seed: int, progress: Progress | None
) -> Solutions:
    """Every slot of every instance by itself; costs, bounds and times add up.

    ``details`` get a slot axis.
    """
    done = 0

    def slots_done(slots: int) -> None:
        nonlocal done
        before, done = done // problem.horizon, done + slots
        if progress is not None and done // problem.horizon > before:
            progress(done // problem.horizon - before)

    single = solver.run(problem.one_slot, problem.slots(instances), seed=seed, progress=slots_done)

    def folded(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(instances.count, problem.horizon, *values.shape[1:])

    return Solutions.scored(
        problem,
        instances,
        Decisions({name: folded(array) for name, array in single.decisions.items()}),
        seconds=folded(single.seconds).sum(axis=1),
        bound=folded(np.asarray(single.bound)).sum(axis=1),
        asked_gap=solver.relative_gap,
        details={name: folded(array) for name, array in single.details.items()},
    )
