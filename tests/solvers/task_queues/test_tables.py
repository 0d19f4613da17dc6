"""Tables for kernels: one instance's data, and batteries that may be overdrawn."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.solvers.task_queues.simulation import course, total_cost
from offloadopt.solvers.task_queues.tables import OVERDRAFT_J, overdrawn, tables

from toys.small_task_queues import NEARLY_EMPTY, small_d2d


def test_tables_are_the_instances_own_data() -> None:
    data = small_d2d().hindsight_data(small_d2d().sample(3, seed=1))
    t = tables(data, 2)
    for name in (
        "arrives",
        "deadline_s",
        "cycles",
        "joule_price",
        "linked",
        "send_s",
        "received",
        "until_s",
        "start_j",
    ):
        assert np.array_equal(getattr(t, name), getattr(data, name)[2])
    assert (t.failure_cost, t.capacity_j, t.overdraft_j) == (data.failure_cost, data.capacity_j, 0.0)
    # (12) to (15), at level 1/2 without deviation
    assert t.life_cost == pytest.approx(
        data.ageing_price * data.ageing.per_cycle / 2 * np.exp(-1 / data.ageing.deviation)
    )


def test_overdrawn_batteries_never_end_and_what_they_lack_is_paid() -> None:
    problem = small_d2d(**NEARLY_EMPTY)
    data = problem.hindsight_data(problem.sample(1, seed=11))
    t = tables(data, 0)
    device = np.broadcast_to(np.arange(t.arrives.shape[1]), t.arrives.shape)
    own = course(t, device, np.zeros(t.arrives.shape, dtype=np.int64))
    free, dear = (
        course(overdrawn(t, price, t.drop_cost), device, np.zeros(t.arrives.shape, dtype=np.int64))
        for price in (0.0, 2.0)
    )
    assert (own.ends_in < len(t.begin_s)).any()
    assert (free.ends_in == len(t.begin_s)).all()
    assert (free.battery_j[:, -1] - OVERDRAFT_J < 0.0).any()
    assert total_cost(free) == total_cost(dear)  # it is charged by changes alone
