"""Lévy flight search for assignments, and the classic Lévy flight that it improves on.

Jiang et al. (arXiv:2005.12364), section V-D and Algorithm 4; equation numbers are the paper's. The text leaves open how
the comparisons in (25) to (27) go, the weight (26), and the population; this is the reading that fits its words:

* (25) a task keeps its option where the link's normalised gain is at least the weighted Lévy step, else it draws one;
  local computing, which has no link, counts as the best one (``local_quality``). Counted as the worst, every local task
  is redrawn in every generation, and where the optimum is mostly local even the classic flight does better;
* (26) the weight falls linearly from 1 to ``1 / generations``;
* (27) the mutant's option is taken where the weighted step exceeds the threshold;
* powers and CPU shares are no coordinates of the search: (13) gives the best ones for every assignment, so the cost in
  (28) is exact and never infeasible;
* members of the population do not meet; the best one is returned. The first starts all-local, the others at random;
* a drawn link that does not exist becomes local.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import clock
from offloadopt.core import FloatArray, Instances, IntArray, Observation
from offloadopt.solvers.assignment.base import AssignmentSolver, link_quality, without_missing_links
from offloadopt.structures.assignment import AssignmentCosts, AssignmentProblem


def mantegna_scale(beta: float) -> float:
    """``sigma_u`` of Mantegna's algorithm, equation (22)."""
    top = math.gamma(1 + beta) * math.sin(math.pi * beta / 2)
    bottom = math.gamma((1 + beta) / 2) * beta * 2 ** ((beta - 1) / 2)
    return float((top / bottom) ** (1 / beta))


def levy_steps(u: FloatArray, v: FloatArray, beta: float) -> FloatArray:
    """Lévy steps ``sigma_u u / |v|^(1/beta)`` from standard normal ``u`` and ``v``, equations (20) and (21)."""
    return np.asarray(mantegna_scale(beta) * u / np.abs(v) ** (1.0 / beta))


def h_mutation(options: IntArray, drawn: IntArray, quality: FloatArray, steps: FloatArray, weight: float) -> IntArray:
    """The mutant of equation (25): good links tend to be kept.

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
    """The candidate of equation (27): the mutant's option where a weighted Lévy step exceeds the threshold."""
    return np.where(weight * np.abs(steps) > threshold, mutant, options)


def fly(
    cost_of: Callable[[IntArray], FloatArray],
    quality: FloatArray,
    population: IntArray,
    rng: np.random.Generator,
    *,
    beta: float,
    generations: int,
    threshold: float,
    local_quality: float,
    deadline: float,
) -> FloatArray:
    """Algorithm 4's rounds for a population ``[count, population, tasks]``, improved in place; its cost.

    Parameters
    ----------
    cost_of : callable
        Costs ``[count, population]`` of such a population.
    quality : array [count, tasks, options]
        Normalised gain; 0 for local and for links that do not exist.
    population : array [count, population, tasks]
        Of options that exist.
    rng : Generator
    beta, generations, threshold, local_quality
        As in `Levy`.
    deadline : float
        The `offloadopt.clock.clock` reading at which to stop.
    """
    count, members, tasks = population.shape
    stability = quality.copy()
    stability[..., 0] = local_quality
    cost = cost_of(population)
    for generation in range(generations):
        if clock() > deadline:
            break
        weight = 1.0 - generation / generations  # (26)
        # A fresh stream for each array: an instance's draws do not depend on how many others there are.
        normal, uniform = rng.spawn(2)
        u1, v1, u2, v2 = np.moveaxis(normal.standard_normal((count, 4, members, tasks)), 1, 0)
        drawn = _linked(uniform.integers(0, quality.shape[-1], size=population.shape), quality)
        kept = _of_options(stability, population)
        mutant = h_mutation(population, drawn, kept, levy_steps(u1, v1, beta), weight)
        candidate = levy_crossover(population, mutant, levy_steps(u2, v2, beta), weight, threshold)
        candidate_cost = cost_of(candidate)
        no_worse = candidate_cost <= cost  # (28)
        np.copyto(population, candidate, where=no_worse[..., None])
        np.copyto(cost, candidate_cost, where=no_worse)
    return cost


