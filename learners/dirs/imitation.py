"""Imitation of an expert by one small network per server: Algorithm 2 of DIRS (arXiv:2005.12364) by itself.

1. every demonstration gives each server's own view and its label: which tasks the expert runs on that server;
2. each network is trained on the demonstration loss (15), cross-entropy with an L2 regulariser, by Adam;
3. the policy votes with the trained networks and allocates powers and CPU shares in closed form.

Layer widths and batch size are the paper's (30-80-60-30 and 256). Learning rate, regulariser and number of steps, which
its text does not give, were chosen on the ``paper`` preset by the mean gap to the optimum. The learning rate falls to
zero along a cosine, which the paper does not mention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from offloadopt.core import Demonstrations, Problem
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import OneSlotLearner, Training, TrainingProgress, minibatches
from offloadopt.learners.dirs.demonstrations import Examples
from offloadopt.learners.dirs.ensemble import EnsemblePolicy, ServerNetworks, demonstration_loss
from offloadopt.quantities import Factor, Layer, Rate, Rounds, Size
from offloadopt.structures.assignment import AssignmentProblem


class Imitation(OneSlotLearner):
    """Supervised imitation of an expert's assignment by one decentralised network per server."""

    name = "imitation"
    serves: ClassVar[type[Problem[Any]]] = AssignmentProblem  # type: ignore[type-abstract]
    policy_type = EnsemblePolicy
    uses_demonstrations = needs_demonstrations = True
    length = "gradient_steps"

    hidden: tuple[Layer, ...] = Field((80, 60), description="widths of the hidden layers")
    l2: Factor = Field(5e-3, ge=0, description="weight of the squared norm of an agent's parameters in (15)")
    learning_rate: Rate = Field(5e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    batch_size: Size = Field(256, ge=1, description="demonstrations in a gradient step, or all if there are fewer")
    gradient_steps: Rounds = Field(3000, ge=1, description="gradient steps, unless a budget says otherwise")

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> Examples:
        """An expert's labels of the servers' views."""
        return Examples.of(problem, demonstrations)

    def make_training(
        self, problem: Any, seed: int, examples: Examples, tracker: TrainingProgress
    ) -> SupervisedTraining:
        """Create one network per server with initial weights."""
        shape = self.hidden, self.l2, self.batch_size, (self.learning_rate, 0.0)
        return SupervisedTraining(problem, examples, *shape, seed, tracker.iteration)


class SupervisedTraining(Training):
    """One network per server and their optimiser; an iteration is a gradient step of the demonstration losses (15).

    Parameters
    ----------
    problem : AssignmentProblem
    examples : Examples
    hidden : sequence of int
        Widths of the hidden layers.
    l2 : float
        Weight of the squared norm of an agent's parameters.
    batch_size : int
        Examples in a gradient step, or all if there are fewer.
    rates : (float, float)
        Adam's step sizes at the start and at the end.
    seed : int
        Of the initial weights and the order of the examples.
    done : int
        Steps that are done already; their minibatches are passed over.
    """

    state_fields: ClassVar[tuple[str, ...]] = ("agents",)

    def __init__(
        self,
        problem: AssignmentProblem[Any],
        examples: Examples,
        hidden: Sequence[int],
        l2: float,
        batch_size: int,
        rates: tuple[float, float],
        seed: int,
        done: int = 0,
    ) -> None:
        super().__init__(examples)
        self.problem, self.l2 = problem, l2
        generator = seeded_generator(seed)
        networks = ServerNetworks(problem.servers, (examples.view.shape[2], *hidden, problem.tasks))
        networks.initialise(generator)
        if examples.count:
            networks.standardise(examples.view)
        self.agents = AdamOptimizer(networks, *rates)
        self._batches = minibatches(examples.count, batch_size, generator, done)

    def advance(self, tracker: TrainingProgress) -> None:
        """Take a gradient step."""
        rows = next(self._batches)
        loss = demonstration_loss(self.agents.networks, self.examples.view[rows], self.examples.labels[rows], self.l2)
        self.agents.descend(loss, tracker.spent)
        tracker.advance(1, lambda: {**losses_by_agent(loss), **self.also_recorded(tracker)})

    def also_recorded(self, tracker: TrainingProgress) -> Mapping[str, float]:
        """Measure what is recorded beside the losses; here nothing."""
        return {}

    def policy(self, origin: Origin) -> EnsemblePolicy:
        """Create the policy that votes with the trained networks."""
        return EnsemblePolicy(self.problem, self.agents.networks, origin)

    def origin_fields(self) -> dict[str, float | None]:
        """Number of examples and their certified gaps."""
        return {**super().origin_fields(), **self.examples.certificate()}


def losses_by_agent(loss: Tensor) -> dict[str, float]:
    """Losses ``[servers]`` by name, for curves."""
    return {f"train/loss_agent_{agent}": value for agent, value in enumerate(loss.tolist(), start=1)}
