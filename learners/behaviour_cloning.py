"""Behaviour cloning: supervised imitation of an expert by decentralised agents."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field, PositiveInt

from offloadopt.core import Budget, Demonstrations, Learner, Problem, Progress, Record
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor, AgentPolicy
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.demonstrations import ExpertActions
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
from offloadopt.learners.common.training import TrainingProgress, minibatches
from offloadopt.structures.agents import AgentProblem


class AgentImitation(Learner):
    """Behaviour cloning of an expert's decisions by agents that each observe their own view.

    The decisions of an expert that knows the future depend on data that no agent observes; policies learn their mean.
    """

    name = "imitation-agents"
    serves: ClassVar[type[Problem[Any]]] = AgentProblem  # type: ignore[type-abstract]
    policy_type = AgentPolicy
    uses_demonstrations = needs_demonstrations = True

    view: str | None = Field(None, description="agents' view; none: the problem's first one")
    controls: str | None = Field(None, description="what agents set; none: the decision itself")
    shared: bool = Field(True, description="one network for all agents; otherwise each has its own")
    hidden: tuple[PositiveInt, ...] = Field((64, 64), min_length=1, description="widths of the hidden layers")
    activation: Literal["tanh", "relu"] = Field("relu", description="of the hidden layers")
    recurrent: bool = Field(False, description="agents remember: gated recurrent units after the hidden layers")
    standardise: bool = Field(True, description="views by their mean and deviation")
    learning_rate: float = Field(3e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    minibatch_size: int = Field(4096, ge=1, description="agent-steps in a gradient step, at least")
    gradient_steps: int = Field(3000, ge=1, description="gradient steps, unless a budget says otherwise")

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: those of the minibatches of all ``gradient_steps``."""
        return self.gradient_steps * self._decisions(problem)

    def _decisions(self, problem: Problem[Any]) -> int:
        """Decisions in a minibatch, which is whole episodes of agents that remember, or else whole slots."""
        row = problem.num_agents * (problem.horizon if self.recurrent else 1)
        return -(-self.minibatch_size // row) * row

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without agents, and views and controls that this one does not have."""
        super().require(problem)
        AgentInterface.check(cast(AgentProblem[Any], problem), self.view, self.controls)

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
    ) -> AgentPolicy:
        """Train on an expert's solutions.

        Parameters
        ----------
        problem : AgentProblem
        demonstrations : Demonstrations
            Feasible solutions of instances of ``problem``.
        budget : Budget, optional
            Without it `default_steps`; rounded up to whole minibatches, and one that holds all demonstrations counts as
            many decisions as if there were enough of them. Training ends early when ``seconds`` are over, and then
            depends on the clock.
        seed : int
            Of the initial weights and the order of the demonstrations.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called with the ``train/imitation_error`` of a batch: squared differences of numbers in units of their
            ranges, cross-entropy of choices.
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
        interface = AgentInterface(cast(AgentProblem[Any], problem), self.view, self.controls)
        expert = ExpertActions.of(interface, cast(Demonstrations, demonstrations))
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, expert)
        tracker = TrainingProgress(
            begin, self.gradient_steps, budget, progress, record, store, decisions=self._decisions(problem)
        )
        with one_thread():
            generator = seeded_generator(seed)
            copies = 1 if self.shared else problem.num_agents
            sizes = (interface.features, *self.hidden, interface.heads.outputs)
            actor = Actor(copies, sizes, self.activation, self.recurrent, self.standardise)
            actor.initialise(generator)
            if actor.normalizer is not None:
                actor.normalizer.update_statistics(expert.view)
            agents = AdamOptimizer(actor, self.learning_rate)
            if store is not None and (state := store.read()):
                agents.restore(state)
            self._train(agents, interface, expert, tracker, generator)
            tracker.finish(agents.arrays)
        origin = Origin.of(self, problem, seed=seed, steps=tracker.step, demonstrations=expert.count)
        return AgentPolicy(interface, actor, origin)

    def _train(
        self,
        agents: AdamOptimizer[Actor],
        interface: AgentInterface,
        expert: ExpertActions,
        tracker: TrainingProgress,
        generator: torch.Generator,
    ) -> None:
        """Minimise the imitation loss until the budget is spent."""
        examples = expert if self.recurrent else expert.as_single_slots()
        slots, count, members, _ = examples.view.shape
        batches = minibatches(count, -(-self.minibatch_size // (slots * members)), generator)
        for _ in range(tracker.iteration):  # those of steps that are done already are passed over
            next(batches)
        while tracker.spent < 1.0:
            error = examples.imitation_loss(agents.networks, interface.heads, next(batches))
            agents.descend(error, tracker.spent)
            tracker.advance(1, partial(_measured, error))
            tracker.keep(agents.arrays)


def _measured(error: torch.Tensor) -> dict[str, float]:
    return {"train/imitation_error": float(error.detach())}
