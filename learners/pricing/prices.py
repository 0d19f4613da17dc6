"""Learning of servers' dual prices: by imitation of optimal prices, then by maximising the lower bound.

1. training instances are cut from sampled (or demonstrated) ones: some of the tasks, some of the servers, and their
   share of the capacity times a factor, so that they have many sizes and loads;
2. each is labelled with the prices that maximise its lower bound, computed as in the exact solver;
3. `PriceNetwork` first regresses these prices;
4. then it maximises the lower bound of its own prices. That needs no labels: the bound of any prices is valid, the
   largest is best, and it is concave in the prices.

Demonstrations give instances, not labels: which prices an exact solver reports depends on how it proved its optimum,
and those of a cut instance take less than a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from offloadopt.core import Demonstrations, Observation, Problem
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.common.training import OneSlotLearner, Training, TrainingProgress
from offloadopt.learners.pricing.network import NormalisedAssignment, PriceNetwork
from offloadopt.learners.pricing.policy import PricePolicy
from offloadopt.quantities import Factor, Rate, Rounds, Size, Width
from offloadopt.solvers.assignment.dual_bound import find_prices
from offloadopt.structures.assignment import PricedAssignment, PricedAssignmentProblem

SMALL = 1e-3
"""Added to the sum of squared prices by which errors are divided, which is 0 where no server is scarce."""


class Prices(OneSlotLearner):
    """Equivariant network that predicts dual prices of servers, for any number of tasks and servers."""

    name = "prices"
    serves: ClassVar[type[Problem[Any]]] = PricedAssignmentProblem  # type: ignore[type-abstract]
    policy_type = PricePolicy
    uses_demonstrations = True
    length = "gradient_steps"

    width: Width = Field(8, ge=1, description="numbers that each round pools for a server")
    rounds: Rounds = Field(2, ge=1, description="corrections of all prices, each with weights of its own")
    sweeps: Rounds = Field(8, ge=0, description="rounds of moves and swaps after the best responses, at most")
    gradient_steps: Rounds = Field(1000, ge=1, description="gradient steps, unless a budget says otherwise")
    imitation_share: float = Field(
        0.4, ge=0, le=1, description="share of the budget spent on imitation of the labelled prices"
    )
    learning_rate: Rate = Field(4e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    instances: Size = Field(512, ge=1, description="instances sampled to cut from, if none are demonstrated")
    batches: Size = Field(200, ge=1, description="batches cut from them, each with a size of its own")
    batch_size: Size = Field(32, ge=1, description="instances in a batch")
    fewest_tasks: Size = Field(20, ge=1, description="in a cut instance, or all if there are fewer")
    most_tasks: Size = Field(100, ge=1, description="in a cut instance, or all if there are fewer")
    load_factor: Factor = Field(4.0, ge=1, description="capacities change by a factor up to this, either way")

    @model_validator(mode="after")
    def _sizes_are_a_range(self) -> Self:
        if self.fewest_tasks > self.most_tasks:
            raise ValueError(f"fewest_tasks = {self.fewest_tasks}; allowed: at most most_tasks = {self.most_tasks}")
        return self

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> _DemonstratedInstances:
        """Instances to train on, in place of sampled ones; their decisions are not used."""
        return _DemonstratedInstances.of(problem, demonstrations)

    def make_training(
        self, problem: Any, seed: int, examples: _DemonstratedInstances | None, tracker: TrainingProgress
    ) -> PriceTraining:
        """Create a network with initial weights."""
        return PriceTraining(self, problem, seed, examples)

    def cut(self, costs: PricedAssignment, stream: np.random.SeedSequence) -> LabelledBatch:
        """Cut a batch of labelled instances of one size, each from one of ``costs``."""
        rng = np.random.default_rng(stream)
        all_tasks, all_servers, count = costs.load.shape[1], costs.capacity.shape[1], self.batch_size
        tasks = int(rng.integers(min(self.fewest_tasks, all_tasks), min(self.most_tasks, all_tasks) + 1))
        servers = int(rng.integers(min(2, all_servers), all_servers + 1))
        row = rng.integers(costs.count, size=(count, 1))
        task = rng.random((count, all_tasks)).argsort(axis=1)[:, :tasks]
        server = rng.random((count, all_servers)).argsort(axis=1)[:, :servers]
        option = np.concatenate([np.zeros((count, 1), dtype=np.int64), server + 1], axis=1)
        cost = costs.option_cost[row[..., None], task[..., None], option[:, None]]
        cost[np.isinf(cost).all(axis=-1)] = 0.0  # tasks left without any option decide nothing
        # Each server's share of the tasks stays what it was, but for the factor.
        share = tasks / all_tasks * all_servers / servers
        factor = self.load_factor ** rng.uniform(-1.0, 1.0, size=(count, 1))
        capacity = costs.capacity[row, server] * (share * factor)
        instances = NormalisedAssignment.of(PricedAssignment(cost, costs.load[row, task], capacity))
        return LabelledBatch(instances, _best_prices(instances))


class PriceTraining(Training):
    """Network and its optimiser; an iteration is a gradient step on a batch of cut instances."""

    state_fields = ("optimizer",)

    def __init__(
        self,
        settings: Prices,
        problem: PricedAssignmentProblem[Any],
        seed: int,
        examples: _DemonstratedInstances | None,
    ) -> None:
        super().__init__(examples)
        self.settings, self.problem, self.seed = settings, problem, seed
        nature = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        self._costs = problem.costs(
            problem.sample(settings.instances, nature) if examples is None else examples.observations
        )
        self.network = PriceNetwork(settings.width, settings.rounds)
        self.network.initialise(seeded_generator(seed))
        self.optimizer = AdamOptimizer(self.network, settings.learning_rate)
        self._labelled: dict[int, LabelledBatch] = {}

    def advance(self, tracker: TrainingProgress) -> None:
        """Descend the price error in the first phase of the training, and then the bound loss."""
        number, spent = tracker.iteration % self.settings.batches, tracker.spent
        if number not in self._labelled:
            stream = np.random.SeedSequence(self.seed, spawn_key=(number,))
            self._labelled[number] = self.settings.cut(self._costs, stream)
        batch = self._labelled[number]
        v = self.network(batch.instances)
        imitates = spent < self.settings.imitation_share
        self.optimizer.descend(batch.price_error(v) if imitates else batch.bound_loss(v), spent)
        tracker.advance(1, partial(_measured, self.network, batch))

    def policy(self, origin: Origin) -> PricePolicy:
        """Create the policy that decides by the predicted prices."""
        return PricePolicy(self.problem, self.network, origin)


@dataclass(frozen=True)
class LabelledBatch:
    """Instances of one size with the root prices ``[count, servers]`` that maximise their bounds."""

    instances: NormalisedAssignment
    v: Tensor

    def price_error(self, v: Tensor) -> Tensor:
        """Squared error of prices, by capacity, relative to the squared prices: mean over instances."""
        capacity = self.instances.capacity
        scale = (capacity * self.v.square()).sum(dim=1)
        return ((capacity * (v - self.v).square()).sum(dim=1) / (scale + SMALL)).mean()

    def bound_loss(self, v: Tensor) -> Tensor:
        """Bound of the labelled prices minus that of the predicted ones, per task: mean over instances."""
        return (self.instances.bound(self.v) - self.instances.bound(v)).mean()


@dataclass(frozen=True)
class _DemonstratedInstances:
    """Demonstrated instances: a checkpoint belongs to the training that was given the same ones."""

    observations: Observation

    @classmethod
    def of(cls, problem: Problem[Any], demonstrations: Demonstrations) -> Self:
        for name, field in problem.observation_fields.items():
            field.check(name, demonstrations.observations[name], problem.horizon)
        return cls(demonstrations.observations)

    @property
    def count(self) -> int:
        return self.observations.count

    def arrays(self) -> dict[str, NDArray[Any]]:
        return dict(self.observations)


def _best_prices(instances: NormalisedAssignment) -> Tensor:
    cost = np.concatenate([instances.local.numpy()[:, None], instances.link.numpy()], axis=1).transpose(0, 2, 1)
    load, tasks = instances.load.numpy(), instances.load.shape[1]
    capacity = instances.capacity.numpy() * tasks
    rows = range(len(load))
    return torch.from_numpy(np.stack([find_prices(np.ascontiguousarray(cost[i]), load[i], capacity[i]) for i in rows]))


def _measured(network: PriceNetwork, batch: LabelledBatch) -> dict[str, float]:
    with torch.inference_mode():
        v = network(batch.instances)
        return {"train/price_error": float(batch.price_error(v)), "train/bound_loss": float(batch.bound_loss(v))}
