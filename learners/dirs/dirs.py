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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from offloadopt import registry
from offloadopt.core import (
    Budget,
    Demonstrations,
    Instances,
    IntArray,
    Learner,
    Observation,
    Problem,
    Progress,
    Record,
)
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.optimizer import AdamOptimizer
from offloadopt.learners.common.saved_policy import Origin
from offloadopt.learners.common.torch_utils import one_thread, seeded_generator
from offloadopt.learners.common.training import TrainingProgress, episode_metrics, minibatches
from offloadopt.learners.dirs.demonstrations import Examples
from offloadopt.learners.dirs.ensemble import (
    EnsemblePolicy,
    ServerNetworks,
    cross_entropy,
    features_of,
    linked_vote,
    probabilities,
    server_labels,
    view_tensor,
)
from offloadopt.learners.dirs.imitation import losses_by_agent, supervise
from offloadopt.learners.dirs.prioritised_replay import Replay
from offloadopt.solvers.assignment.expert import AUTO
from offloadopt.solvers.assignment.levy import LevySearch
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


class Dirs(Learner):
    """DIRS: an ensemble of one network per server, with imitation acceleration and Lévy-refined actions."""

    name = "dirs"
    serves: ClassVar[type[Problem[Any]]] = AssignmentProblem  # type: ignore[type-abstract]
    policy_type = EnsemblePolicy
    uses_demonstrations = True

    hidden: tuple[PositiveInt, ...] = Field((80, 60), description="widths of the hidden layers")
    imitation: bool = Field(True, description="pre-train on demonstrations and keep replaying them")
    expert: str = Field(
        AUTO, description=f"solver that demonstrates, if none are given: {AUTO} (by size) or a solver's name"
    )
    demonstrations: int | None = Field(
        None, ge=1, description="how many, if none are given; none: by size, 32,768 at the paper's"
    )
    pretraining: int = Field(6000, ge=1, description="gradient steps on demonstrations alone")
    slots: int = Field(3000, ge=0, description="slots decided after that, unless a budget says otherwise")
    interval: int = Field(10, ge=1, description="slots between two trainings")
    refinement: Literal["levy", "exact", "none"] = Field("levy", description="what improves the action to be learned")
    beta: float = Field(1.5, ge=0.3, le=1.99, description="Lévy exponent of the refinement")
    generations: int = Field(100, ge=1, description="rounds of the refinement")
    population: int = Field(20, ge=1, description="searches of the refinement, all from the voted action")
    batch_size: int = Field(256, ge=1, description="transitions in a gradient step")
    replay_size: int = Field(1024, ge=1, description="own transitions that are held, beside all demonstrations")
    priority_exponent: float = Field(0.5, ge=0, description="a of (16)")
    demonstration_priority: float = Field(0.08, gt=0, description="constant of a demonstration's priority (16)")
    own_priority: float = Field(0.02, gt=0, description="constant of an own transition's priority (16)")
    l2: float = Field(5e-4, ge=0, description="weight of the squared norm of an agent's parameters; 0: none")
    learning_rate: float = Field(5e-3, gt=0, description="Adam's step size at the start; it falls along a cosine")
    final_learning_rate: float = Field(0.0, ge=0, description="Adam's step size at the end")

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not self.imitation and self.slots == 0:
            raise ValueError("imitation = False with slots = 0 trains nothing; allowed: one of both")
        return self

    @property
    def iterations(self) -> int:
        """Gradient steps of pre-training and slots after it, without a budget."""
        return (self.pretraining if self.imitation else 0) + self.slots

    def default_steps(self, problem: Problem[Any]) -> int:
        """Decisions that training uses without a budget: of the minibatches of pre-training, and in the slots."""
        pretrained = self.pretraining * self.batch_size if self.imitation else 0
        return (pretrained + self.slots) * problem.num_agents

    def require(self, problem: Problem[Any]) -> None:
        """Refuse problems without assignments, and those with more than one slot."""
        super().require(problem)
        if problem.horizon > 1:
            raise Unsupported(f"learner {self.name!r} decides one slot; {problem.name!r} has horizon {problem.horizon}")
        if self.refinement == "exact":
            registry.solver("exact", problem)

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
        """Train one network per server.

        Parameters
        ----------
        problem : AssignmentProblem
        demonstrations : Demonstrations, optional
            Feasible solutions of instances of ``problem``; without them the expert makes some.
        budget : Budget, optional
            Without it `default_steps`. Other ``steps`` shorten or lengthen pre-training and slots by the same factor; a
            minibatch of pre-training counts ``batch_size`` instances, also where all demonstrations are fewer. Training
            ends early when ``seconds`` are over, those of the demonstrations included; it then depends on the clock.
            The expert makes as many demonstrations as it can in half of them, at least one.
        seed : int
            Of demonstrations, initial weights, batches, slots and searches.
        progress : callable, optional
            Called with the number of decisions since the last call.
        record : callable, optional
            Called with each agent's loss on a batch (``train/loss_agent_1`` and so on), (15) in pre-training and (17)
            after it; with ``episode/cost``, ``episode/objective`` and metrics of the agents' decisions in the slots
            between two trainings. In pre-training, as many states are decided for the record alone.
        checkpoint : Path, optional
            Folder from which an interrupted training continues.

        Raises
        ------
        InvalidInput
            If the demonstrations do not fit the problem, one is not feasible, or ``imitation`` is off.
        """
        begin = time.monotonic()
        self.require(problem)
        self.check_demonstrations(demonstrations is not None)
        problem = cast(AssignmentProblem[Any], problem)
        if demonstrations is not None and not self.imitation:
            raise InvalidInput("demonstrations were given, but imitation = False; allowed: none")
        given = None if demonstrations is None else Examples.of(problem, demonstrations)
        if given is not None and given.count == 0:
            raise InvalidInput(f"learner {self.name!r} was given no demonstration; allowed: 1 or more, or none at all")
        store = Checkpoint.of(checkpoint, self, problem, budget, seed, given)
        budget = budget or Budget()
        spent = 0.0
        if given is None:
            examples, spent = self._demonstrated(problem, seed, store, budget.seconds)
        else:
            examples = given
        if budget.seconds is not None:
            left = budget.seconds - max(spent, time.monotonic() - begin)
            budget = replace(budget, seconds=max(left, 1e-9))
        tracker = TrainingProgress(
            time.monotonic(),
            self._iterations(problem, budget.steps),
            Budget(seconds=budget.seconds),
            progress,
            record,
            store,
            decisions=self.batch_size * problem.num_agents,
        )
        with one_thread():
            generator = seeded_generator(seed)
            agents = self._agents(problem, examples, generator, seed)
            replay = self._replay(examples)
            state = {} if store is None else store.read()
            if state:
                agents.restore(state)
                replay.restore(state)
            batches = minibatches(examples.count, self.batch_size, generator)
            if self.imitation:  # Algorithm 2
                share = self.pretraining / self.iterations
                also_recorded = partial(self._decisions_to_record, problem, tracker, agents, seed)
                supervise(tracker, share, agents, examples, batches, self.l2, also_recorded)
            while tracker.spent < 1.0:  # Algorithm 1
                self._interact(problem, tracker, agents, replay, seed)
                tracker.keep(lambda: agents.arrays() | replay.arrays())
            tracker.finish(lambda: agents.arrays() | replay.arrays())
        trained = {"demonstrations": examples.count, **examples.certificate()}
        origin = Origin.of(self, problem, seed=seed, steps=tracker.step, **trained)
        return EnsemblePolicy(problem, agents.networks, origin)

    def _iterations(self, problem: Problem[Any], steps: int | None) -> int:
        """Gradient steps of pre-training and slots in a budget of so many decisions."""
        return self.iterations if steps is None else -(-steps * self.iterations // self.default_steps(problem))

    def _demonstrated(
        self, problem: AssignmentProblem[Any], seed: int, store: Checkpoint | None, seconds: float | None
    ) -> tuple[Examples, float]:
        """The expert's solutions of sampled states, nothing without imitation; and the seconds that they took."""
        if not self.imitation:
            return Examples.none(problem), 0.0

        def make() -> dict[str, NDArray[Any]]:
            begin = time.monotonic()
            examples = self._demonstrate(problem, seed, seconds)
            return {**examples.arrays(), "seconds": np.array([time.monotonic() - begin])}

        arrays = make() if store is None else store.once("demonstrations", make)
        return Examples.from_arrays(arrays), float(arrays["seconds"][0])

    def _demonstrate(self, problem: AssignmentProblem[Any], seed: int, seconds: float | None) -> Examples:
        """Let the expert decide block by block; under a time limit, a block should take half of the time left."""
        begin, ends = time.monotonic(), math.inf if seconds is None else 0.5 * seconds
        count = self.demonstrations or max(1, LABELLED_OPTIONS // (problem.tasks * (problem.servers + 1)))
        found: list[Examples] = []
        start, spent = 0, 0.0
        while start < count and spent < ends:
            size = BLOCK if seconds is None else _block_size(start, spent, ends - spent)
            # No instance alone may take more than all that is left.
            limit = None if seconds is None else ends - spent
            expert = registry.solver("expert", problem, method=self.expert, time_limit_s=limit)
            nature, search = _branch(seed, DEMONSTRATIONS, start).spawn(2)
            instances = problem.sample(min(size, count - start), _number(nature))
            solutions = expert.run(problem, instances, seed=_number(search))
            block = Demonstrations(instances, _observe(problem, instances), solutions)
            found.append(Examples.of(problem, block))
            start, spent = start + instances.count, time.monotonic() - begin
        return Examples.concatenate(found)

    def _agents(
        self, problem: AssignmentProblem[Any], examples: Examples, generator: torch.Generator, seed: int
    ) -> AdamOptimizer[ServerNetworks]:
        networks = ServerNetworks(problem.servers, (features_of(problem), *self.hidden, problem.tasks))
        networks.initialise(generator)
        view = examples.view
        if examples.count == 0:
            states = problem.sample(UNLABELLED, _number(_branch(seed, STATES)))
            view = view_tensor(problem, _observe(problem, states))
        networks.standardise(view)
        return AdamOptimizer(networks, self.learning_rate, self.final_learning_rate)

    def _replay(self, examples: Examples) -> Replay:
        return Replay(
            examples.view,
            examples.labels,
            room=self.replay_size,
            exponent=self.priority_exponent,
            demonstration_priority=self.demonstration_priority,
            own_priority=self.own_priority,
        )

    def _interact(
        self,
        problem: AssignmentProblem[Any],
        tracker: TrainingProgress,
        agents: AdamOptimizer[ServerNetworks],
        replay: Replay,
        seed: int,
    ) -> None:
        """Decide the slots until the next training at once (the agents do not change between), and train."""
        slots = min(self.interval, tracker.left)
        nature, search, batch = _branch(seed, SLOTS, tracker.iteration).spawn(3)
        instances = problem.sample(slots, _number(nature))
        observation = _observe(problem, instances)
        view, assignment, measured = _decide(problem, agents, instances, observation)
        if slots < self.interval:
            tracker.advance(slots, None, decisions=slots * problem.num_agents)
            return
        last = slice(slots - 1, slots)  # Algorithm 3
        refined = self._refine(
            problem, instances.take(last), observation.take(last), assignment[last], np.random.default_rng(search)
        )
        replay.append(view[-1], server_labels(refined, problem.servers)[0])
        loss = self._train(agents, replay, tracker.spent, np.random.default_rng(batch))
        tracker.advance(slots, lambda: {**losses_by_agent(loss), **measured}, decisions=slots * problem.num_agents)

    def _decisions_to_record(
        self,
        problem: AssignmentProblem[Any],
        tracker: TrainingProgress,
        agents: AdamOptimizer[ServerNetworks],
        seed: int,
    ) -> Mapping[str, float]:
        """Metrics of decisions in sampled states that are not trained on."""
        instances = problem.sample(self.interval, _number(_branch(seed, SLOTS, tracker.iteration)))
        return _decide(problem, agents, instances, _observe(problem, instances))[2]

    def _refine(
        self,
        problem: AssignmentProblem[Any],
        instances: Instances,
        observation: Observation,
        assignment: IntArray,
        rng: np.random.Generator,
    ) -> IntArray:
        """Refine the action to be learned: by Algorithm 4, or by its replacement in an ablation."""
        if self.refinement == "levy":
            options = {name: getattr(self, name) for name in ("beta", "generations", "population")}
            search = cast(LevySearch, registry.solver("levy", problem, **options))
            return search.refine(problem, observation, assignment, rng)
        if self.refinement == "exact":
            return problem.assignment(registry.solver("exact", problem).run(problem, instances).decisions)
        return assignment

    def _train(
        self, agents: AdamOptimizer[ServerNetworks], replay: Replay, spent: float, rng: np.random.Generator
    ) -> Tensor:
        """One step on a prioritised batch; returns the agents' losses (17) before it."""
        rows = replay.draw(self.batch_size, rng)
        view, labels = replay.view[rows], replay.labels[rows]
        entropy = cross_entropy(agents.networks(view), labels)
        demonstrated = torch.from_numpy(rows < replay.demonstrations)
        loss = total_loss(entropy, demonstrated, agents.networks.squared_norm(), self.l2)
        agents.descend(loss, spent)
        with torch.no_grad():
            after = cross_entropy(agents.networks(view), labels)
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


def _decide(
    problem: AssignmentProblem[Any],
    agents: AdamOptimizer[ServerNetworks],
    instances: Instances,
    observation: Observation,
) -> tuple[Tensor, IntArray, dict[str, float]]:
    """Views, voted assignments and mean costs of instances."""
    view = view_tensor(problem, observation)
    assignment = linked_vote(problem, observation, probabilities(agents.networks, view))
    outcome = problem.evaluate(instances, problem.allocate(observation, assignment))
    return view, assignment, episode_metrics([outcome])


def _block_size(done: int, spent: float, left: float) -> int:
    """Demonstrations for half of the seconds left at the pace so far, no more than all before: their times vary."""
    fits = int(0.5 * left * done / spent) if spent > 0 else BLOCK
    return max(1, min(BLOCK, done, fits))


def _observe(problem: Problem[Any], instances: Instances) -> Observation:
    return problem.observe(instances, problem.reset(instances))


def _branch(seed: int, *branch: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=branch)


def _number(stream: np.random.SeedSequence) -> int:
    """Integer seed of a stream."""
    return int(stream.generate_state(1, np.uint64)[0])
