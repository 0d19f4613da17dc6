"""What the mathematical models have in common: their interface for the solvers `milp` and `minlp`, and helpers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from offloadopt.core import Decisions, FloatArray, Instances, Problem
from offloadopt.errors import InvalidInput


class MathematicalModel(Protocol):
    """One instance as a Pyomo model: what a builder of the group ``offloadopt.models`` returns.

    The builder is called as ``builder(problem, instance, linear=...)``. The linear form is a MILP whose optimum is a
    lower bound; `add_cuts` makes it exact where it was solved. A builder raises `Unsupported` for a form that does not
    exist.
    """

    pyomo: Any
    """The ``ConcreteModel``, with one objective, which is minimised."""
    cost_unit: float
    """Cost of one unit of that objective."""

    @property
    def magnitude(self) -> float:
        """Sum of all variables' ranges and rows' multipliers, in the model's units."""
        ...

    def __init__(self, problem: Any, instance: Instances, *, linear: bool = False) -> None: ...

    @classmethod
    def require(cls, problem: Any) -> None:
        """Raise `Unsupported` for a scenario whose instances have no model."""

    def initial_decisions(self) -> Decisions:
        """Feasible decisions that need no solver."""
        ...

    def decisions(self) -> Decisions:
        """Decisions of the variables' values, with optimal continuous decisions where these follow in closed form."""
        ...

    def warm_start(self, decisions: Decisions) -> None:
        """Set the variables to the values of given decisions, as far as the solver needs them to begin."""
        ...

    def add_cuts(self, decisions: Decisions) -> bool:
        """Make a relaxation exact at given decisions and at the variables' values; return false where it was."""
        ...


def require_one(instance: Instances) -> None:
    """Refuse several instances."""
    if instance.count != 1:
        raise InvalidInput(f"{instance.count} instances; a model is built of exactly 1")


def power_of_ten(values: FloatArray) -> float:
    """The power of ten nearest to the mean of ``values``."""
    return float(10.0 ** np.rint(np.log10(np.mean(values))))


def zero_decisions(problem: Problem[Any], count: int) -> Decisions:
    """Decisions with all entries 0 for ``count`` instances."""
    slots = () if problem.horizon == 1 else (problem.horizon,)
    return Decisions(
        {
            name: np.zeros((count, *slots, *spec.shape), dtype=np.int64 if spec.integer else np.float64)
            for name, spec in problem.decision_fields.items()
        }
    )


def total_range(model: Any) -> float:
    """Sum of the ranges of all variables of a Pyomo model, each of which has two bounds."""
    from pyomo.environ import Var

    return float(sum(v.ub - v.lb for v in model.component_data_objects(Var) if not v.fixed))
