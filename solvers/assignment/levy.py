"""Lévy flight search for assignments, and the classic Lévy flight that it is compared with.

Jiang et al. (arXiv:2005.12364), section V-D and Algorithm 4; equation numbers are the paper's. The text leaves the
direction of the comparisons in (25) to (27), the weight (26) and the population open; this implementation uses:

* (25) a task keeps its option where the link's normalised gain is at least the weighted Lévy step, else it draws a new
  option; local computing, which has no link, is given the best gain (``local_quality``). With the worst gain, every
  local task would be redrawn in every generation;
* (26) the weight falls linearly from 1 to ``1 / generations``;
* (27) the mutant's option is taken where the weighted step exceeds the threshold;
* powers and CPU shares are not coordinates of the search: (13) gives the optimal ones for every assignment, so that the
  cost in (28) is exact and never infeasible;
* members of the population are independent; the best one is returned. The first starts all local, the others at random;
* a missing link that is drawn is replaced by local computing.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import FloatArray, Instances, IntArray, Observation, Settings
from offloadopt.progress import begin_search, report
from offloadopt.quantities import Factor, Rounds, Size
from offloadopt.solvers.assignment.base import AssignmentSolver, link_quality, without_missing_links
from offloadopt.structures.assignment import AssignmentProblem


def mantegna_scale(beta: float) -> float:
    """Scale ``sigma_u`` of Mantegna's algorithm for Lévy steps, equation (22)."""
    top = math.gamma(1 + beta) * math.sin(math.pi * beta / 2)
    bottom = math.gamma((1 + beta) / 2) * beta * 2 ** ((beta - 1) / 2)
    return float((top / bottom) ** (1 / beta))


def levy_steps(u: FloatArray, v: FloatArray, beta: float) -> FloatArray:
    """Compute Lévy steps ``sigma_u u / |v|^(1/beta)`` from standard normal ``u`` and ``v``, equations (20), (21)."""
    return np.asarray(mantegna_scale(beta) * u / np.abs(v) ** (1.0 / beta))


def h_mutation(options: IntArray, drawn: IntArray, quality: FloatArray, steps: FloatArray, weight: float) -> IntArray:
    """Compute the mutant of equation (25): options over links of high gain tend to be kept.

    Parameters
    ----------
    options, drawn : array [...]
        Present and randomly drawn options.
    quality : array [...]
        Normalised gain of the present option.
    steps : array [...]
        Lévy steps.
    weight : float
        ``w_g`` of equation (26).
    """
    return np.where(quality < weight * np.abs(steps), drawn, options)


def levy_crossover(options: IntArray, mutant: IntArray, steps: FloatArray, weight: float, threshold: float) -> IntArray:
    """Compute the candidate of equation (27): the mutant's option where a weighted Lévy step exceeds the threshold."""
    return np.where(weight * np.abs(steps) > threshold, mutant, options)


class LevySettings(Settings):
    """Parameters that all Lévy searches have."""

    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent: 1.1 searches globally, 1.5 locally")
    generations: Rounds = Field(1000, ge=1, description="G, number of generations")
    population: Size = Field(5, ge=1, description="number of independent searches")


class GainGuidedLevy(LevySettings):
    """Algorithm 4 on any costs: h mutation (25), Lévy crossover (27), greedy selection (28)."""

    threshold: Factor = Field(0.5, ge=0, description="C, the crossover's threshold")
    local_quality: float = Field(1.0, ge=0, le=1, description="normalised gain of local computing in (25)")

    def improve(
        self,
        cost_of: Callable[[IntArray], FloatArray],
        quality: FloatArray,
        population: IntArray,
        rng: np.random.Generator,
        deadline: Deadline,
    ) -> FloatArray:
        """Improve a population in place.

        Parameters
        ----------
        cost_of : callable
            Costs ``[count, population]`` of such a population.
        quality : array [count, tasks, options]
            Normalised gain; 0 for local computing and missing links.
        population : array [count, population, tasks]
            Options without missing links.
        rng : Generator
        deadline : Deadline
            Checked before each generation.

        Returns
        -------
        array [count, population]
            Cost of the members.
        """
        count, members, tasks = population.shape
        stability = quality.copy()
        stability[..., 0] = self.local_quality
        cost = cost_of(population)
        begin_search("" if count == 1 else f"mean of {count} searches")
        for generation in range(self.generations):
            if deadline.passed:
                break
            weight = 1.0 - generation / self.generations  # (26)
            # One stream per array: the draws of an instance do not depend on the number of instances.
            normal, uniform = rng.spawn(2)
            u1, v1, u2, v2 = np.moveaxis(normal.standard_normal((count, 4, members, tasks)), 1, 0)
            drawn = _without_missing_links(uniform.integers(0, quality.shape[-1], size=population.shape), quality)
            present_quality = _quality_of(stability, population)
            mutant = h_mutation(population, drawn, present_quality, levy_steps(u1, v1, self.beta), weight)
            candidate = levy_crossover(population, mutant, levy_steps(u2, v2, self.beta), weight, self.threshold)
            candidate_cost = cost_of(candidate)
            no_worse = candidate_cost <= cost  # (28)
            np.copyto(population, candidate, where=no_worse[..., None])
            np.copyto(cost, candidate_cost, where=no_worse)
            report(cost=float(cost.min(axis=1).mean()))
        return cost


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
        population = _without_missing_links(start, quality)
        cost = self.improve(cost_of, quality, population, rng, Deadline(self.time_limit_s, len(population)))
        best = np.argmin(cost, axis=-1)
        return np.take_along_axis(population, best[:, None, None], axis=1)[:, 0]

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
        count, members, tasks = population.shape
        options = quality.shape[-1]
        coordinates = population + 0.5
        cost = cost_of(population)
        begin_search("" if count == 1 else f"mean of {count} searches")
        for _ in range(self.generations):
            if deadline.passed:
                break
            (normal,) = rng.spawn(1)
            u, v = np.moveaxis(normal.standard_normal((count, 2, members, tasks)), 1, 0)
            moved = np.clip(coordinates + self.step_scale * levy_steps(u, v, self.beta), 0.0, options)  # (23)
            candidate = _without_missing_links(np.minimum(moved.astype(np.int64), options - 1), quality)
            candidate_cost = cost_of(candidate)
            no_worse = candidate_cost <= cost  # (28)
            for current, new in ((population, candidate), (coordinates, moved)):
                np.copyto(current, new, where=no_worse[..., None])
            np.copyto(cost, candidate_cost, where=no_worse)
            report(cost=float(cost.min(axis=1).mean()))
        return cost


def _quality_of(quality: FloatArray, options: IntArray) -> FloatArray:
    """Quality ``[count, population, tasks]`` of the given options."""
    return np.take_along_axis(quality[:, None], options[..., None], axis=-1)[..., 0]


def _without_missing_links(options: IntArray, quality: FloatArray) -> IntArray:
    """Replace options over missing links by local computing."""
    return np.where(_quality_of(quality, options) > 0, options, 0)
