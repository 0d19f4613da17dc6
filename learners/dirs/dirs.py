"""DIRS: an ensemble of one network per server, imitation acceleration, and Lévy refinement (arXiv:2005.12364).

Jiang, Dong, Wang, Yang, Pan, IEEE Internet of Things Journal 9(9), 2022. Numbers are the paper's.

1. (Algorithm 2) an expert labels states, and every agent is trained on the demonstration loss (15) alone;
2. (Algorithm 1) then, in each slot, a new state is sampled: each agent votes by its own links, the strongest vote
   decides, and the allocation (13) follows;
3. (Algorithm 3) every ``interval`` slots the action is refined by Lévy search with a large beta (Algorithm 4), appended
   to the replay, and Adam takes one step on ``J = J_D + J_A`` (17) over a prioritised batch (16).

`PAPER` holds the paper's numbers. The defaults differ: many exact demonstrations and a longer pre-training instead of
256 demonstrations by Lévy search, and a learning rate that falls along a cosine. A budget other than the default is
divided between pre-training and slots in the same proportion.

Recorded results: ``docs/results/learners.md``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from offloadopt import registry
from offloadopt.core import Demonstrations, Instances, IntArray, Observation, Problem
from offloadopt.errors import InvalidInput
from offloadopt.formats.reading import refuse_damage
from offloadopt.learners.common.checkpoint import restored
from offloadopt.learners.common.training import OneSlotLearner, TrainingProgress, episode_metrics
from offloadopt.learners.dirs.demonstrations import Examples, first_observation
from offloadopt.learners.dirs.ensemble import (
    EnsemblePolicy,
    cross_entropy,
    linked_vote,
    probabilities,
    server_labels,
    view_tensor,
)
from offloadopt.learners.dirs.imitation import SupervisedTraining, losses_by_agent
from offloadopt.learners.dirs.prioritised_replay import Replay
from offloadopt.quantities import Factor, Layer, Rate, Rounds, Size
from offloadopt.solvers.assignment.levy import LevySearch
from offloadopt.solvers.expert import AUTO
from offloadopt.structures.assignment import AssignmentProblem

PAPER: Mapping[str, Any] = {
    "demonstrations": 256,
    "expert": "levy",
    "pretraining": 1000,
    "learning_rate": 1e-3,
    "final_learning_rate": 1e-3,
    "l2": 1e-3,
}
"""``Dirs(**PAPER)``: the paper's settings; learning rate and L2 weight, which its text lacks, are common ones."""
LABELLED_OPTIONS = 2_949_120
"""Tasks x options of all demonstrations together, unless their number is given: 32,768 of the paper's size."""
UNLABELLED = 1024
"""States whose mean and deviation standardise the views where there are no demonstrations."""
BLOCK = 256
"""Demonstrations in a batch of the expert."""
DEMONSTRATIONS, SLOTS, STATES = 1, 2, 3
"""Branches of the seed. Every step has streams of its own, so a training continues without any generator's state."""


