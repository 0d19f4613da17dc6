"""Queues on batteries, by hand; random cases stand with the problem that uses them."""

from __future__ import annotations

import numpy as np

from offloadopt.physics.fifo import CHOSEN, FULL, RECEIVE, WAIT, Jobs, serve


def jobs(device: list[int], arrival: list[float], cycles: list[float], receive: list[float], deadline: float) -> Jobs:
    """One row of jobs for CPUs of 1 cycle/s at 1 W, or 2 cycles/s at 5 W; reception takes 2 W."""

    def row(values: list[float] | float) -> np.ndarray:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), (1, len(device)))

    cpu = (row(1.0), row(1.0), row(2.0), row(5.0))
    return Jobs(np.array([device]), row(arrival), row(deadline), row(cycles), *cpu, row(receive), row(2.0))


def test_first_come_first_served_and_hurried_past_the_deadline() -> None:
    work = jobs([0, 1, 0, -1, 0], [2.0, 0.0, 1.0, 0.0, 1.0], [3.0, 1.0, 2.0, 9.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0], 4.5)
    runs = serve(work, np.array([[0.5, 3.0]]), np.array([[100.0, 50.0]]))
    # Device 0: job 2 from 1 to 3, job 4 from 3 to 4, job 0 from 4: half a cycle until 4.5, 2.5 at 2 cycles/s.
    np.testing.assert_allclose(runs.finish_s, [[5.75, 4.0, 3.0, 0.0, 4.0]])
    np.testing.assert_allclose(runs.seconds[0, 0], [0.0, 2.0, 0.5, 1.25])
    np.testing.assert_allclose(runs.seconds[0, 2], [1.0, 0.0, 2.0, 0.0])
    np.testing.assert_allclose(runs.seconds[0, 4], [0.0, 2.0, 1.0, 0.0])
    np.testing.assert_allclose(runs.energy_j[0, 0], [0.0, 0.0, 0.5, 6.25])
    np.testing.assert_allclose(runs.before_j, [[95.0, 50.0, 100.0, 0.0, 96.0]])
    np.testing.assert_allclose(runs.free_s, [[5.75, 4.0]])
    np.testing.assert_allclose(runs.battery_j, [[88.25, 49.0]])
    assert not runs.exhausted.any()


def test_a_battery_ends_what_it_cannot_carry() -> None:
    for battery, seconds, finish, free in (
        (1.0, {RECEIVE: 0.5}, 0.5, 0.0),  # amid the reception, which began at 0: no place in the queue
        (2.0, {RECEIVE: 1.0}, 1.0, 1.0),  # before the first cycle
        (3.5, {RECEIVE: 1.0, CHOSEN: 1.5}, 2.5, 2.5),
        (9.0, {RECEIVE: 1.0, CHOSEN: 2.0, FULL: 1.0}, 4.0, 4.0),
    ):
        runs = serve(jobs([0], [1.0], [5.0], [1.0], 3.0), np.zeros((1, 1)), np.array([[battery]]))
        wanted = [seconds.get(piece, 0.0) for piece in (RECEIVE, WAIT, CHOSEN, FULL)]
        np.testing.assert_allclose(runs.seconds[0, 0], wanted, atol=1e-12)
        assert runs.exhausted[0, 0]
        assert runs.battery_j[0, 0] == 0.0
        assert (runs.finish_s[0, 0], runs.free_s[0, 0]) == (finish, free)
        np.testing.assert_allclose(runs.energy_j.sum(), battery)


def test_what_is_given_is_left_alone() -> None:
    free, battery = np.zeros((1, 1)), np.full((1, 1), 9.0)
    serve(jobs([0], [0.0], [1.0], [0.0], 3.0), free, battery)
    assert (free[0, 0], battery[0, 0]) == (0.0, 9.0)
