"""Lévy flight search: steps, mutation, crossover and selection of all searches that are named `levy`.

Jiang et al. (DIRS, arXiv:2005.12364), section V-D and Algorithm 4; equation numbers are the paper's. The text leaves
the direction of the comparisons in (25) to (27), the weight (26) and the population open. Here

* (25) an integer coordinate is kept where its quality is at least the weighted Lévy step, else it is drawn anew;
* (26) the weight falls linearly from 1 to ``1 / generations``;
* (27) the mutant's coordinates are taken where the weighted step exceeds the threshold;
* members of the population are independent; the best one is returned.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Instances, IntArray, Problem, Progress, Settings, Solutions, Solver
from offloadopt.progress import begin_search, report
from offloadopt.quantities import Factor, Rounds, Size
from offloadopt.solvers.base import keep_what_was_found, solve_blocks

Coordinates = tuple[NDArray[Any], ...]
"""Coordinates of populations: arrays that begin with ``[count, population]``."""
PAPER_THRESHOLD, PAPER_COORDINATES = 0.5, 30
"""The paper's threshold C, and the number of its devices."""
BLOCK_ENTRIES = 2**17
"""Entries of the populations' decisions that are searched at the same time."""


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


def flight(coordinates: FloatArray, steps: FloatArray, scale: float, low: float, high: float) -> FloatArray:
    """Compute the Lévy flight (23): coordinates moved by ``scale`` times the steps, within ``low`` to ``high``."""
    return np.clip(coordinates + scale * steps, low, high)


def taken_by_crossover(steps: FloatArray, weight: float, threshold: float) -> NDArray[np.bool_]:
    """Tell where equation (27) takes the mutant's coordinates: where a weighted Lévy step exceeds the threshold."""
    return weight * np.abs(steps) > threshold


def levy_crossover(
    present: NDArray[Any], mutant: NDArray[Any], steps: FloatArray, weight: float, threshold: float
) -> NDArray[Any]:
    """Compute the candidate of equation (27) from present coordinates and the mutant's."""
    return np.where(taken_by_crossover(steps, weight, threshold), mutant, present)


class LevySettings(Settings):
    """Parameters that all Lévy searches have, and their loop over generations."""

    beta: float = Field(1.1, ge=0.3, le=1.99, description="Lévy exponent: 1.1 searches globally, 1.5 locally")
    generations: Rounds = Field(1000, ge=1, description="G, number of generations")
    population: Size = Field(5, ge=1, description="number of independent searches")

    def steps(self, rng: np.random.Generator, shape: tuple[int, ...], number: int) -> Iterator[FloatArray]:
        """Draw ``number`` arrays of Lévy steps of a shape ``[count, ...]`` from one stream."""
        normal = np.moveaxis(rng.standard_normal((shape[0], 2 * number, *shape[1:])), 1, 0)
        return (levy_steps(normal[2 * i], normal[2 * i + 1], self.beta) for i in range(number))

    def select_greedily(
        self,
        cost_of: Callable[..., FloatArray],
        population: Coordinates,
        propose: Callable[[float], Coordinates],
        deadline: Deadline,
    ) -> FloatArray:
        """Improve a population in place, generation by generation: candidates that are not worse are taken (28).

        Parameters
        ----------
        cost_of : callable
            Costs ``[count, population, ...]`` of coordinates. Costs of several parts are selected part by part: the
            coordinates have the same leading axes.
        population : tuple of array [count, population, ...]
        propose : callable
            Candidates for the present population, given the weight ``w_g`` of (26).
        deadline : Deadline
            Checked before each generation.

        Returns
        -------
        array [count, population, ...]
            Costs of the members.
        """
        cost = cost_of(*population)
        count = len(cost)
        begin_search("" if count == 1 else f"mean of {count} searches")
        for generation in range(self.generations):
            if deadline.passed:
                break
            candidate = propose(1.0 - generation / self.generations)  # (26)
            candidate_cost = cost_of(*candidate)
            no_worse = candidate_cost <= cost
            for present, new in zip(population, candidate, strict=True):
                np.copyto(present, new, where=no_worse.reshape(no_worse.shape + (1,) * (present.ndim - cost.ndim)))
            np.copyto(cost, candidate_cost, where=no_worse)
            report(cost=float(cost.min(axis=1).reshape(count, -1).sum(axis=1).mean()) if count else math.inf)
        return cost


