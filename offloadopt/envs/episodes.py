"""Instances of a problem, decided slot by slot and side by side: what every environment here steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from offloadopt.core import Decisions, Instances, Observation, Outcome, Problem, State
from offloadopt.errors import InvalidInput

BLOCK_SLOTS = 1024
"""Slots of nature that are sampled at once: drawing instances one by one would take longer than deciding them."""


class Episodes:
    """``count`` episodes that begin and end together, each on an instance of its own.

    Nature is drawn for the horizon and no further. The observation after the last slot therefore joins what that slot
    left behind (buffers, batteries: exact) with the last slot's nature once more (its channel, its harvest, its
    price: a guess at the next ones). A learner that bootstraps with the value of this observation still compares
    actions fairly, because the guess is the same for all of them. Its value as such has the right mean over episodes
    as far as it is linear in a nature whose distribution does not change from slot to slot. Fading and positions that
    change slowly are guessed well; a fresh draw instead would be the better guess for harvest alone.

    Parameters
    ----------
    problem : Problem
    count : int
    seed : int
        Of nature's draws; every `begin` takes the next ``count`` of them.
    """

    def __init__(self, problem: Problem[Any], count: int, seed: int) -> None:
        if count < 1:
            raise InvalidInput(f"count = {count}; allowed: at least one episode")
        self.problem = problem
        self.count = count
        self._instances: Instances | None = None
        self._state: State | None = None
        self._observation: Observation | None = None
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start nature's draws again, from this seed."""
        self._draws = draws(self.problem, self.count, seed)

    def begin(self) -> None:
        """Start new episodes."""
        self._instances = next(self._draws)
        self._state = self.problem.reset(self._instances)
        self._observation = self.problem.observe(self._instances, self._state)

    def step(self, decision: Decisions) -> Outcome:
        """Apply one slot's decisions, which must lie within their limits."""
        instances, state = self.running()
        self._state, outcome = self.problem.step(instances, state, decision)
        # Nature ends with the horizon: the last state is seen under the last slot's nature.
        seen = State(min(self._state.slot, self.problem.horizon - 1), self._state.values)
        self._observation = self.problem.observe(instances, seen)
        return outcome

    def running(self) -> tuple[Instances, State]:
        """Nature and where the episodes stand, refused unless there is a slot to be decided."""
        if self._instances is None or self._state is None:
            raise InvalidInput("no episode has begun; allowed: reset first")
        if self.ended:
            raise InvalidInput("step after the horizon's end; allowed: reset first")
        return self._instances, self._state

    @property
    def observation(self) -> Observation:
        """What may be known now, ``[count, ...]``."""
        if self._observation is None:
            raise InvalidInput("no episode has begun; allowed: reset first")
        return self._observation

    @property
    def ended(self) -> bool:
        """Whether the last slot has been decided."""
        return self._state is not None and self._state.slot >= self.problem.horizon

    @property
    def terminated(self) -> bool:
        """Whether the episodes ended because nothing follows: a one-shot problem is over once it is decided."""
        return self.ended and self.problem.horizon == 1

    @property
    def truncated(self) -> bool:
        """Whether the episodes were cut off by the horizon of a process that would go on: learners bootstrap."""
        return self.ended and self.problem.horizon > 1


def draws(problem: Problem[Any], count: int, seed: int) -> Iterator[Instances]:
    """Endless batches of ``count`` fresh instances."""
    batches = max(1, BLOCK_SLOTS // (count * problem.horizon))
    sequence = np.random.SeedSequence(seed)
    while True:
        (child,) = sequence.spawn(1)
        block = problem.sample(batches * count, int(child.generate_state(1, np.uint64)[0]))
        for first in range(0, batches * count, count):
            yield block.take(slice(first, first + count))
