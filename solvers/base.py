"""Base class of decision rules, and the loops over instances and over independent slots."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import clock
from offloadopt.core import Decisions, FloatArray, Instances, Observation, Problem, Progress, Solutions, Solver, rollout
from offloadopt.structures.assignment import SlotwiseProblem

BLOCK_ENTRIES = 2**22
"""Entries of the instances' arrays that are processed at the same time."""


class Rule(Solver):
    """Base class of online decision rules: one decision per slot, computed from the observation of that slot alone.

    A rule has the information of a policy, searches no horizon and proves no bound. Instances are processed in blocks,
    so that memory is bounded for any number of instances. Every block has its own random stream and a size that does
    not depend on the number of instances: the decisions of the first instances do not change when more are added.
    """

    @abstractmethod
    def decide(self, problem: Any, observation: Observation, rng: np.random.Generator) -> Decisions:
        """Compute the decisions of one slot.

        Parameters
        ----------
        problem : Problem
            A problem of the structure ``serves``.
        observation : Observation
            Arrays ``[count, ...]`` of the block.
        rng : numpy.random.Generator
            The random stream of the block, shared by all its slots.
        """

    def block_size(self, problem: Problem[Any]) -> int:
        """Number of instances that are processed at the same time."""
        fields = problem.instance_fields.values()
        entries = sum(math.prod(spec.shape) * (problem.horizon if spec.per_slot else 1) for spec in fields)
        return max(1, BLOCK_ENTRIES // max(entries, 1))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Apply the rule in every slot of the horizon and evaluate its decisions."""
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


def timed_rows(seconds: FloatArray, progress: Progress | None) -> Iterator[int]:
    """Iterate over the rows of a batch and measure the time that the loop body takes for each.

    Parameters
    ----------
    seconds : array [count]
        Receives the run time of each row in s (`offloadopt.clock`).
    progress : callable or None
        Called with 1 after each row.
    """
    for row in range(len(seconds)):
        begin = clock()
        yield row
        seconds[row] = clock() - begin
        if progress is not None:
            progress(1)


def solve_slots(
    solver: Solver, problem: SlotwiseProblem[Any], instances: Instances, seed: int, progress: Progress | None
) -> Solutions:
    """Solve every slot of every instance on its own, where slots are independent.

    Parameters
    ----------
    solver : Solver
        Solves instances of ``problem.one_slot``.
    problem : SlotwiseProblem
    instances : Instances
    seed : int
    progress : callable or None
        Called with the number of instances of which all slots are solved.

    Returns
    -------
    Solutions
        Costs, bounds and seconds are sums over the slots; every array of ``details`` has a slot axis,
        ``[count, horizon, ...]``.
    """
    done = 0

    def slots_done(slots: int) -> None:
        nonlocal done
        before, done = done // problem.horizon, done + slots
        if progress is not None and done // problem.horizon > before:
            progress(done // problem.horizon - before)

    single = solver.run(problem.one_slot, problem.slots(instances), seed=seed, progress=slots_done)

    def with_slot_axis(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(instances.count, problem.horizon, *values.shape[1:])

    return Solutions.scored(
        problem,
        instances,
        Decisions({name: with_slot_axis(array) for name, array in single.decisions.items()}),
        seconds=with_slot_axis(single.seconds).sum(axis=1),
        bound=with_slot_axis(np.asarray(single.bound)).sum(axis=1),
        asked_gap=solver.relative_gap,
        details={name: with_slot_axis(array) for name, array in single.details.items()},
    )
