"""Small instances of `battery_d2d` with special features, and the cost of every decision for them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import offloadopt
from offloadopt.core import Decisions, Instances
from offloadopt.problems.battery_d2d import BatteryD2D

FEW_MODES = {
    "mobile_hz": (1.8e9, 0.8e9),
    "mobile_v": (1.2, 0.9),
    "edge_hz": (2.6e9, 1.0e9),
    "edge_v": (1.3, 1.05),
}
CASES: dict[str, dict[str, Any]] = {
    "paper": {},
    "batteries are depleted": {"battery_j": 25.0, "start_share": 0.1, "ageing_weight": 1e4},
    "tight deadlines": {"deadline_min_s": (0.3, 0.3, 0.3), "deadline_max_s": (0.6, 0.8, 1.0)},
    "long deadlines and short slots": {
        "slot_s": 0.3,
        "deadline_min_s": (3.0, 3.0, 3.0),
        "deadline_max_s": (4.0, 5.0, 6.0),
    },
    "often disconnected": {"disconnect_chance": 0.3},
    "one subchannel": {"subchannels": 1},
    "weak links": {"reference_gain_db": -65.0, "room_m": 30.0},
    "ageing counts most": {"ageing_weight": 3e7, "battery_j": 120.0, "slot_s": 0.5},
    "odd voltages": {"mobile_v": (0.9, 1.2), "slot_s": 0.4, "disconnect_chance": 0.1},
}


NEARLY_EMPTY: dict[str, Any] = {"battery_j": 0.05, "start_share": 0.0}


def small_d2d(**changes: Any) -> BatteryD2D:
    settings = {"users": 2, "servers": 1, "horizon": 2, "task_chance": 0.8, "room_m": 40.0}
    problem = offloadopt.problem("battery_d2d", **{**settings, **FEW_MODES, **changes})
    assert isinstance(problem, BatteryD2D)
    return problem


def all_costs(problem: BatteryD2D, instance: Instances) -> np.ndarray:
    """The cost of every decision for the tasks of one instance."""
    places = np.argwhere(instance["arrives"][0])
    options = list(itertools.product(range(problem.devices), range(problem.modes)))
    every = np.array(list(itertools.product(options, repeat=len(places))), dtype=np.int64)
    shape = (len(every), problem.horizon, problem.num_agents)
    target, mode = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for number, (slot, agent) in enumerate(places):
        target[:, slot, agent], mode[:, slot, agent] = every[:, number].T
    many = instance.take(np.zeros(len(every), dtype=np.int64))
    return np.asarray(problem.evaluate(many, Decisions({"target": target, "mode": mode})).cost)
