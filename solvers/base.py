"""Rules that decide slot by slot from what may be observed: nothing is searched and nothing is proved."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import Decisions, Instances, Observation, Problem, Progress, Solutions, Solver, rollout
from offloadopt.structures.assignment import SlotwiseProblem

BLOCK_NUMBERS = 2**22
"""Numbers of nature that are worked on at the same time."""


class Rule(Solver):
    """A solver that knows no more than a policy does: one decision a slot, from the slot's observation.

    It works block by block, so that memory stays bounded whatever the number of instances. Every block has a random
    stream of its own and a size that does not depend on the number of instances: more instances extend fewer.
    """

    @abstractmethod
    def decide(self, problem: Any, observation: Observation, rng: np.random.Generator) -> Decisions:
        """The decisions of one slot.

        Parameters
        ----------
        problem : Problem
            With the structure that the rule serves.
        observation : Observation
        rng : numpy.random.Generator
            The block's stream; it stays the same over the slots.
        """

    def block_size(self, problem: Problem[Any]) -> int:
        """Number of instances whose working arrays are held at the same time."""
        fields = problem.instance_fields.values()
        numbers = sum(math.prod(spec.shape) * (problem.horizon if spec.per_slot else 1) for spec in fields)
        return max(1, BLOCK_NUMBERS // max(numbers, 1))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Roll the rule out over the horizon and score its decisions."""
        self.require(problem)
        size = self.block_size(problem)
        starts = range(0, max(instances.count, 1), size)
        solutions = []
        for start, stream in zip(starts, np.random.SeedSequence(seed).spawn(len(starts)), strict=True):
            block, rng = instances.take(slice(start, start + size)), np.random.default_rng(stream)
            begin = clock()
            decisions = rollout(problem, block, partial(self.decide, problem, rng=rng))
            seconds = (clock() - begin) / max(block.count, 1)
            solutions.append(Solutions.scored(problem, block, decisions, seconds=seconds))
            if progress is not None and block.count > 0:
                progress(block.count)
        return Solutions.concatenate(solutions)


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
