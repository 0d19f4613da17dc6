"""What the gaps are measured against: the best lower bound that any method proved, and how tight it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray, relative_gap
from offloadopt.errors import BrokenProof, InvalidInput

SAME_COST = 1e-6
"""Relative difference below which two costs count as equal (optimal, tied): as near as numerical solvers prove."""


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
    """

    values: FloatArray
    provers: tuple[str, ...]
    slack: FloatArray

    @property
    def proved(self) -> bool:
        """Whether the reference is a proof."""
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
        """What the reference is, claiming no more than is proved."""
        if not self.proved:
            return "best found"
        slack = self.slack[self.measured]
        return "certified optimum" if len(slack) and slack.max() <= SAME_COST else "lower bound"

    @property
    def label(self) -> str:
        """The kind with what limits it: where it is missing, and how far the best decision lies above it."""
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
        """[count] relative gap of costs to the reference; NaN where there is no feasible decision or no reference."""
        return gap_to(self.values, cost)


def gap_to(values: FloatArray, cost: FloatArray) -> FloatArray:
    """[count] relative gap of costs to reference values; NaN where it does not exist.

    To a reference of 0 only the reference itself has a gap; any other would be infinite.
    """
    with np.errstate(over="ignore"):
        gap = relative_gap(cost, values)
    exists = np.isfinite(gap) & ((values != 0.0) | (cost == values))
    return np.where(exists, gap, np.nan)


def choose_reference(
    costs: Mapping[str, FloatArray], bounds: Mapping[str, FloatArray], named: str | None = None
) -> Reference:
    """The largest bound over all methods, or one method's own bounds.

    Parameters
    ----------
    costs, bounds : mapping of str to array [count]
        By method: ``inf`` for an infeasible decision, ``-inf`` for no bound.
    named : str, optional
        The method whose bounds are the reference.

    Raises
    ------
    BrokenProof
        If any method's bound lies above any method's cost: one of them is wrong, and every gap would be.
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
    return Reference(values, provers, gap_to(values, best_cost))


def _refuse_broken(name: str, bound: FloatArray, costs: Mapping[str, FloatArray], best_cost: FloatArray) -> None:
    broken = np.isfinite(best_cost) & (bound > best_cost + SAME_COST * np.abs(best_cost))
    if not broken.any():
        return
    row = int(np.flatnonzero(broken)[0])
    finder = min(costs, key=lambda other: costs[other][row])
    raise BrokenProof(
        f"instance {row}: {name!r} claims that no decision costs less than {bound[row]:.9g}, "
        f"yet {finder!r} found one that costs {best_cost[row]:.9g}"
    )