def best_of(population: NDArray[Any], cost: FloatArray) -> NDArray[Any]:
    """Select the cheapest member of each population, part by part: ``[count, ...]``."""
    best = np.argmin(cost, axis=1, keepdims=True)
    best = best.reshape(best.shape + (1,) * (population.ndim - cost.ndim))
    return np.asarray(np.take_along_axis(population, best, axis=1)[:, 0])


class HorizonLevy(LevySettings, Solver):
    """Base class of Lévy searches over the decisions of whole horizons, with all of nature's draws known.

    Instances are searched in blocks, all of a block at the same time. Nothing is proved.
    """

    name = "levy"
    hindsight = True

    threshold: Factor | None = Field(
        None, ge=0, description="C, the crossover's threshold; none: 0.5 for 30 coordinates as in the paper, scaled"
    )

    @abstractmethod
    def search(self, problem: Any, instances: Instances, rng: np.random.Generator, deadline: Deadline) -> Decisions:
        """Search one block of instances until the deadline."""

    def threshold_for(self, coordinates: int) -> float:
        """Threshold of (27) at which as many of the coordinates change as of 30 coordinates at a threshold of 0.5.

        A step exceeds ``C / w`` with a probability proportional to ``(w / C)^beta``.
        """
        if self.threshold is not None:
            return self.threshold
        return float(PAPER_THRESHOLD * (coordinates / PAPER_COORDINATES) ** (1.0 / self.beta))

    def block_size(self, problem: Problem[Any]) -> int:
        """Number of instances that are searched at the same time."""
        entries = sum(math.prod(spec.shape) for spec in problem.decision_fields.values()) * problem.horizon
        return max(1, BLOCK_ENTRIES // (self.population * entries))

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Search block by block, and evaluate the best decisions found."""
        self.require(problem)

        def solve(block: Instances, rng: np.random.Generator) -> tuple[Decisions, None]:
            return self.search(problem, block, rng, Deadline(self.time_limit_s, max(block.count, 1))), None

        size = self.block_size(problem)
        return keep_what_was_found(partial(solve_blocks, self, problem, instances, size, solve, seed, progress))


class GainMutation(LevySettings):
    """Parameters of the h mutation (25) of options, of which 0 is local computing."""

    local_quality: float = Field(1.0, ge=0, le=1, description="normalised gain of local computing in (25)")

    def stability(self, quality: FloatArray) -> FloatArray:
        """Normalised gains that (25) compares with the weighted steps, from ``quality [count, tasks, options]``."""
        stability = quality.copy()
        stability[..., 0] = self.local_quality
        return stability

    def mutated(
        self,
        options: IntArray,
        quality: FloatArray,
        stability: FloatArray,
        steps: FloatArray,
        rng: np.random.Generator,
        weight: float,
    ) -> IntArray:
        """Compute mutants (25) of ``options``, with missing links replaced by local computing.

        ``quality`` is 0 for missing links.
        """
        drawn = without_missing(rng.integers(0, quality.shape[-1], size=options.shape), quality)
        return h_mutation(options, drawn, of_options(stability, options), steps, weight)


class GainGuidedLevy(GainMutation):
    """Algorithm 4 for options on any costs: h mutation (25), Lévy crossover (27), greedy selection (28)."""

    threshold: Factor = Field(PAPER_THRESHOLD, ge=0, description="C, the crossover's threshold")

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
        stability = self.stability(quality)

        def propose(weight: float) -> Coordinates:
            # One stream per array: the draws of an instance do not depend on the number of instances.
            normal, uniform = rng.spawn(2)
            mutating, crossing = self.steps(normal, population.shape, 2)
            mutant = self.mutated(population, quality, stability, mutating, uniform, weight)
            return (levy_crossover(population, mutant, crossing, weight, self.threshold),)

        return self.select_greedily(cost_of, (population,), propose, deadline)


def of_options(quality: FloatArray, options: IntArray) -> FloatArray:
    """Quality ``[count, population, tasks]`` of the given options, from that of all ``[count, tasks, options]``."""
    return np.take_along_axis(quality[:, None], options[..., None], axis=-1)[..., 0]


def without_missing(options: IntArray, quality: FloatArray) -> IntArray:
    """Replace options over missing links, whose quality is 0, by local computing."""
    return np.where(of_options(quality, options) > 0, options, 0)
