"""Algorithm 4 of Jiang et al. (arXiv:2005.12364) to the letter: one solution, with CPU and power as its coordinates.

A solution (24) holds for each device its option and its continuous decisions: CPU frequency and transmit power. Options
mutate by (25), the others by the flight (23); the crossover (27) takes or leaves all of a device together, and one
solution is kept (28). `levy` differs in that it allocates CPU and power optimally for every assignment, by (13).

The paper does not say how a solution that breaks constraint (6) compares with others. Here its cost is increased by
``penalty`` times one plus the relative violations. The search starts all local, which is feasible, with CPU frequencies
and powers drawn uniformly; those of local tasks count for nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import ArrayField, Decisions, FloatArray, Instances, IntArray, Problem, Progress, Solutions, Solver
from offloadopt.errors import Unsupported
from offloadopt.quantities import Factor
from offloadopt.solvers.assignment.base import link_quality
from offloadopt.solvers.base import keep_what_was_found, solve_blocks
from offloadopt.solvers.levy import PAPER_THRESHOLD, Coordinates, GainMutation, flight, levy_crossover
from offloadopt.structures.assignment import PricedAssignmentProblem

BLOCK_ENTRIES = 2**17
"""Entries of the solutions that are searched at the same time."""


class LevyLiteral(GainMutation, Solver):
    """Algorithm 4 to the letter: CPU and power are coordinates, infeasible solutions are penalised, one is kept."""

    name = "levy-literal"
    serves = PricedAssignmentProblem

    population: int = Field(1, ge=1, le=1, description="the search holds one solution")
    threshold: Factor = Field(PAPER_THRESHOLD, ge=0, description="C, the crossover's threshold")
    step_scale: Factor = Field(0.01, gt=0, description="alpha_s, scale of the flight's steps relative to the range")
    penalty: Factor = Field(1000.0, gt=0, description="cost of infeasibility, times one plus the relative violations")

    def require(self, problem: Problem[Any]) -> None:
        """Refuse also problems of several slots, and decisions that are no numbers within limits for each task."""
        super().require(problem)
        if problem.horizon > 1:
            raise Unsupported(f"solver {self.name!r} decides one slot; {problem.name!r} has horizon {problem.horizon}")
        for name, spec in _continuous(problem).items():
            tasks = (cast(PricedAssignmentProblem[Any], problem).tasks,)
            if spec.shape != tasks or not np.isfinite([spec.low, spec.high]).all():
                raise Unsupported(
                    f"solver {self.name!r} needs a number within limits for each task; decision {name!r} of problem "
                    f"{problem.name!r} has shape {spec.shape} and {spec.low:g} to {spec.high:g}"
                )

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Search block by block, and evaluate the solution that is held at the end."""
        self.require(problem)
        priced = cast(PricedAssignmentProblem[Any], problem)
        size = max(1, BLOCK_ENTRIES // (priced.tasks * len(priced.decision_fields)))

        def solve(block: Instances, rng: np.random.Generator) -> tuple[Decisions, None]:
            return self.search(priced, block, rng, Deadline(self.time_limit_s, max(block.count, 1))), None

        return keep_what_was_found(partial(solve_blocks, self, problem, instances, size, solve, seed, progress))

    def search(
        self,
        problem: PricedAssignmentProblem[Any],
        instances: Instances,
        rng: np.random.Generator,
        deadline: Deadline,
    ) -> Decisions:
        """Search all instances at the same time: the solutions that are held at the end."""
        fields, shape = _continuous(problem), (instances.count, 1, problem.tasks)
        quality = link_quality(problem, instances)
        stability = self.stability(quality)
        options = np.zeros(shape, dtype=np.int64)
        streams = rng.spawn(len(fields))
        values = [
            stream.uniform(spec.low, spec.high, shape) for spec, stream in zip(fields.values(), streams, strict=True)
        ]

        def propose(weight: float) -> Coordinates:
            normal, uniform = rng.spawn(2)
            mutating, crossing, *moving = self.steps(normal, shape, 2 + len(fields))
            mutants: list[NDArray[Any]] = [self.mutated(options, quality, stability, mutating, uniform, weight)]
            for value, spec, steps in zip(values, fields.values(), moving, strict=True):
                scale = self.step_scale * (spec.high - spec.low)
                mutants.append(flight(value, steps, scale, spec.low, spec.high))
            pairs = zip((options, *values), mutants, strict=True)
            return tuple(levy_crossover(present, mutant, crossing, weight, self.threshold) for present, mutant in pairs)

        def cost_of(options: IntArray, *values: FloatArray) -> FloatArray:
            outcome = problem.evaluate(instances, _decisions(problem, instances, options, values))
            violations = np.sum(list(outcome.violations.values()), axis=0)
            penalty = np.where(outcome.feasible, 0.0, self.penalty * (1.0 + violations))
            return np.asarray(outcome.cost + penalty)[:, None]

        self.select_greedily(cost_of, (options, *values), propose, deadline)
        return _decisions(problem, instances, options, values)


def _continuous(problem: Problem[Any]) -> dict[str, ArrayField]:
    """Decision fields that are no integers."""
    return {name: spec for name, spec in problem.decision_fields.items() if not spec.integer}


def _decisions(
    problem: PricedAssignmentProblem[Any], instances: Instances, options: IntArray, values: Any
) -> Decisions:
    """Decisions of single solutions: ``options [count, 1, tasks]``, and continuous values of the tasks offloaded."""
    allocated = problem.allocate(instances, options[:, 0])
    own = {
        name: np.where(options[:, 0] > 0, value[:, 0], allocated[name])
        for name, value in zip(_continuous(problem), values, strict=True)
    }
    return Decisions({**allocated, **own})
