"""The template of all trainings: `IterativeLearner.fit`, the `Training` that a learner adds, and its progress.

A learner gives networks, an update and a policy, as a `Training`:

* ``__init__`` makes networks, optimisers and buffers, all random numbers from the seed, and names in ``state_fields``
  the attributes that a checkpoint keeps (`offloadopt.learners.common.checkpoint.Stateful`);
* `Training.prepare` is what comes before the first iteration, usually nothing without demonstrations;
* `Training.advance` is one iteration: a gradient step, a roll-out and its updates, or whole episodes;
* `Training.policy` is the policy at the end.

`IterativeLearner.fit` does everything else: it checks the inputs, opens the checkpoint, counts the budget, limits torch
to one thread, restores an interrupted training and writes the policy's origin.

**Demonstrations** enter in one place. `IterativeLearner.read_demonstrations` converts them to `Examples`, the data that
this learner's networks see, and refuses what does not fit; the checkpoint is bound to their digest. `Training` holds
them as ``examples``. What is imitated *before* interaction belongs into `Training.prepare`: settings of the learner
limit it (``imitation_steps``), it counts in the budget's seconds but not in its steps, and begins again if it is
interrupted. What is imitated *instead of* interaction, or replayed along with it, belongs into `Training.advance` (or
into a replay buffer that ``__init__`` fills) and counts as other decisions do.

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

import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from offloadopt.core import Budget, Demonstrations, Learner, Outcome, Policy, Problem, Progress, Record
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.interrupts import continued_by_the_same_call, held
from offloadopt.learners.common.checkpoint import Checkpoint, Stateful
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import Arrays, one_thread

REPORT_EVERY = 10
"""Iterations between two reports of progress, and between two points of the curves."""
SAVE_EVERY_S = 5.0
"""Seconds between two states in a checkpoint. Their times never change what is learned."""
HELD_S = 1.0
"""Time in s for which an iteration holds Ctrl-C back, so that its end is kept; a longer one is given up."""
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
    total : int
        Number of the last iteration, unless time is over before.
    seconds : float, optional
        The budget's.
    progress, record : callable, optional
        As in `offloadopt.core.Learner.fit`.
    checkpoint : Checkpoint, optional
        Its iterations and steps count as done.
    decisions : int
        Decisions in an iteration.

    Attributes
    ----------
    seconds : float
        The budget's, infinite without a limit.
    iteration : int
        Iterations done.
    step : int
        Decisions done.
    """

    def __init__(
        self,
        begin: float,
        total: int,
        seconds: float | None = None,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Checkpoint | None = None,
        *,
        decisions: int = 1,
    ) -> None:
        self.total = total
        self.seconds = math.inf if seconds is None else seconds
        self.iteration = 0 if checkpoint is None else checkpoint.iteration
        self.step = 0 if checkpoint is None else checkpoint.step
        self._decisions = decisions
        self._done_s = 0.0 if checkpoint is None else checkpoint.seconds
        self._begin = self._saved = begin
        self._progress, self._record, self._checkpoint = progress, record, checkpoint
        self._reported = self._reported_step = 0
        self._report()

    @property
    def left(self) -> int:
        """Iterations that the budget's steps leave."""
        return self.total - self.iteration

    @property
    def spent(self) -> float:
        """Share of the budget that is spent, 1 or more at its end: of steps or seconds, whichever is nearer to it."""
        return max(self.iteration / self.total, self._elapsed() / self.seconds)

    @property
    def in_time(self) -> bool:
        """Whether the budget's seconds are not over."""
        return self._elapsed() < self.seconds

    def _elapsed(self) -> float:
        return time.monotonic() - self._begin + self._done_s

    def once(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Make constant arrays, or read them where the checkpoint holds them."""
        return make() if self._checkpoint is None else self._checkpoint.once(name, make)

    def begin_again(self, used: float) -> None:
        """Take seconds that the training was prepared in, and those since its beginning, off the budget."""
        now = time.monotonic()
        self.seconds = max(self.seconds - max(used, now - self._begin), 1e-9)
        self._begin = now

    def record(self, measured: Mapping[str, float]) -> None:
        """Record what was measured at once, not only where it is time."""
        if self._record is not None:
            self._record(self.step, measured)

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
        if now or time.monotonic() - self._saved >= SAVE_EVERY_S:
            self._checkpoint.write(self.iteration, self.step, self._elapsed(), state())
            self._saved = time.monotonic()


class Examples(Protocol):
    """Demonstrations as a learner's networks see them."""

    @property
    def count(self) -> int:
        """Number of demonstrations."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """All arrays by name, which identify the demonstrations in a checkpoint."""


class Training(Stateful, ABC):
    """Networks, optimisers and buffers of one training, and how they change.

    Parameters
    ----------
    examples : Examples, optional
        Demonstrations.
    """

    def __init__(self, examples: Any = None) -> None:
        self.examples = examples

    def prepare(self, tracker: TrainingProgress) -> None:
        """Do what comes before the first iteration of a new training; here nothing."""

    @abstractmethod
    def advance(self, tracker: TrainingProgress) -> None:
        """Run an iteration, or what the budget leaves of it, and count it; afterwards the state can be kept."""

    @abstractmethod
    def policy(self, origin: Origin) -> Policy:
        """Create the trained policy."""

    def origin_fields(self) -> dict[str, float | None]:
        """What is stored of the training with the policy beside seed and steps."""
        return {"demonstrations": 0 if self.examples is None else self.examples.count}


class IterativeLearner(Learner):
    """Learner whose training is a `Training`; `fit` stands here for all of them.

    Attributes
    ----------
    resumable : bool
        Whether a checkpoint can hold the state of the training. If not, an interrupted training begins again.
    length : str
        The setting that says how many iterations training takes without a budget.
    """

    resumable: ClassVar[bool] = True
    length: ClassVar[str] = "steps"

    @abstractmethod
    def make_training(self, problem: Any, seed: int, examples: Any, tracker: TrainingProgress) -> Training:
        """Create the training with initial weights."""

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> Examples:
        """Convert demonstrations; raise an error if they do not fit the problem or are not feasible."""
        raise NotImplementedError(f"learner {self.name!r} uses demonstrations and does not read them")

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: those of as many iterations as the settings say."""
        return int(getattr(self, self.length) * self.decisions(problem))

    def decisions(self, problem: Problem[Any]) -> int:
        """Decisions of single agents in an iteration, which budgets in steps are rounded up to."""
        return 1

    def iterations(self, problem: Problem[Any], steps: int) -> int:
        """Iterations in a budget of so many decisions."""
        return -(-steps // self.decisions(problem))

    # The arguments are those of `Learner.fit`, written out so that help and editors show them.
    def fit(
        self,
        problem: Problem[Any],
        *,
        demonstrations: Demonstrations | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Path | None = None,
    ) -> Any:
        """Train a policy.

        Parameters
        ----------
        problem : Problem
            A problem of the structure that the class serves.
        demonstrations : Demonstrations, optional
            An expert's feasible solutions of instances of ``problem``. Refused by a learner that does not use them.
            What is imitated before interaction counts in the budget's seconds, not in its steps.
        budget : Budget, optional
            Without it `default_steps`; steps are rounded up to whole iterations (minibatches, roll-outs, slots of all
            agents). Training ends early when ``seconds`` are over, and then depends on the clock.
        seed : int
            Of nature's draws, initial weights, exploration, minibatches and replay.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called now and then with what was measured, by the names above.
        checkpoint : Path, optional
            Folder from which an interrupted training continues, with the iteration that it was in.

        Returns
        -------
        Policy
            Of the class ``policy_type``.

        Raises
        ------
        Unsupported
            If the problem lacks the structure, or the learner does not use demonstrations.
        InvalidInput
            If demonstrations are needed and missing, do not fit the problem, or one of them is not feasible.
        OutputExists
            If the checkpoint's folder holds another training.
        """
        begin = time.monotonic()
        self.require(problem)
        examples = self._examples(problem, demonstrations)
        budget = budget or Budget()
        store = Checkpoint.of(checkpoint if self.resumable else None, self, problem, budget, seed, examples)
        total = self.iterations(problem, self.default_steps(problem) if budget.steps is None else budget.steps)
        tracker = TrainingProgress(
            begin, total, budget.seconds, progress, record, store, decisions=self.decisions(problem)
        )
        with one_thread(), nullcontext() if store is None else continued_by_the_same_call():
            training = self.make_training(problem, seed, examples, tracker)
            _run(training, tracker, store)
        return training.policy(Origin.of(self, problem, seed=seed, steps=tracker.step, **training.origin_fields()))

    def _examples(self, problem: Problem[Any], demonstrations: Demonstrations | None) -> Examples | None:
        self.check_demonstrations(demonstrations is not None)
        if demonstrations is None:
            return None
        if demonstrations.instances.count == 0:
            raise InvalidInput("the demonstrations are empty; allowed: 1 or more, or none at all")
        return self.read_demonstrations(problem, demonstrations)


def _run(training: Training, tracker: TrainingProgress, store: Checkpoint | None) -> None:
    """Continue from a state, or prepare where there is none, and iterate until the budget is spent."""
    if store is None or not store.restore(training):
        training.prepare(tracker)
        tracker.keep(training.arrays)
    while tracker.spent < 1.0:
        with held(HELD_S) as signals:
            training.advance(tracker)
            tracker.keep(training.arrays, now=bool(signals))
    tracker.finish(training.arrays)


class OneSlotLearner(IterativeLearner):
    """Learner from minibatches whose policies decide the only slot of a problem."""

    batch_size: int

    def decisions(self, problem: Problem[Any]) -> int:
        """Decisions in a minibatch; one that holds all demonstrations counts as if there were ``batch_size``."""
        return self.batch_size * problem.num_agents

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also problems with more than one slot."""
        super().require(problem)
        if problem.horizon > 1:
            raise Unsupported(f"learner {self.name!r} decides one slot; {problem.name!r} has horizon {problem.horizon}")


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


def minibatches(count: int, size: int, generator: torch.Generator, done: int = 0) -> Iterator[Tensor]:
    """Endless batches of row numbers; every pass over all rows has an order of its own and drops its remainder.

    The first ``done`` batches are passed over, as where a training continues.
    """
    return itertools.islice(_batches(count, min(size, count), generator), done, None)


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % size].split(size)
