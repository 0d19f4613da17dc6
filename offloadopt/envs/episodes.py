"""Batches of episodes, stepped slot by slot: the engine of every environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from offloadopt.core import Decisions, Instances, Observation, Outcome, Problem, State
from offloadopt.errors import InvalidInput

BLOCK_SLOTS = 1024
"""Slots of instances that are sampled at once: sampling one by one would take longer than deciding them."""


class Episodes:
    """``count`` synchronous episodes, each with its own instance.

    Instances end with the horizon. The observation after the last slot therefore combines the state after that slot
    (buffers, batteries: exact) with the exogenous values of the last slot (channel, harvest, price), which stand for
    the unknown next ones. A learner that bootstraps with the value of this observation still compares actions without
    bias, because these values are the same for all actions. The value itself has the correct mean over episodes as far
    as it is linear in exogenous values whose distribution is stationary. Slowly changing fading and positions are
    approximated well; a fresh sample would be the better approximation for harvest alone.

    Parameters
    ----------
    problem : Problem
    count : int
    seed : int
        Seed of the instances; every `begin` takes the next ``count`` of them.
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
        """Restart the sequence of instances from this seed."""
        self._batches = instance_batches(self.problem, self.count, seed)

    def begin(self) -> None:
        """Begin new episodes on the next instances."""
        self._instances = next(self._batches)
        self._state = self.problem.reset(self._instances)
        self._observation = self.problem.observe(self._instances, self._state)

    def step(self, decision: Decisions) -> Outcome:
        """Apply the decisions of one slot, which must lie within their limits."""
        instances, state = self.require_running()
        self._state, outcome = self.problem.step(instances, state, decision)
        # Instances end with the horizon: the last state is observed with the last slot's exogenous values.
        observed = State(min(self._state.slot, self.problem.horizon - 1), self._state.values)
        self._observation = self.problem.observe(instances, observed)
        return outcome

    def require_running(self) -> tuple[Instances, State]:
        """Return instances and state; refuse if no episode has begun or all slots have been decided."""
        if self._instances is None or self._state is None:
            raise InvalidInput("no episode has begun; allowed: reset first")
        if self.ended:
            raise InvalidInput("step after the horizon's end; allowed: reset first")
        return self._instances, self._state

    @property
    def observation(self) -> Observation:
        """Observation of the slot to be decided, ``[count, ...]``."""
        if self._observation is None:
            raise InvalidInput("no episode has begun; allowed: reset first")
        return self._observation

    @property
    def ended(self) -> bool:
        """Whether the last slot has been decided."""
        return self._state is not None and self._state.slot >= self.problem.horizon

    @property
    def terminated(self) -> bool:
        """Whether the episodes ended in a terminal state: those of a one-shot problem do."""
        return self.ended and self.problem.horizon == 1

    @property
    def truncated(self) -> bool:
        """Whether the horizon cut the episodes off while the process would go on, so that learners bootstrap."""
        return self.ended and self.problem.horizon > 1


def instance_batches(problem: Problem[Any], count: int, seed: int) -> Iterator[Instances]:
    """Yield batches of ``count`` new instances without end."""
    batches = max(1, BLOCK_SLOTS // (count * problem.horizon))
    sequence = np.random.SeedSequence(seed)
    while True:
        (child,) = sequence.spawn(1)
        block = problem.sample(batches * count, int(child.generate_state(1, np.uint64)[0]))
        for first in range(0, batches * count, count):
            yield block.take(slice(first, first + count))
