"""The course of a training: how far its budget is spent, who is told, and when its state is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from offloadopt.core import Budget, Progress, Record
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.torch_utils import Arrays

REPORT_EVERY = 10
"""Steps between two reports of progress, and between two points of the curves."""
SAVE_EVERY_S = 5.0
"""Seconds between two states in a checkpoint. Their times never change what is learned."""
Measure = Callable[[], Mapping[str, float]]
"""Finds what is to be recorded; called only where something is."""


class Course:
    """Counts the steps of one training.

    Parameters
    ----------
    begin : float
        ``time.monotonic()`` from which the budget's seconds count.
    steps : int
        Steps without a budget.
    budget : Budget, optional
    progress, record : callable, optional
        As in `offloadopt.core.Learner.fit`.
    checkpoint : Checkpoint, optional
        Its steps count as done.

    Attributes
    ----------
    steps : int
        The last step, unless time is over before.
    step : int
        Steps done.
    """

    def __init__(
        self,
        begin: float,
        steps: int,
        budget: Budget | None = None,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        budget = budget or Budget()
        self.steps = steps if budget.steps is None else budget.steps
        self.step = 0 if checkpoint is None else checkpoint.step
        self._begin = begin - (0.0 if checkpoint is None else checkpoint.seconds)
        self._seconds = math.inf if budget.seconds is None else budget.seconds
        self._progress, self._record, self._checkpoint = progress, record, checkpoint
        self._saved = begin
        self._told = 0
        self._tell()

    @property
    def spent(self) -> float:
        """Share of the budget that is spent, 1 or more at its end: of steps or seconds, whichever is nearer to it."""
        return max(self.step / self.steps, (time.monotonic() - self._begin) / self._seconds)

    def advance(self, steps: int, measure: Measure | None) -> None:
        """Count steps and now and then tell about them, with what ``measure``, if given, finds at the last one."""
        self.step += steps
        if self.step // REPORT_EVERY > self._told // REPORT_EVERY:
            self._tell()
            if self._record is not None and measure is not None:
                self._record(self.step, measure())

    def finish(self, state: Callable[[], Arrays]) -> None:
        """Tell about the last steps and keep the final state."""
        self._tell()
        self.keep(state, now=True)

    def _tell(self) -> None:
        if self._progress is not None and self.step > self._told:
            self._progress(self.step - self._told)
        self._told = self.step

    def keep(self, state: Callable[[], Arrays], *, now: bool = False) -> None:
        """Write the state to the checkpoint if the last one is old, or ``now``."""
        if self._checkpoint is None:
            return
        time_now = time.monotonic()
        if now or time_now - self._saved >= SAVE_EVERY_S:
            self._checkpoint.write(self.step, time_now - self._begin, state())
            self._saved = time.monotonic()
