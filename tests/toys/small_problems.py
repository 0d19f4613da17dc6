"""The papers' problems, small enough that every check is quick and every assignment can be enumerated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from offloadopt import registry
from offloadopt.core import Learner, Problem, Solver
from offloadopt.errors import Unsupported
from offloadopt.solvers.models.solver import ModelSolver

from toys.model_problems import model_problems

SMALL: dict[str, dict[str, Any]] = {
    "multi_server": {"users": 5, "servers": 2},
    "carbon_mimo": {"horizon": 3},
    "partial_mobile": {"users": 3, "horizon": 2},
    "battery_d2d": {"horizon": 3, "users": 3},
    "twin_inference": {"horizon": 3, "users": 2, "servers": 1, "tasks_max": 2},
}
TINY: dict[str, dict[str, Any]] = {
    "battery_d2d": {"horizon": 2, "users": 2, "servers": 1},
    "twin_inference": {"horizon": 2, "users": 2, "servers": 1, "tasks_max": 1, "battery_j": 0.4},
}
"""Windows whose decisions can all be enumerated."""


def small_problems() -> Iterator[Problem[Any]]:
    for name in registry.BUILT_IN["problems"]:
        kind = registry.get("problems", name)
        for values in kind.scenario_type.presets.values():
            yield kind(kind.scenario_type(**{**values, **SMALL.get(name, {})}))
    yield registry.problem("carbon_mimo", users=1, distance_m=60.0, horizon=3)  # what a dynamic programme can solve


def served_by(method: Solver | Learner) -> list[Problem[Any]]:
    """The small problems that a method does not refuse; the tiny ones where it refuses all, or solves models."""

    def accepted(problem: Problem[Any]) -> bool:
        try:
            method.require(problem)
        except Unsupported:
            return False
        return True

    if isinstance(method, ModelSolver):
        return [problem for problem in model_problems() if isinstance(problem, method.serves) and accepted(problem)]
    small = [problem for problem in small_problems() if accepted(problem)]
    return small or [
        problem for problem in (registry.problem(name, **TINY[name]) for name in TINY) if accepted(problem)
    ]
