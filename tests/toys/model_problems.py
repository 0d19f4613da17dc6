"""Problems so small that general solvers prove them in a moment, and the optimum as the exact solvers find it."""

from __future__ import annotations

from typing import Any

import offloadopt
from offloadopt.core import FloatArray, Instances, Problem

from toys.small_task_queues import FEW_MODES

MODELLED: dict[str, dict[str, Any]] = {
    "multi_server": {"users": 4, "servers": 2},
    "battery_d2d": {"users": 2, "servers": 1, "horizon": 2, "room_m": 40.0, "task_chance": 0.5, **FEW_MODES},
    "carbon_mimo": {"users": 2, "horizon": 3, "antennas": 3, "buffer_bits": 8e3},
    "partial_mobile": {"users": 2, "horizon": 1, "sites_m": ((200.0, 200.0),), "time_weight": 0.9},
    "twin_inference": {"users": 2, "servers": 1, "tasks_max": 1, "horizon": 1, "battery_j": 0.2},
}


def model_problem(name: str, **changes: Any) -> Problem[Any]:
    """The problem of this name at its smallest, with some fields changed."""
    return offloadopt.problem(name, **{**MODELLED[name], **changes})


def model_problems() -> list[Problem[Any]]:
    return [model_problem(name) for name in MODELLED]


def optimum(problem: Problem[Any], instances: Instances) -> FloatArray:
    """[count] the least cost, as `exact` proves it."""
    return offloadopt.solver("exact", problem, relative_gap=1e-9).run(problem, instances).objective
