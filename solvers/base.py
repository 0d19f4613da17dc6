"""Base classes of solvers, with the loops over instances, over blocks of instances and over independent slots.

Each loop measures run times, keeps time limits and reports progress. Ctrl-C ends a loop whose solver checks deadlines:
`Interrupted` then holds what was found until then.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from offloadopt.clock import Deadline, clock
from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    Interrupted,
    Observation,
    Problem,
    Progress,
    Solutions,
    Solver,
    rollout,
)
from offloadopt.interrupts import interrupt, interrupted, interruptible
from offloadopt.progress import begin_search
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

        def apply(block: Instances, rng: np.random.Generator) -> tuple[Decisions, None]:
            return rollout(problem, block, partial(self.decide, problem, rng=rng)), None

        return solve_blocks(self, problem, instances, self.block_size(problem), apply, seed, progress)


@dataclass(frozen=True)
class Found:
    """What the searches of all instances have found.

    Attributes
    ----------
    decisions : Decisions
    bound : array [count], optional
        Proved lower bounds.
    details : mapping of str to array [count, ...]
    """

    decisions: Decisions
    bound: FloatArray | None = None
    details: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Searches(Protocol):
    """The searches of several instances, which share what is computed for all of them at once."""

    def search(self, row: int, deadline: Deadline) -> None:
        """Search one instance until it is solved or the deadline passes, which every phase checks."""

    def found(self) -> Found:
        """Return what was found; an instance that was not searched has a decision that needs no search."""


class InstanceSolver(Solver):
    """Base class of solvers that search one instance after the other, each with its own time limit."""

    @abstractmethod
    def searches(self, problem: Any, instances: Instances, seed: int) -> Searches:
        """Prepare the searches of all instances."""

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Search instance by instance; independent slots are searched one by one and share their instance's limit."""
        self.require(problem)
        if isinstance(problem, SlotwiseProblem) and problem.horizon > 1:
            run = partial(self._run, slots=problem.horizon)
            return keep_what_was_found(partial(_solve_slots, self, problem, instances, seed, progress, run))
        return keep_what_was_found(partial(self._run, problem, instances, seed=seed, progress=progress))

    def _run(
        self, problem: Problem[Any], instances: Instances, *, seed: int, progress: Progress | None, slots: int = 1
    ) -> Solutions:
        """Search every instance of one slot, of which so many share a time limit: each has its part of the rest."""
        begin, seconds, limit = clock(), np.zeros(instances.count), Deadline()
        searches = self.searches(problem, instances, seed)
        for row in range(instances.count):
            begin_of_row = clock()
            begin_search(f"search {row + 1} of {instances.count}" if instances.count > 1 else "")
            if row % slots == 0:
                limit = Deadline(self.time_limit_s)
            try:
                searches.search(row, limit.part(1.0 / (slots - row % slots)))
            except KeyboardInterrupt:  # a second Ctrl-C, or one during compilation
                if row == 0:
                    raise
                interrupt()
            seconds[row] = clock() - begin_of_row
            if progress is not None:
                progress(1)
            if interrupted():
                break
        found = searches.found()
        shared = clock() - begin - float(seconds.sum())
        return Solutions.scored(
            problem,
            instances,
            found.decisions,
            seconds=seconds + max(shared, 0.0) / max(instances.count, 1),
            bound=found.bound,
            asked_gap=self.relative_gap,
            details=found.details,
        )


def keep_what_was_found(run: Callable[[], Solutions]) -> Solutions:
    """Run a search whose deadlines Ctrl-C makes pass; raise `Interrupted` with its solutions if that happened."""
    with interruptible():
        solutions = run()
        if interrupted():
            raise Interrupted(solutions)
    return solutions


def solve_blocks(
    solver: Solver,
    problem: Problem[Any],
    instances: Instances,
    size: int,
    solve: Callable[[Instances, np.random.Generator], tuple[Decisions, FloatArray | None]],
    seed: int,
    progress: Progress | None,
) -> Solutions:
    """Solve blocks of at most ``size`` instances by ``solve``, which gives their decisions and bounds.

    Every block has its own random stream, so that an instance's solution depends on the seed and its index alone. After
    Ctrl-C the solutions of the blocks that are finished remain; where deadlines pass then, also that of the block it
    was in.
    """
    starts = range(0, max(instances.count, 1), size)
    solutions = list[Solutions]()
    for start, stream in zip(starts, np.random.SeedSequence(seed).spawn(len(starts)), strict=True):
        block, begin = instances.take(slice(start, start + size)), clock()
        try:
            decisions, bound = solve(block, np.random.default_rng(stream))
        except KeyboardInterrupt:
            if not solutions:
                raise
            raise Interrupted(Solutions.concatenate(solutions)) from None
        seconds = (clock() - begin) / max(block.count, 1)
        solutions.append(
            Solutions.scored(problem, block, decisions, seconds=seconds, bound=bound, asked_gap=solver.relative_gap)
        )
        if progress is not None and block.count > 0:
            progress(block.count)
        if interrupted():
            break
    return Solutions.concatenate(solutions)


def solve_slots(
    solver: Solver, problem: SlotwiseProblem[Any], instances: Instances, seed: int, progress: Progress | None
) -> Solutions:
    """Solve every slot of every instance on its own, where slots are independent and share the time limit evenly.

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
    limit_s = solver.time_limit_s
    hurried = solver if limit_s is None else solver.replace(time_limit_s=limit_s / problem.horizon)
    return keep_what_was_found(partial(_solve_slots, solver, problem, instances, seed, progress, hurried.run))


def _solve_slots(
    solver: Solver,
    problem: SlotwiseProblem[Any],
    instances: Instances,
    seed: int,
    progress: Progress | None,
    run: Callable[..., Solutions],
) -> Solutions:
    done = 0

    def slots_done(slots: int) -> None:
        nonlocal done
        before, done = done // problem.horizon, done + slots
        if progress is not None and done // problem.horizon > before:
            progress(done // problem.horizon - before)

    try:
        single = run(problem.one_slot, problem.slots(instances), seed=seed, progress=slots_done)
    except Interrupted as stopped:
        count = len(stopped.solutions.objective) // problem.horizon
        if count == 0:
            raise KeyboardInterrupt from None
        single, instances = stopped.solutions.take(slice(count * problem.horizon)), instances.take(slice(count))

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