class Dirs(OneSlotLearner):
    """DIRS: an ensemble of one network per server, with imitation acceleration and Lévy-refined actions."""

    name = "dirs"
    serves: ClassVar[type[Problem[Any]]] = AssignmentProblem  # type: ignore[type-abstract]
    policy_type = EnsemblePolicy
    uses_demonstrations = True

    hidden: tuple[Layer, ...] = Field((80, 60), description="widths of the hidden layers")
    imitation: bool = Field(True, description="pre-train on demonstrations and keep replaying them")
    expert: str = Field(
        AUTO, description=f"solver that demonstrates, if none are given: {AUTO} (by size) or a solver's name"
    )
    demonstrations: Size | None = Field(
        None, ge=1, description="how many, if none are given; none: by size, 32,768 at the paper's"
    )
    pretraining: Rounds = Field(6000, ge=1, description="gradient steps on demonstrations alone")
    slots: Rounds = Field(3000, ge=0, description="slots decided after that, unless a budget says otherwise")
    interval: Rounds = Field(10, ge=1, description="slots between two trainings")
    refinement: Literal["levy", "exact", "none"] = Field("levy", description="what improves the action to be learned")
    beta: float = Field(1.5, ge=0.3, le=1.99, description="Lévy exponent of the refinement")
    generations: Rounds = Field(100, ge=1, description="rounds of the refinement")
    population: Size = Field(20, ge=1, description="searches of the refinement, all from the voted action")
    batch_size: Size = Field(256, ge=1, description="transitions in a gradient step")
    replay_size: Size = Field(1024, ge=1, description="own transitions that are held, beside all demonstrations")
    priority_exponent: Factor = Field(0.5, ge=0, description="a of (16)")
    demonstration_priority: Factor = Field(0.08, gt=0, description="constant of a demonstration's priority (16)")
    own_priority: Factor = Field(0.02, gt=0, description="constant of an own transition's priority (16)")
    l2: Factor = Field(5e-4, ge=0, description="weight of the squared norm of an agent's parameters; 0: none")
    learning_rate: Rate = Field(5e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    final_learning_rate: Rate = Field(0.0, ge=0, description="Adam's step size at the end")

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not self.imitation and self.slots == 0:
            raise ValueError("imitation = False with slots = 0 trains nothing; allowed: one of both")
        return self

    @property
    def iterations_in_all(self) -> int:
        """Gradient steps of pre-training and slots after it, without a budget."""
        return (self.pretraining if self.imitation else 0) + self.slots

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: of the minibatches of pre-training, and in the slots."""
        pretrained = self.pretraining * self.batch_size if self.imitation else 0
        return (pretrained + self.slots) * problem.num_agents

    def iterations(self, problem: Problem[Any], steps: int) -> int:
        """Gradient steps and slots of a budget, which shortens or lengthens both stages by the same factor."""
        return -(-steps * self.iterations_in_all // self.default_steps(problem))

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also problems whose optima are not known, where these are the actions to be learned."""
        super().require(problem)
        if self.refinement == "exact":
            registry.solver("exact", problem)

    def read_demonstrations(self, problem: Any, demonstrations: Demonstrations) -> Examples:
        """An expert's labels of the servers' views; without them the learner's own expert makes some."""
        if not self.imitation:
            raise InvalidInput("demonstrations were given, but imitation = False; allowed: none")
        return Examples.of(problem, demonstrations)

    def make_training(
        self, problem: Any, seed: int, examples: Examples | None, tracker: TrainingProgress
    ) -> DirsTraining:
        """Create one network per server with initial weights, and demonstrations if none are given."""
        if examples is None:
            examples = self._demonstrated(problem, seed, tracker)
        return DirsTraining(self, problem, examples, seed, tracker.iteration)

    def _demonstrated(self, problem: AssignmentProblem[Any], seed: int, tracker: TrainingProgress) -> Examples:
        """The expert's solutions of sampled states, made within half of the budget's seconds; none without imitation.

        Their seconds count in the budget; what is left of it is that of the training.
        """
        if not self.imitation:
            return Examples.none(problem)

        def make() -> dict[str, NDArray[Any]]:
            begin = time.monotonic()
            examples = self._demonstrate(problem, seed, tracker.seconds)
            return {**examples.arrays(), "seconds": np.array([time.monotonic() - begin])}

        arrays = tracker.once("demonstrations", make)
        with refuse_damage("kept-demonstrations.safetensors", "does not hold demonstrations of this problem"):
            tracker.begin_again(restored("seconds", 0.0, arrays))
            return Examples.from_arrays(problem, arrays)

    def _demonstrate(self, problem: AssignmentProblem[Any], seed: int, seconds: float) -> Examples:
        """Let the expert decide block by block; under a time limit, a block should take half of the time left."""
        begin, ends, limited = time.monotonic(), 0.5 * seconds, math.isfinite(seconds)
        count = self.demonstrations or max(1, LABELLED_OPTIONS // (problem.tasks * (problem.servers + 1)))
        found: list[Examples] = []
        start, spent = 0, 0.0
        while start < count and spent < ends:
            size = _block_size(start, spent, ends - spent) if limited else BLOCK
            # No instance alone may take more than all that is left.
            limit = ends - spent if limited else None
            expert = registry.solver("expert", problem, method=self.expert, time_limit_s=limit)
            nature, search = _branch(seed, DEMONSTRATIONS, start).spawn(2)
            instances = problem.sample(min(size, count - start), _number(nature))
            solutions = expert.run(problem, instances, seed=_number(search))
            block = Demonstrations(instances, first_observation(problem, instances), solutions)
            found.append(Examples.of(problem, block))
            start, spent = start + instances.count, time.monotonic() - begin
        return Examples.concatenate(found)


class DirsTraining(SupervisedTraining):
    """Networks and their replay; an iteration is a gradient step of pre-training, or the slots up to the next training.

    Parameters
    ----------
    settings : Dirs
    problem : AssignmentProblem
    examples : Examples
        Demonstrations, given or made.
    seed : int
    done : int
        Iterations that are done already.
    """

    state_fields = ("replay",)

    def __init__(
        self, settings: Dirs, problem: AssignmentProblem[Any], examples: Examples, seed: int, done: int
    ) -> None:
        s = settings
        shape = s.hidden, s.l2, s.batch_size, (s.learning_rate, s.final_learning_rate)
        super().__init__(problem, examples, *shape, seed, done)
        self.settings, self.seed = settings, seed
        if examples.count == 0:
            states = problem.sample(UNLABELLED, _number(_branch(seed, STATES)))
            self.agents.networks.standardise(view_tensor(problem, first_observation(problem, states)))
        self.replay = Replay(
            examples.view,
            examples.labels,
            room=s.replay_size,
            exponent=s.priority_exponent,
            demonstration_priority=s.demonstration_priority,
            own_priority=s.own_priority,
        )

    def advance(self, tracker: TrainingProgress) -> None:
        """Pre-train (Algorithm 2) in its share of the budget, then decide slots (Algorithm 1)."""
        s = self.settings
        if s.imitation and tracker.spent < s.pretraining / s.iterations_in_all:
            super().advance(tracker)
        else:
            self._interact(tracker)

    def _interact(self, tracker: TrainingProgress) -> None:
        """Decide the slots until the next training at once (the agents do not change between), and train."""
        problem, interval = self.problem, self.settings.interval
        slots = min(interval, tracker.left)
        nature, search, batch = _branch(self.seed, SLOTS, tracker.iteration).spawn(3)
        instances = problem.sample(slots, _number(nature))
        observation = first_observation(problem, instances)
        view, assignment, measured = self._decide(instances, observation)
        if slots < interval:
            tracker.advance(slots, None, decisions=slots * problem.num_agents)
            return
        last = slice(slots - 1, slots)  # Algorithm 3
        refined = self._refine(
            instances.take(last), observation.take(last), assignment[last], np.random.default_rng(search)
        )
        self.replay.append(view[-1], server_labels(refined, problem.servers)[0])
        loss = self._train(tracker.spent, np.random.default_rng(batch))
        tracker.advance(slots, lambda: {**losses_by_agent(loss), **measured}, decisions=slots * problem.num_agents)

    def also_recorded(self, tracker: TrainingProgress) -> Mapping[str, float]:
        """Metrics of decisions in sampled states that are not trained on."""
        instances = self.problem.sample(self.settings.interval, _number(_branch(self.seed, SLOTS, tracker.iteration)))
        return self._decide(instances, first_observation(self.problem, instances))[2]

    def _decide(self, instances: Instances, observation: Observation) -> tuple[Tensor, IntArray, dict[str, float]]:
        """Views, voted assignments and mean costs of instances."""
        problem = self.problem
        view = view_tensor(problem, observation)
        assignment = linked_vote(problem, observation, probabilities(self.agents.networks, view))
        outcome = problem.evaluate(instances, problem.allocate(observation, assignment))
        return view, assignment, episode_metrics([outcome])

    def _refine(
        self, instances: Instances, observation: Observation, assignment: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """Refine the action to be learned: by Algorithm 4, or by its replacement in an ablation."""
        s, problem = self.settings, self.problem
        if s.refinement == "levy":
            options = {name: getattr(s, name) for name in ("beta", "generations", "population")}
            search = cast(LevySearch, registry.solver("levy", problem, **options))
            return search.refine(problem, observation, assignment, rng)
        if s.refinement == "exact":
            return problem.assignment(registry.solver("exact", problem).run(problem, instances).decisions)
        return assignment

    def _train(self, spent: float, rng: np.random.Generator) -> Tensor:
        """One step on a prioritised batch; returns the agents' losses (17) before it."""
        replay, networks = self.replay, self.agents.networks
        rows = replay.draw(self.settings.batch_size, rng)
        view, labels = replay.view[rows], replay.labels[rows]
        entropy = cross_entropy(networks(view), labels)
        demonstrated = torch.from_numpy(rows < replay.demonstrations)
        loss = total_loss(entropy, demonstrated, networks.squared_norm(), self.l2)
        self.agents.descend(loss, spent)
        with torch.no_grad():
            after = cross_entropy(networks(view), labels)
            replay.update(rows, (after - entropy).mean(dim=1).double().numpy())
        return loss


def total_loss(entropy: Tensor, demonstrated: Tensor, squared_norm: Tensor, l2: float) -> Tensor:
    """``J = J_D + J_A`` of every agent, equation (17), ``[servers]``.

    Each part is the mean cross-entropy of its transitions plus ``l2 ||theta_j||_2^2``, (15) and (18); a part without
    transitions in the batch is left out.

    Parameters
    ----------
    entropy : Tensor [batch, servers]
    demonstrated : Tensor [batch] of bool
    squared_norm : Tensor [servers]
    """
    parts = [entropy[mine].mean(dim=0) + l2 * squared_norm for mine in (demonstrated, ~demonstrated) if mine.any()]
    return torch.stack(parts).sum(dim=0)


def _block_size(done: int, spent: float, left: float) -> int:
    """Demonstrations for half of the seconds left at the pace so far, no more than all before: their times vary."""
    fits = int(0.5 * left * done / spent) if spent > 0 else BLOCK
    return max(1, min(BLOCK, done, fits))


def _branch(seed: int, *branch: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=branch)


def _number(stream: np.random.SeedSequence) -> int:
    """Integer seed of a stream."""
    return int(stream.generate_state(1, np.uint64)[0])