class LevySearch(AssignmentSolver):
    """What both searches share: where they start, and that they keep what is no worse (28)."""

    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent: 1.1 searches globally, 1.5 locally")
    generations: int = Field(1000, ge=1, description="G, rounds of search")
    population: int = Field(5, ge=1, description="independent searches for each instance")

    def block_size(self, problem: AssignmentProblem[Any]) -> int:
        """Instances whose whole population is searched at the same time."""
        return max(1, 2**17 // (self.population * problem.tasks))

    def assign(
        self, problem: AssignmentProblem[Any], observation: Observation | Instances, rng: np.random.Generator
    ) -> tuple[IntArray, FloatArray | None]:
        """Search from scratch: the first member starts all-local, the others at random."""
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
        """Algorithm 4 from a given solution: the best assignment ``[count, tasks]`` found, never a dearer one.

        All working arrays are held at the same time; their size grows with ``count * population * tasks``.

        Parameters
        ----------
        assignment : array [count, tasks]
            Where every member of the population starts; links that do not exist become local.
        rng : Generator
            Its children are used, one after the other, in every generation. They advance from call to call.
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
        costs = problem.costs(observation)
        population = _linked(start, quality)
        cost = self._search(costs, quality, population, rng)
        best = np.argmin(cost, axis=-1)
        return np.take_along_axis(population, best[:, None, None], axis=1)[:, 0]

    @abstractmethod
    def _search(
        self, costs: AssignmentCosts, quality: FloatArray, population: IntArray, rng: np.random.Generator
    ) -> FloatArray:
        """Improve a population ``[count, population, tasks]`` in place and return its cost ``[count, population]``."""


class Levy(LevySearch):
    """Algorithm 4: h mutation (25), Lévy crossover (27), greedy selection (28)."""

    name = "levy"

    threshold: float = Field(0.5, ge=0, description="C, the crossover's threshold")
    local_quality: float = Field(1.0, ge=0, le=1, description="normalised gain that local computing counts as in (25)")

    def _search(
        self, costs: AssignmentCosts, quality: FloatArray, population: IntArray, rng: np.random.Generator
    ) -> FloatArray:
        deadline = self.deadline(len(population))
        return fly(
            costs.cost,
            quality,
            population,
            rng,
            beta=self.beta,
            generations=self.generations,
            threshold=self.threshold,
            local_quality=self.local_quality,
            deadline=deadline,
        )


class LevyClassic(LevySearch):
    """The classic Lévy flight (23) on a continuous relaxation of the options, with greedy selection (28).

    Option ``k`` is the interval from ``k`` to ``k + 1``; coordinates are clipped to the options there are. Channels
    guide nothing. The step scale was tuned (0.003 to 0.3): 0.03 to 0.1 gave the lowest costs, by scenario.
    """

    name = "levy-classic"

    step_scale: float = Field(0.1, gt=0, description="alpha_s, scale of the flight's steps")

    def _search(
        self, costs: AssignmentCosts, quality: FloatArray, population: IntArray, rng: np.random.Generator
    ) -> FloatArray:
        count, members, tasks = population.shape
        options = quality.shape[-1]
        place = population + 0.5
        cost = costs.cost(population)
        deadline = self.deadline(count)
        for _ in range(self.generations):
            if clock() > deadline:
                break
            (normal,) = rng.spawn(1)
            u, v = np.moveaxis(normal.standard_normal((count, 2, members, tasks)), 1, 0)
            moved = np.clip(place + self.step_scale * levy_steps(u, v, self.beta), 0.0, options)  # (23)
            candidate = _linked(np.minimum(moved.astype(np.int64), options - 1), quality)
            candidate_cost = costs.cost(candidate)
            no_worse = candidate_cost <= cost  # (28)
            for kept, new in ((population, candidate), (place, moved)):
                np.copyto(kept, new, where=no_worse[..., None])
            np.copyto(cost, candidate_cost, where=no_worse)
        return cost


def _of_options(quality: FloatArray, options: IntArray) -> FloatArray:
    """[count, population, tasks] quality of the options."""
    return np.take_along_axis(quality[:, None], options[..., None], axis=-1)[..., 0]


def _linked(options: IntArray, quality: FloatArray) -> IntArray:
    """The options with local in place of links that do not exist."""
    return np.where(_of_options(quality, options) > 0, options, 0)
