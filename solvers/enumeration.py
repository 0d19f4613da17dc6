"""Enumeration of decisions: their numbers, how many are allowed, and their costs as the problem evaluates them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from offloadopt.clock import Deadline
from offloadopt.core import ROUNDING, Decisions, FloatArray, Instances, IntArray, Problem
from offloadopt.errors import Unsupported
from offloadopt.progress import report

MAX_DECISIONS = 2_000_000
"""Largest number of decisions of one instance that are enumerated."""
ENTRIES_AT_ONCE = 2**20
"""Entries of the instances' arrays that are evaluated at the same time."""


def require_few(solver: str, options: int, tasks: int, *, each: str = "each of", made: str = "decisions") -> None:
    """Raise `Unsupported` if ``options`` for each of ``tasks`` make more than `MAX_DECISIONS`.

    Parameters
    ----------
    solver : str
        Its name, for the message.
    options, tasks : int
    each, made : str
        The message's words before the number of tasks, and for the combinations.
    """
    if not few(options, tasks, MAX_DECISIONS):
        number = str(options**tasks) if tasks * math.log10(options) < 18 else f"{options}^{tasks}"
        raise Unsupported(
            f"solver {solver!r}: {options} options for {each} {tasks} tasks are {number} {made}; "
            f"allowed: at most {MAX_DECISIONS}"
        )


def few(options: int, tasks: int, most: int) -> bool:
    """Tell whether ``options ** tasks`` is at most ``most``."""
    return options <= 1 or (most >= 1 and tasks * math.log(options) <= math.log(most) + 1.0 and options**tasks <= most)


def digits(index: IntArray, options: int, entries: int) -> IntArray:
    """Combinations ``[..., entries]`` at positions ``index [...]`` in lexicographic order.

    A combination is the index in base ``options``; the last entry is the least significant digit.
    """
    place_value = options ** np.arange(entries - 1, -1, -1, dtype=np.int64)
    return index[..., None] // place_value % options


@dataclass(frozen=True)
class Enumerated:
    """The costs of all decisions of one instance, as far as they were enumerated.

    Attributes
    ----------
    cost : array [enumerated]
        ``problem.evaluate``'s cost, ``inf`` of an infeasible decision.
    complete : bool
        Whether time was left for all.
    """

    cost: FloatArray
    complete: bool

    @property
    def best(self) -> int:
        """Number of the first cheapest decision; 0 if none was enumerated."""
        return int(np.argmin(self.cost)) if len(self.cost) else 0

    @property
    def bound(self) -> float:
        """Lower bound of all decisions: the least cost less a margin for rounding; ``-inf`` without all of them."""
        least = float(self.cost.min(initial=np.inf))
        return least - margin(least) if self.complete else -np.inf


def margin(cost: float) -> float:
    """Half of the difference that two correct computations of a cost may show; 0 of an infinite cost."""
    return 0.5 * ROUNDING * abs(cost) if math.isfinite(cost) else 0.0


def enumerate_decisions(
    problem: Problem[Any], instance: Instances, total: int, decide: Callable[[IntArray], Decisions], deadline: Deadline
) -> Enumerated:
    """Evaluate the decisions that ``decide`` gives for the numbers 0 to ``total - 1``, many at the same time.

    Parameters
    ----------
    problem : Problem
    instance : Instances
        A single one.
    total : int
    decide : callable
        Decisions ``[some, ...]`` of the numbers ``[some]``.
    deadline : Deadline
        Checked between batches.
    """
    entries = sum(array.size for array in instance.values())
    size, costs, least = max(1, ENTRIES_AT_ONCE // max(entries, 1)), list[FloatArray](), np.inf
    for start in range(0, total, size):
        if deadline.passed:
            return Enumerated(np.concatenate([*costs, np.zeros(0)]), complete=False)
        numbers = np.arange(start, min(start + size, total))
        outcome = problem.evaluate(instance.take(np.zeros(len(numbers), dtype=np.int64)), decide(numbers))
        costs.append(np.where(outcome.feasible, outcome.cost, np.inf))
        least = min(least, float(costs[-1].min()))
        report(cost=least)
    return Enumerated(np.concatenate(costs), complete=True)
