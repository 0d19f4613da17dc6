"""Training progress: budget accounting, callbacks, checkpoints, and the names of what is recorded.

What learners hand to ``record`` is named

==========================  ========================================================================================
name                        what it is
==========================  ========================================================================================
``episode/cost``            mean cost of one agent in one slot of the training's episodes, exploration included
``episode/objective``       mean objective of these episodes, as `offloadopt.core.Problem.evaluate` charges it
``episode/<metric>``        mean of each of the problem's metrics over these episodes
``train/<quantity>``        what the latest update measured: ``actor_loss``, ``critic_loss``, ``value``, ``entropy``,
                            ``approx_kl``, ``clip_fraction``, ``explained_variance``, ``imitation_error``, ``reward``
                            (what was learned from, without the settlement of a horizon's end) and so on
``communication/<bytes>``   bytes that agents have sent and received in training so far
==========================  ========================================================================================

A learner records those that it has.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from offloadopt.core import Budget, Outcome, Progress, Record
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.torch_utils import Arrays

REPORT_EVERY = 10
"""Iterations between two reports of progress, and between two points of the curves."""
SAVE_EVERY_S = 5.0
"""Seconds between two states in a checkpoint. Their times never change what is learned."""
Measure = Callable[[], Mapping[str, float]]
"""Measures what is to be recorded; called only where something is recorded."""


class TrainingProgress:
    """Count iterations and decisions of one training, call its callbacks and write its checkpoints.

    A learner counts in iterations of its own: decisions in learning by interaction, gradient steps in supervised
    learning. The budget, ``progress`` and ``record`` count decisions of single agents (`offloadopt.core.Budget`).

    Parameters
    ----------
    begin : float
        ``time.monotonic()`` from which the budget's seconds count.
    iterations : int
        Iterations without a budget in steps.
    budget : Budget, optional
    progress, record : callable, optional
        As in `offloadopt.core.Learner.fit`.
    checkpoint : Checkpoint, optional
        Its iterations and steps count as done.
    decisions : int
        Decisions in an iteration; a budget in steps is rounded up to whole iterations.

    Attributes
    ----------
    total : int
        Number of the last iteration, unless time is over before.
    iteration : int
        Iterations done.
    step : int
        Decisions done.
    """

    def __init__(
        self,
        begin: float,
        iterations: int,
        budget: Budget | None = None,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Checkpoint | None = None,
        *,
        decisions: int = 1,
    ) -> None:
        budget = budget or Budget()
        self.total = iterations if budget.steps is None else -(-budget.steps // decisions)
        self.iteration = 0 if checkpoint is None else checkpoint.iteration
        self.step = 0 if checkpoint is None else checkpoint.step
        self._decisions = decisions
        self._begin = begin - (0.0 if checkpoint is None else checkpoint.seconds)
        self._seconds = math.inf if budget.seconds is None else budget.seconds
        self._progress, self._record, self._checkpoint = progress, record, checkpoint
        self._saved = begin
        self._reported = self._reported_step = 0
        self._report()

    @property
    def left(self) -> int:
        """Iterations that the budget's steps leave."""
        return self.total - self.iteration

    @property
    def spent(self) -> float:
        """Share of the budget that is spent, 1 or more at its end: of steps or seconds, whichever is nearer to it."""
        return max(self.iteration / self.total, (time.monotonic() - self._begin) / self._seconds)

    def advance(self, iterations: int, measure: Measure | None, *, decisions: int | None = None) -> None:
        """Count iterations; every `REPORT_EVERY` of them report progress and record what ``measure`` finds.

        Parameters
        ----------
        iterations : int
        measure : callable, optional
            None: there is nothing to record.
        decisions : int, optional
            Decisions in all of them together, if it is not the number that the training began with.
        """
        self.iteration += iterations
        self.step += iterations * self._decisions if decisions is None else decisions
        if self.iteration // REPORT_EVERY > self._reported // REPORT_EVERY:
            self._report()
            if self._record is not None and measure is not None:
                self._record(self.step, measure())

    def finish(self, state: Callable[[], Arrays]) -> None:
        """Report the last steps and keep the final state."""
        self._report()
        self.keep(state, now=True)

    def _report(self) -> None:
        if self._progress is not None and self.step > self._reported_step:
            self._progress(self.step - self._reported_step)
        self._reported, self._reported_step = self.iteration, self.step

    def keep(self, state: Callable[[], Arrays], *, now: bool = False) -> None:
        """Write the state to the checkpoint if the last one is old, or ``now``."""
        if self._checkpoint is None:
            return
        time_now = time.monotonic()
        if now or time_now - self._saved >= SAVE_EVERY_S:
            self._checkpoint.write(self.iteration, self.step, time_now - self._begin, state())
            self._saved = time.monotonic()


def episode_metrics(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Compute what is recorded of episodes: ``episode/cost``, ``episode/objective`` and the problem's metrics.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all slots of the episodes, which are decided side by side.
    """
    total = Outcome.total(outcomes)
    objective = float(total.cost.mean())
    return {
        "episode/cost": objective / (len(outcomes) * total.agent_cost.shape[-1]),
        "episode/objective": objective,
        **{f"episode/{name}": float(values.mean()) for name, values in total.metrics.items()},
    }


def measurements(
    outcomes: Sequence[Outcome], measured: Mapping[str, Tensor], communication: Mapping[str, float]
) -> dict[str, float]:
    """Join what is recorded at the end of episodes: their metrics, the latest update's numbers, bytes."""
    return {
        **episode_metrics(outcomes),
        **{name: float(value) for name, value in measured.items()},
        **communication,
    }


def minibatches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of row numbers; every pass over all rows has an order of its own and drops its remainder."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % size].split(size)
