"""Lévy flight search for assignments, and the classic Lévy flight that it is compared with.

Jiang et al. (arXiv:2005.12364), section V-D and Algorithm 4; equation numbers are the paper's, and
`offloadopt.solvers.levy` says what its text leaves open. For assignments this implementation uses:

* (25) local computing, which has no link, is given the best gain (``local_quality``). With the worst gain, every local
  task would be redrawn in every generation;
* powers and CPU shares are not coordinates of the search: (13) gives the optimal ones for every assignment, so that the
  cost in (28) is exact and never infeasible;
* of the members of the population the first starts all local, the others at random;
* a missing link that is drawn is replaced by local computing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.quantities import Factor
from offloadopt.solvers.assignment.base import AssignmentSolver, link_quality, without_missing_links
from offloadopt.solvers.levy import Coordinates, GainGuidedLevy, LevySettings, best_of, flight, without_missing
from offloadopt.structures.assignment import AssignmentProblem


class LevySearch(LevySettings, AssignmentSolver):
    """Base class of Lévy searches: initial population, and selection of candidates that are not worse (28)."""

    def block_size(self, problem: AssignmentProblem[Any]) -> int:
        """Number of instances whose populations are processed at the same time."""
        return max(1, 2**17 // (self.population * problem.tasks))

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Search from an initial population whose first member is all local and whose others are random."""
        tasks = problem.tasks
        shape = (observation.count, self.population, tasks)
        start = rng.integers(0, problem.servers + 1, size=shape)
        start[:, 0] = 0
        return self._best(problem, observation, start, rng), None

    def refine(
        self,
        problem: AssignmentProblem[Any],
        observation: Observation | Instances,
        assignment: IntArray,
        rng: np.random.Generator,
    ) -> IntArray:
        """Improve a given assignment by Algorithm 4; the result ``[count, tasks]`` never costs more.

        All instances are processed at the same time; memory is proportional to ``count * population * tasks``.

        Parameters
        ----------
        assignment : array [count, tasks]
            Initial value of all members; missing links are replaced by local computing.
        rng : Generator
            Spawns new streams in every generation, different ones in every call.
        """
        start = without_missing_links(problem, observation, assignment)
        return self._best(problem, observation, np.repeat(start[:, None], self.population, axis=1), rng)

    def _best(
        self,
        problem: AssignmentProblem[Any],
        observation: Observation | Instances,
        start: IntArray,
        rng: np.random.Generator,
    ) -> IntArray:
        quality = link_quality(problem, observation)
        cost_of = problem.costs(observation).cost
        population = without_missing(start, quality)
        cost = self.improve(cost_of, quality, population, rng, Deadline(self.time_limit_s, len(population)))
        return best_of(population, cost)

    @abstractmethod
    def improve(
        self,
        cost_of: Callable[[IntArray], FloatArray],
        quality: FloatArray,
        population: IntArray,
        rng: np.random.Generator,
        deadline: Deadline,
    ) -> FloatArray:
        """Improve a population ``[count, population, tasks]`` in place and return its cost ``[count, population]``."""


class Levy(GainGuidedLevy, LevySearch):
    """Algorithm 4 for assignments."""

    name = "levy"


class LevyClassic(LevySearch):
    """The classic Lévy flight (23) on a continuous relaxation of the options, with greedy selection (28).

    Option ``k`` is the interval from ``k`` to ``k + 1``; coordinates are clipped to the range of the options. Channel
    gains are not used. The default step scale was tuned.
    """

    name = "levy-classic"

    step_scale: Factor = Field(0.1, gt=0, description="alpha_s, scale of the flight's steps")

    def improve(
        self,
        cost_of: Callable[[IntArray], FloatArray],
        quality: FloatArray,
        population: IntArray,
        rng: np.random.Generator,
        deadline: Deadline,
    ) -> FloatArray:
        """Improve a population in place, as `GainGuidedLevy.improve` does."""
        options = quality.shape[-1]

        def propose(_: float) -> Coordinates:
            (normal,) = rng.spawn(1)
            (steps,) = self.steps(normal, population.shape, 1)
            moved = flight(coordinates, steps, self.step_scale, 0.0, options)  # (23)
            return without_missing(np.minimum(moved.astype(np.int64), options - 1), quality), moved

        coordinates: FloatArray = population + np.float64(0.5)
        return self.select_greedily(lambda chosen, _: cost_of(chosen), (population, coordinates), propose, deadline)
