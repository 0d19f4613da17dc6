"""The cheapest schedule of one device against every choice of its own tasks and modes, in plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from offloadopt.solvers.task_queues.device_schedules import Prices, cheapest_schedule, fronts, read_schedule
from offloadopt.solvers.task_queues.tables import Tables, tables

from toys.small_task_queues import small_d2d


def own_schedule_cost(t: Tables, p: Prices, choices: tuple[int, ...]) -> float:
    """Cost less rewards where device 0 does its own tasks in these modes, and not where the mode is -1."""
    free_s, cost = 0.0, 0.0
    for slot, k in zip(np.flatnonzero(t.arrives[:, 0]), choices, strict=True):
        if k < 0:
            continue
        start_s = max(free_s, t.begin_s[slot])
        slack_s = max(t.deadline_s[slot, 0] - start_s, 0.0)
        slow_s = min(t.cycles[slot, 0] / t.speed_hz[0, k], slack_s) if k > 0 else 0.0
        fast_s = (t.cycles[slot, 0] - slow_s * t.speed_hz[0, k]) / t.speed_hz[0, 0]
        free_s = start_s + slow_s + fast_s
        used_j = slow_s * t.power_w[0, k] + fast_s * t.power_w[0, 0]
        cost += (t.joule_price[slot, 0] + p.joule[0]) * used_j - p.task[slot, 0]
    return cost


@pytest.mark.parametrize("joule", [0.0, 0.2, 0.5])
def test_it_is_the_cheapest_of_all_choices(joule: float) -> None:
    problem = small_d2d(users=1, horizon=6, task_chance=1.0, slot_s=0.5)
    t, rng = tables(problem.hindsight_data(problem.sample(1, seed=7)), 0), np.random.default_rng(1)
    p, space = Prices(rng.uniform(0.0, 8.0, t.arrives.shape), np.full(2, joule), np.full(2, joule)), fronts(t)
    tasks = int(t.arrives.sum())
    least = min(own_schedule_cost(t, p, choices) for choices in itertools.product((-1, 0, 1), repeat=tasks))
    found = cheapest_schedule(t, p, space, 0)
    assert found == pytest.approx(least, rel=1e-12)

    device, mode = np.full(t.arrives.shape, -1), np.zeros(t.arrives.shape, dtype=np.int64)
    times, used_j = np.zeros(t.arrives.shape, dtype=np.int64), np.zeros(2)
    read_schedule(t, space, 0, space.size[0] - 1, device, mode, times, used_j)
    choices = tuple(np.where(device[:, 0] == 0, mode[:, 0], -1)[t.arrives[:, 0]])
    assert own_schedule_cost(t, p, choices) == pytest.approx(least, rel=1e-12)


def test_without_space_there_is_no_result() -> None:
    problem = small_d2d(users=1, horizon=6, task_chance=1.0)
    t = tables(problem.hindsight_data(problem.sample(1, seed=7)), 0)
    p = Prices(np.full(t.arrives.shape, 8.0), np.zeros(2), np.zeros(2))
    assert np.isnan(cheapest_schedule(t, p, fronts(t, nodes=2), 0))
