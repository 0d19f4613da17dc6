"""Tables of one instance of task queues, in the form that kernels take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import FloatArray
from offloadopt.structures.task_queues import HindsightData

OVERDRAFT_J = 1e6
"""Energy by which batteries may be overdrawn, more than they ever are."""


class Tables(NamedTuple):
    """One instance for kernels: arrays of `HindsightData` without the axis of instances, and its costs.

    Attributes
    ----------
    arrives ... start_j : array
        See `HindsightData`.
    drop_cost : array [horizon]
        Additional cost of a dropped task, by slot.
    failure_cost, capacity_j : float
    life_cost : float
        Ageing cost (15) of using a whole battery at level 1/2 without deviation of its level.
    deviation_stress, level_stress : float
        By how much the logarithm of that cost grows with the deviation and the level, both relative to the capacity.
    overdraft_j, overdraft_price : float
        Energy in J by which batteries may be overdrawn, and the price of a joule of it; see `overdrawn`.
    """

    arrives: NDArray[np.bool_]
    begin_s: FloatArray
    deadline_s: FloatArray
    cycles: FloatArray
    joule_price: FloatArray
    linked: NDArray[np.bool_]
    send_s: FloatArray
    received: NDArray[np.bool_]
    until_s: FloatArray
    link_w: FloatArray
    speed_hz: FloatArray
    power_w: FloatArray
    start_j: FloatArray
    drop_cost: FloatArray
    failure_cost: float
    capacity_j: float
    life_cost: float
    deviation_stress: float
    level_stress: float
    overdraft_j: float
    overdraft_price: float


def tables(data: HindsightData, row: int) -> Tables:
    """Take one instance's tables."""
    ageing = data.ageing
    by_row = (data.deadline_s, data.cycles, data.joule_price, data.linked, data.send_s, data.received, data.until_s)
    deadline_s, cycles, joule_price, linked, send_s, received, until_s = (
        np.ascontiguousarray(values[row]) for values in by_row
    )
    return Tables(
        arrives=np.ascontiguousarray(data.arrives[row]),
        begin_s=np.asarray(data.begin_s, dtype=np.float64),
        deadline_s=deadline_s.astype(np.float64),
        cycles=cycles.astype(np.float64),
        joule_price=joule_price.astype(np.float64),
        linked=linked,
        send_s=send_s.astype(np.float64),
        received=received,
        until_s=until_s.astype(np.float64),
        link_w=np.asarray(data.link_w, dtype=np.float64),
        speed_hz=np.asarray(data.speed_hz, dtype=np.float64),
        power_w=np.asarray(data.power_w, dtype=np.float64),
        start_j=np.array(data.start_j[row], dtype=np.float64),
        drop_cost=np.full(len(data.begin_s), data.drop_cost),
        failure_cost=float(data.failure_cost),
        capacity_j=float(data.capacity_j),
        life_cost=float(data.ageing_price * ageing.per_cycle / 2.0 * np.exp(-1.0 / ageing.deviation)),
        deviation_stress=float(1.0 / ageing.deviation),
        level_stress=float(4.0 * ageing.level),
        overdraft_j=0.0,
        overdraft_price=0.0,
    )


def overdrawn(t: Tables, joule_price: float, drop_cost: FloatArray) -> Tables:
    """Let batteries be overdrawn at a price in the end, so that they never end, at other costs of drops by slot.

    Every joule saved then counts, not only the last one that lets another task be done.
    """
    return t._replace(
        start_j=t.start_j + OVERDRAFT_J,
        drop_cost=drop_cost,
        overdraft_j=OVERDRAFT_J,
        overdraft_price=float(joule_price),
    )
