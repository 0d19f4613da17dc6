"""Rows of the MILP of task queues, under construction and until the deadline."""

from __future__ import annotations

import numpy as np
import pytest

from offloadopt.clock import Deadline
from offloadopt.solvers.task_queues.milp_constraints import MilpBuilder, TaskQueueConstraints, scaled
from offloadopt.solvers.task_queues.task_options import build_tasks

from toys.small_task_queues import small_d2d


def test_rows_add_up_terms_of_one_column_and_drop_zeros() -> None:
    milp = MilpBuilder()
    x, y = milp.add_column(0.0, 2.0, cost=3.0), milp.add_binary()
    milp.add_row([(x, 1.0), (y, 2.0), (x, 0.5), (y, -2.0)], high=4.0)
    assert milp.rows == [([(x, 1.5)], -np.inf, 4.0)]
    assert (milp.low, milp.high, milp.costs, milp.integers) == ([0.0, 0.0], [2.0, 1.0], [3.0, 0.0], [y])
    assert scaled([(x, 1.5)], -2.0) == [(x, -3.0)]


def test_building_stops_at_the_deadline() -> None:
    data = small_d2d().hindsight_data(small_d2d().sample(4, seed=5))
    with pytest.raises(TimeoutError, match="time limit"):
        TaskQueueConstraints(data, 1, build_tasks(data, 1), Deadline(0.0))
