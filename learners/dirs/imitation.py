"""Imitation of an expert by one small network per server: Algorithm 2 of DIRS (arXiv:2005.12364) by itself.

1. every demonstration gives each server's own view and its label: which tasks the expert runs on that server;
2. each network is trained on the demonstration loss (15), cross-entropy with an L2 regulariser, by Adam;
3. the policy votes with the trained networks and allocates powers and CPU shares in closed form.

Layer widths and batch size are the paper's (30-80-60-30 and 256). Learning rate, regulariser and number of steps, which
its text does not give, were chosen on the ``paper`` preset by the mean gap to the optimum. The learning rate falls to
zero along a cosine, which the paper does not mention.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field, PositiveInt
from torch import Tensor

from offloadopt.core import Budget, Demonstrations, Learner, Problem, Progress, Record
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
from offloadopt.learners.common.training import Measure, TrainingProgress, minibatches
from offloadopt.learners.dirs.demonstrations import Examples
from offloadopt.learners.dirs.ensemble import EnsemblePolicy, ServerNetworks, demonstration_loss, features_of
from offloadopt.structures.assignment import AssignmentProblem


class Imitation(Learner):
    """Supervised imitation of an expert's assignment by one decentralised network per server."""

    name = "imitation"
    serves: ClassVar[type[Problem[Any]]] = AssignmentProblem  # type: ignore[type-abstract]
    policy_type = EnsemblePolicy
    uses_demonstrations = needs_demonstrations = True

    hidden: tuple[PositiveInt, ...] = Field((80, 60), description="widths of the hidden layers")
    l2: float = Field(5e-3, ge=0, description="weight of the squared norm of an agent's parameters in (15)")
    learning_rate: float = Field(5e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    batch_size: int = Field(256, ge=1, description="demonstrations in a gradient step, or all if there are fewer")
    gradient_steps: int = Field(3000, ge=1, description="gradient steps, unless a budget says otherwise")

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: those of the minibatches of all ``gradient_steps``."""
        return self.gradient_steps * self.batch_size * problem.num_agents

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without assignments, and those with more than one slot."""
        super().require(problem)
        if problem.horizon > 1:
            raise Unsupported(f"learner {self.name!r} decides one slot; {problem.name!r} has horizon {problem.horizon}")

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
    ) -> EnsemblePolicy:
        """Train one network per server on an expert's solutions.

        Parameters
        ----------
        problem : AssignmentProblem
        demonstrations : Demonstrations
            Feasible solutions of instances of ``problem``.
        budget : Budget, optional
            Without it `default_steps`; rounded up to whole minibatches, and one that holds all demonstrations counts as
            many decisions as if there were ``batch_size`` of them. Training ends early when ``seconds`` are over, and
            then depends on the clock.
        seed : int
            Of the initial weights and the order of the demonstrations.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called with each agent's loss (15) on a batch, ``train/loss_agent_1`` and so on.
        checkpoint : Path, optional
            Folder from which an interrupted training continues.

        Raises
        ------
        InvalidInput
            If there are no demonstrations, or they do not fit the problem, or one of them is not feasible.
        """
        begin = time.monotonic()
        self.require(problem)
        self.check_demonstrations(demonstrations is not None)
        problem = cast(AssignmentProblem[Any], problem)
        demonstrations = cast(Demonstrations, demonstrations)
        if demonstrations.instances.count == 0:
            raise InvalidInput(f"learner {self.name!r} learns from demonstrations; none were given")
        examples = Examples.of(problem, demonstrations)
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, examples)
        tracker = TrainingProgress(
            begin,
            self.gradient_steps,
            budget,
            progress,
            record,
            store,
            decisions=self.batch_size * problem.num_agents,
        )
        with one_thread():
            generator = seeded_generator(seed)
            networks = ServerNetworks(problem.servers, (features_of(problem), *self.hidden, problem.tasks))
            networks.initialise(generator)
            networks.standardise(examples.view)
            agents = AdamOptimizer(networks, self.learning_rate)
            if store is not None and (state := store.read()):
                agents.restore(state)
            batches = minibatches(examples.count, self.batch_size, generator)
            supervise(tracker, 1.0, agents, examples, batches, self.l2)
            tracker.finish(agents.arrays)
        origin = Origin.of(
            self, problem, seed=seed, steps=tracker.step, demonstrations=examples.count, **examples.certificate()
        )
        return EnsemblePolicy(problem, networks, origin)


def supervise(
    tracker: TrainingProgress,
    share: float,
    agents: AdamOptimizer[ServerNetworks],
    examples: Examples,
    batches: Iterator[Tensor],
    l2: float,
    also: Measure | None = None,
) -> None:
    """Minimise all agents' demonstration losses (15) until this share of the budget is spent.

    Parameters
    ----------
    batches : iterator of row numbers
        From the first step on: those of steps that are done already are passed over.
    also : callable, optional
        Further metrics to be recorded.
    """
    batches = itertools.islice(batches, tracker.iteration, None)
    while tracker.spent < share:
        rows = next(batches)
        loss = demonstration_loss(agents.networks, examples.view[rows], examples.labels[rows], l2)
        agents.descend(loss, tracker.spent)
        tracker.advance(1, partial(_measured, loss, also))
        tracker.keep(agents.arrays)


def _measured(loss: Tensor, also: Measure | None) -> Mapping[str, float]:
    return losses_by_agent(loss) if also is None else {**losses_by_agent(loss), **also()}


def losses_by_agent(loss: Tensor) -> dict[str, float]:
    """Losses ``[servers]`` by name, for curves."""
    return {f"train/loss_agent_{agent}": value for agent, value in enumerate(loss.tolist(), start=1)}
