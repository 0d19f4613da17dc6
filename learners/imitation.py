"""Imitation of an expert by one small network per server: Algorithm 2 of DIRS (arXiv:2005.12364) by itself.

1. every demonstration gives each server's own view and its label: which tasks the expert runs on that server;
2. each network is trained on the demonstration loss (15), cross-entropy with an L2 regulariser, by Adam;
3. the policy votes with the trained networks and allocates powers and CPU shares in closed form.

Layer widths and batch size are the paper's (30-80-60-30 and 256). Learning rate, regulariser and number of steps, which
its text does not give, were chosen on the ``paper`` preset by the mean gap to the optimum. The learning rate falls to
zero along a cosine, which the paper does not mention.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from offloadopt.core import Budget, Demonstrations, Learner, Problem, Progress
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.learners.ensemble import (
    EnsemblePolicy,
    ServerNetworks,
    demonstration_loss,
    one_thread,
    seeded_generator,
    server_labels,
    view_tensor,
)
from offloadopt.learners.policies import Origin
from offloadopt.structure import AssignmentProblem

REPORT_EVERY = 50
"""Steps between two reports of progress."""


class Imitation(Learner):
    """Supervised learning of the expert's assignment, one decentralised network per server."""

    name = "imitation"
    serves: ClassVar[type[Problem[Any]]] = AssignmentProblem  # type: ignore[type-abstract]
    policy_type = EnsemblePolicy

    hidden: tuple[PositiveInt, ...] = Field((80, 60), description="widths of the hidden layers")
    l2: float = Field(5e-3, ge=0, description="weight of the squared norm of an agent's parameters in (15)")
    learning_rate: float = Field(5e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    batch_size: int = Field(256, ge=1, description="demonstrations in a gradient step, or all if there are fewer")
    steps: int = Field(3000, ge=1, description="gradient steps, unless a budget says otherwise")

    @property
    def default_steps(self) -> int:
        """Gradient steps without a budget."""
        return self.steps

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
    ) -> EnsemblePolicy:
        """Train one network per server on an expert's solutions.

        Parameters
        ----------
        problem : AssignmentProblem
        demonstrations : Demonstrations
            Feasible solutions of instances of ``problem``.
        budget : Budget, optional
            ``steps`` are gradient steps; training ends early when ``seconds`` are over, and then depends on the clock.
        seed : int
            Of the initial weights and the order of the demonstrations.
        progress : callable, optional
            Called with the number of gradient steps done since the last call.

        Raises
        ------
        InvalidInput
            If there are no demonstrations, or they do not fit the problem, or one of them is not feasible.
        """
        begin = time.monotonic()
        self.require(problem)
        problem = cast(AssignmentProblem[Any], problem)
        if demonstrations is None or demonstrations.instances.count == 0:
            raise InvalidInput(f"learner {self.name!r} learns from demonstrations; none were given")
        view, labels = training_data(problem, demonstrations)
        budget = budget or Budget()
        steps = self.steps if budget.steps is None else budget.steps
        ends = math.inf if budget.seconds is None else begin + budget.seconds
        with one_thread():
            generator = seeded_generator(seed)
            networks = ServerNetworks(problem.servers, (view.shape[2], *self.hidden, problem.tasks))
            networks.initialise(generator)
            networks.standardise(view)
            done = self._train(networks, view, labels, steps, ends, generator, progress)
        origin = Origin.of(self, problem, seed=seed, steps=done, demonstrations=len(view))
        return EnsemblePolicy(problem, networks, origin)

    def _train(
        self,
        networks: ServerNetworks,
        view: Tensor,
        labels: Tensor,
        steps: int,
        ends: float,
        generator: torch.Generator,
        progress: Progress | None,
    ) -> int:
        """Minimise all agents' losses at once; their sum has each agent's own gradient. Returns the steps done."""
        optimizer = torch.optim.Adam(networks.parameters(), lr=self.learning_rate, fused=True)
        batches = minibatches(len(view), self.batch_size, generator)
        begin, reported = time.monotonic(), 0
        for step in range(steps):
            now = time.monotonic()
            if now >= ends:
                steps = step
                break
            # Whichever limit is nearer to its end decides how far the learning rate has fallen.
            spent = max(step / steps, (now - begin) / (ends - begin))
            optimizer.param_groups[0]["lr"] = self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * spent))
            rows = next(batches)
            loss = demonstration_loss(networks, view[rows], labels[rows], self.l2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if progress is not None and step + 1 - reported == REPORT_EVERY:
                progress(REPORT_EVERY)
                reported = step + 1
        if progress is not None and steps > reported:
            progress(steps - reported)
        return steps


def training_data(problem: AssignmentProblem[Any], demonstrations: Demonstrations) -> tuple[Tensor, Tensor]:
    """Views ``[count, servers, features]`` and labels ``[count, servers, tasks]`` of an expert's feasible solutions."""
    observations, solutions = demonstrations.observations, demonstrations.solutions
    for name, field in problem.observation_fields.items():
        field.check(name, observations[name], problem.horizon)
    decisions = problem.check_decisions(solutions.decisions, observations.count)
    failed = np.flatnonzero(~np.isfinite(solutions.objective))
    if len(failed):
        row = int(failed[0])
        status = solutions.status_names[row]
        raise InvalidInput(f"demonstration {row} is {status} without a feasible decision; allowed: feasible ones only")
    return view_tensor(problem, observations), server_labels(problem.assignment(decisions), problem.servers)


def minibatches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of row numbers; every pass over all rows has an order of its own and drops its remainder."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % size].split(size)
