"""Reference of the gaps: the best lower bound that any method proved, and how tight it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, relative_gap
from offloadopt.errors import BrokenProof, InvalidInput

SAME_COST = 1e-6
"""Relative difference below which two costs count as equal (optimal, tied): the precision of numerical solvers."""


@dataclass(frozen=True)
class Reference:
    """The cost that each instance's gap is measured from.

    Attributes
    ----------
    values : array [count]
        Lower bound, or best cost found where no method proves anything; not finite where an instance has neither,
        ``inf`` where it is proved infeasible.
    provers : tuple of str
        The methods whose bounds are used; empty if nothing is proved.
    slack : array [count]
        Relative gap of the best cost found to the reference; NaN where there is none.
    hindsight : bool
        Whether a method that the reference comes from knows nature's draws of later slots.
    """

    values: FloatArray
    provers: tuple[str, ...]
    slack: FloatArray
    hindsight: bool = False

    @property
    def count(self) -> int:
        """Number of instances."""
        return len(self.values)

    @property
    def proved(self) -> bool:
        """Whether the reference is a proved bound."""
        return bool(self.provers)

    @property
    def infeasible(self) -> NDArray[np.bool_]:
        """[count] whether the instance is proved to have no feasible decision."""
        return np.isposinf(self.values) if self.proved else np.zeros(len(self.values), dtype=bool)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """[count] whether the instance has a reference and some method decided it feasibly."""
        return np.isfinite(self.slack)

    @property
    def kind(self) -> str:
        """One of "certified optimum", "lower bound" (not tight) and "best found" (nothing is proved)."""
        if not self.proved:
            return "best found"
        slack = self.slack[self.measured]
        return "certified optimum" if len(slack) and slack.max() <= SAME_COST else "lower bound"

    @property
    def label(self) -> str:
        """The kind with its limits: on how many instances it exists, and how far the best decision lies above it."""
        if not self.proved:
            return f"{self.kind} (no proof)"
        measured, solvable = self.measured.sum(), (~self.infeasible).sum()
        if not solvable:
            return "none (every instance is proved infeasible)"
        if not measured:
            return f"{self.kind} (no feasible decision to compare it with)"
        share = "" if measured == solvable else f" on {measured} of {solvable} instances"
        if self.kind == "certified optimum":
            return f"{self.kind}{share}"
        slack = 100 * self.slack[self.measured]
        return f"{self.kind}{share} (not tight: mean {slack.mean():.2g} %, worst {slack.max():.2g} %)"

    def gap(self, cost: FloatArray) -> FloatArray:
        """Compute the relative gap ``[count]`` of costs; NaN without a feasible decision or without a reference."""
        return gap_to(self.values, cost)


def gap_to(values: FloatArray, cost: FloatArray) -> FloatArray:
    """Compute the relative gap ``[count]`` of costs to reference values; NaN where it does not exist.

    To a reference of 0 only a cost of 0 has a gap; that of any other cost would be infinite.
    """
    with np.errstate(over="ignore"):
        gap = relative_gap(cost, values)
    exists = np.isfinite(gap) & ((values != 0.0) | (cost == values))
    return np.where(exists, gap, np.nan)


def choose_reference(
    costs: Mapping[str, FloatArray],
    bounds: Mapping[str, FloatArray],
    named: str | None = None,
    hindsight: Collection[str] = (),
) -> Reference:
    """Choose the reference: the largest bound over all methods, or one method's own bounds.

    Parameters
    ----------
    costs, bounds : mapping of str to array [count]
        By method: ``inf`` for an infeasible decision, ``-inf`` for no bound.
    named : str, optional
        The method whose bounds are the reference.
    hindsight : collection of str
        Methods that know nature's draws of later slots.

    Raises
    ------
    BrokenProof
        If any method's bound lies above any method's cost: then one of the two is wrong.
    InvalidInput
        If the named method proves no bound.
    """
    best_cost = np.min(list(costs.values()), axis=0)
    for name, bound in bounds.items():
        _refuse_broken(name, bound, costs, best_cost)
    if named is not None and np.isneginf(bounds[named]).all():
        raise InvalidInput(f"reference = {named!r} proves no bound; allowed: a method that does, or none")
    used = {name: bound for name, bound in bounds.items() if named in (None, name)}
    provers = tuple(name for name, bound in used.items() if not np.isneginf(bound).all())
    values = np.max(list(used.values()), axis=0) if provers else best_cost
    values = np.minimum(values, best_cost)  # two correct proofs may differ by rounding; a gap is never negative
    sources = provers or tuple(costs)
    return Reference(values, provers, gap_to(values, best_cost), any(name in hindsight for name in sources))


def _refuse_broken(name: str, bound: FloatArray, costs: Mapping[str, FloatArray], best_cost: FloatArray) -> None:
    broken = np.isfinite(best_cost) & (bound > best_cost + SAME_COST * np.abs(best_cost))
    if not broken.any():
        return
    row = int(np.flatnonzero(broken)[0])
    cheapest = min(costs, key=lambda other: costs[other][row])
    raise BrokenProof(
        f"instance {row}: {name!r} claims that no decision costs less than {bound[row]:.9g}, "
        f"yet {cheapest!r} found one that costs {best_cost[row]:.9g}"
    )
