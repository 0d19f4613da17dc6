"""Powers of a slot that are set together: against a grid over two users' powers, and where nobody is disturbed."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.errors import Unsupported
from offloadopt.physics.device import Service
from offloadopt.physics.mimo import Uplink
from offloadopt.solvers.backlog.joint_powers import joint_powers


def slot(users: int, antennas: int, **changes: Any) -> tuple[Service, Uplink, np.ndarray]:
    problem = registry.problem(
        "carbon_mimo", "interference", users=users, antennas=antennas, horizon=2, start_bits=3e4, **changes
    )
    instances = problem.sample(6, seed=7)
    observation = problem.observe(instances, problem.reset(instances))
    uplink = problem.estimated_uplink(observation)
    assert uplink is not None
    return problem.service(observation), uplink, problem.buffer_bits(observation)


def objective(
    service: Service, uplink: Uplink, value: np.ndarray, most: np.ndarray, local: np.ndarray, offload: np.ndarray
) -> np.ndarray:
    """By the definitions alone: MMSE weights user by user, then energy and bits."""
    d = service.device
    total = np.zeros(np.broadcast_shapes(local.shape, value.shape)[:-1])
    for u in range(local.shape[-1]):
        cost = service.energy_cost(d.slot_s * (local + offload))[..., u]
        antennas = uplink.channel.shape[-1]
        others = uplink.noise_w * np.broadcast_to(np.eye(antennas), (*total.shape, antennas, antennas)).astype(complex)
        for j in range(local.shape[-1]):
            if j != u:
                h = uplink.channel[..., j, :]
                others = others + offload[..., j, None, None] * h[..., :, None] * h[..., None, :].conj()
        h = uplink.channel[..., u, :]
        solved = np.linalg.solve(others, np.broadcast_to(h[..., None], (*others.shape[:-1], 1)))[..., 0]
        sinr = offload[..., u] * np.real(np.sum(h.conj() * solved, axis=-1))
        bits = d.slot_s / d.cycles_per_bit * np.cbrt(local[..., u] / d.kappa)
        bits = bits + d.slot_s * d.bandwidth_hz * np.log2(1.0 + sinr)
        total = total + cost - value[..., u] * np.minimum(bits, most[..., u])
    return total


@pytest.mark.parametrize("changes", [{}, {"harvest_w": 0.0}, {"antennas": 1}])
def test_two_users_powers_are_as_good_as_the_best_of_a_grid(changes: dict[str, Any]) -> None:
    service, uplink, buffer = slot(2, **{"antennas": 2, **changes})
    value = np.broadcast_to(np.array([4e-6, 1e-6]), buffer.shape)
    local, offload = joint_powers(service, uplink, value, buffer)
    for power in (local, offload):
        assert ((power >= 0.0) & (power <= 2.0)).all()
    found = objective(service, uplink, value, buffer, local, offload)
    levels = np.linspace(0.0, 1.0, 13) ** 2 * 2.0
    for row in range(6):
        one = service.take(row)
        powers = np.array(list(itertools.product(levels, repeat=4)))
        grid = objective(one, uplink.take(row), value[row], buffer[row], powers[:, :2], powers[:, 2:])
        assert found[row] <= grid.min() + 2e-3 * abs(grid.min())


def test_a_user_that_disturbs_nobody_does_what_is_best_for_itself() -> None:
    service, uplink, buffer = slot(1, 4)
    value = np.full(buffer.shape, 2e-6)
    together = joint_powers(service, uplink, value, buffer)
    alone = replace(service, gain_per_w=uplink.gain_per_w(np.ones(buffer.shape)))
    own = alone.best(value, buffer)
    costs = [objective(service, uplink, value, buffer, *powers) for powers in (together, own)]
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-6)


def test_a_base_station_that_sets_all_powers_spares_the_users_each_other() -> None:
    problem = registry.problem("carbon_mimo", "interference", horizon=20)
    instances = problem.sample(3, seed=8)
    own, central = (
        registry.solver("lyapunov", problem, v=2e8, centralised=together).run(problem, instances).objective
        for together in (False, True)
    )
    assert (central < own).all()
    assert central.mean() < 0.96 * own.mean()
    stored = registry.problem("carbon_mimo", "interference", battery_j=1e-3)
    with pytest.raises(Unsupported, match="centralised"):
        registry.solver("lyapunov", stored, centralised=True).run(stored, stored.sample(1, seed=0))
