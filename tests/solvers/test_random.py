"""Random decisions: every option is drawn uniformly, within limits and among what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.arrays import ArrayField
from offloadopt.core import Decisions, Observation
from offloadopt.errors import Unsupported
from offloadopt.problems.multi_server import MultiServer
from offloadopt.solvers.random import Random


def small(users: int = 4, servers: int = 2, **changes: object) -> MultiServer:
    problem = registry.problem("multi_server", "heterogeneous", users=users, servers=servers, **changes)
    assert isinstance(problem, MultiServer)
    return problem


def test_random_draws_every_option_and_repeats_itself_only_for_the_same_seed() -> None:
    problem = small(users=12, servers=3, load=20.0)  # so much CPU that everything is admitted
    instances = problem.sample(400, 0)
    first, again, other = (Random().run(problem, instances, seed=seed).decisions["server"] for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # 4,800 uniform draws of 4 options: five standard deviations are 0.031.
    assert np.bincount(first.ravel(), minlength=4) / first.size == pytest.approx(np.full(4, 0.25), abs=0.031)


class OneDecision:
    """Just enough of a problem for `Random.decide`."""

    def __init__(self, **fields: ArrayField) -> None:
        self.name, self.decision_fields, self.horizon = "one", fields, 1


def decided(count: int, seed: int, **fields: ArrayField) -> Decisions:
    observation = Observation({"x": np.zeros((count, 1))})
    return Random().decide(OneDecision(**fields), observation, np.random.default_rng(seed))  # type: ignore[arg-type]


def test_numbers_are_uniform_between_their_limits_and_integers_include_both() -> None:
    power_w = ArrayField((2,), low=-1.0, high=3.0)
    mode = ArrayField((2,), low=1, high=3, integer=True)
    drawn = decided(3000, 0, power_w=power_w, mode=mode)
    power = drawn["power_w"]
    assert -1.0 <= power.min() < -0.99
    assert 2.99 < power.max() <= 3.0
    assert power.mean() == pytest.approx(1.0, abs=5 * 4 / np.sqrt(12 * power.size))
    counts = np.bincount(drawn["mode"].ravel())
    assert counts[0] == 0
    assert counts[1:] / drawn["mode"].size == pytest.approx(np.full(3, 1 / 3), abs=0.032)


def test_more_instances_do_not_change_the_draws_of_the_first() -> None:
    fields = {"a": ArrayField((3,), low=0.0, high=1.0), "b": ArrayField((), low=0, high=9, integer=True)}
    few, many = (decided(count, 4, **fields) for count in (2, 5))
    for name in fields:
        np.testing.assert_array_equal(few[name], many[name][:2])


def test_decisions_without_limits_are_refused() -> None:
    problem = registry.problem("multi_server", users=2, servers=2)
    Random().require(problem)
    agents = registry.problem("carbon_mimo")
    Random().require(agents)
    unlimited = {**agents.decision_fields, "extra": ArrayField((1,), low=0.0, high=np.inf)}

    class Unlimited(type(agents)):  # type: ignore[misc]
        decision_fields = property(lambda self: unlimited)

    with pytest.raises(Unsupported, match=r"decision 'extra'.*0 to inf"):
        Random().require(Unlimited(agents.scenario))


def test_powers_of_agents_are_uniform_and_independent() -> None:
    problem = registry.problem("carbon_mimo", users=3, antennas=4, horizon=8, local_max_w=0.5)
    instances = problem.sample(500, 0)
    first, again, other = (Random().run(problem, instances, seed=seed).decisions for seed in (1, 1, 2))
    for name, most in (("local_w", 0.5), ("offload_w", 2.0)):
        draws = first[name].ravel() / most
        assert first[name].tobytes() == again[name].tobytes()
        assert not np.array_equal(first[name], other[name])
        # 12,000 draws: five standard errors of the mean of a power of a uniform number are below 0.014.
        for power in (1, 2, 3):
            assert np.mean(draws**power) == pytest.approx(1 / (power + 1), abs=0.014)
    assert abs(np.corrcoef(first["local_w"].ravel(), first["offload_w"].ravel())[0, 1]) < 0.046
    assert abs(np.corrcoef(first["local_w"][:, 0].ravel(), first["local_w"][:, 1].ravel())[0, 1]) < 0.13


def test_only_allowed_options_are_drawn_all_with_the_same_probability() -> None:
    problem: Any = registry.problem("battery_d2d", users=5, servers=1, horizon=6, room_m=50.0, task_chance=1.0)
    instances = problem.sample(2_000, 0)
    drawn = Random().run(problem, instances, seed=1).decisions["target"]
    allowed = problem.allowed(problem.observe(instances, problem.reset(instances)))["target"]
    assert np.take_along_axis(allowed, drawn.swapaxes(1, 2), axis=-1).all()
    for option in range(problem.devices):
        expected = np.where(allowed[..., option], 1 / allowed.sum(axis=-1), 0.0).mean()
        # 60,000 draws: five standard errors are below 0.0103.
        assert (drawn == option).mean() == pytest.approx(expected, abs=0.0103)


def test_blocks_hold_a_bounded_number_of_values() -> None:
    # 100 slots of 5 users: 8 complex gains, arrivals, harvest; the grid's carbon; what the buffers begin with.
    numbers = 100 * (5 * (16 + 2) + 1) + 5
    assert Random().block_size(registry.problem("carbon_mimo")) == 2**22 // numbers
