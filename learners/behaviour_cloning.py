"""Behaviour cloning: supervised imitation of an expert by decentralised agents."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field

from offloadopt.core import Demonstrations, Problem
from offloadopt.learners.common.agent_interface import AgentInterface
from offloadopt.learners.common.agent_policy import Actor, AgentLearner, AgentPolicy
from offloadopt.learners.common.demonstrations import ExpertActions
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import Training, TrainingProgress, minibatches
from offloadopt.quantities import Rate, Rounds, Size


class AgentImitation(AgentLearner):
    """Behaviour cloning of an expert's decisions by agents that each observe their own view.

    The decisions of an expert that knows the future depend on data that no agent observes; policies learn their mean.
    """

    name = "imitation-agents"
    uses_demonstrations = needs_demonstrations = True
    length = "gradient_steps"

    shared: bool = Field(True, description="one network for all agents; otherwise each has its own")
    recurrent: bool = Field(False, description="agents remember: gated recurrent units after the hidden layers")
    learning_rate: Rate = Field(3e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    minibatch_size: Size = Field(4096, ge=1, description="agent-steps in a gradient step, at least")
    gradient_steps: Rounds = Field(3000, ge=1, description="gradient steps, unless a budget says otherwise")

    def decisions(self, problem: Problem[Any]) -> int:
        """Decisions in a minibatch, which is whole episodes of agents that remember, or else whole slots.

        A minibatch that holds all demonstrations counts as many decisions as if there were enough of them.
        """
        row = problem.num_agents * (problem.horizon if self.recurrent else 1)
        return -(-self.minibatch_size // row) * row

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> ExpertActions:
        """An expert's actions in the agents' views."""
        return ExpertActions.of(self.interface(problem), demonstrations)

    def make_training(
        self, problem: Any, seed: int, examples: ExpertActions, tracker: TrainingProgress
    ) -> ImitationTraining:
        """Create an actor with initial weights, which standardises by the expert's views."""
        return ImitationTraining(self, self.interface(problem), examples, seeded_generator(seed), tracker.iteration)


class ImitationTraining(Training):
    """Actor and its optimiser; an iteration is a gradient step of the imitation loss.

    Parameters
    ----------
    settings : AgentImitation
    interface : AgentInterface
    examples : ExpertActions
    generator : torch.Generator
        Source of the initial weights and the order of demonstrations.
    done : int
        Steps that are done already; their minibatches are passed over.
    """

    state_fields = ("optimizer",)

    def __init__(
        self,
        settings: AgentImitation,
        interface: AgentInterface,
        examples: ExpertActions,
        generator: torch.Generator,
        done: int,
    ) -> None:
        super().__init__(examples)
        s, self.interface = settings, interface
        self.actor: Actor = s.make_actor(interface)
        self.actor.initialise(generator)
        self.actor.normalizer.update_statistics(examples.view)
        self.optimizer = AdamOptimizer(self.actor, s.learning_rate)
        self._rows = examples if s.recurrent else examples.as_single_slots()
        slots, count, agents, _ = self._rows.view.shape
        self._batches = minibatches(count, -(-s.minibatch_size // (slots * agents)), generator, done)

    def advance(self, tracker: TrainingProgress) -> None:
        """Take a gradient step."""
        error = self._rows.imitation_loss(self.actor, self.interface.heads, next(self._batches))
        self.optimizer.descend(error, tracker.spent)
        tracker.advance(1, lambda: {"train/imitation_error": float(error.detach())})

    def policy(self, origin: Origin) -> AgentPolicy:
        """Create the policy of the actor."""
        return AgentPolicy(self.interface, self.actor, origin)
