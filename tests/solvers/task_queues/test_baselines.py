"""Greedy rules for task queues against the problem's cost of each option, one task at a time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.core import Decisions, Instances, Observation, Solver, State
from offloadopt.errors import InvalidInput
from offloadopt.problems.battery_d2d import BatteryD2D
from offloadopt.solvers.task_queues.baselines import AllEdge, AllMobile, cheapest
from offloadopt.testing import check_solver

V = 3.0
RULES = ("all-edge", "all-mobile", "fixed-frequency", "greedy", "lyapunov")


def make(**changes: Any) -> BatteryD2D:
    problem = offloadopt.problem("battery_d2d", **{"users": 3, "servers": 2, "horizon": 6, **changes})
    assert isinstance(problem, BatteryD2D)
    return problem


def rule(name: str) -> Solver:
    return offloadopt.solver(name, make(), **({"v": V} if name == "lyapunov" else {}))


def midway(problem: BatteryD2D, instances: Instances, slots: int) -> State:
    """The state after some slots of anything."""
    rng, state = np.random.default_rng(0), problem.reset(instances)
    for _ in range(slots):
        shape = (instances.count, problem.num_agents)
        target, mode = rng.integers(0, problem.devices, shape), rng.integers(0, problem.modes, shape)
        state, _ = problem.step(instances, state, Decisions({"target": target, "mode": mode}))
    return state


def alone(problem: BatteryD2D, instances: Instances, slot: int, agent: int, draw: float) -> Instances:
    """The instances where only one agent has a task in this slot, and a signal fades or not."""
    arrives = np.zeros_like(instances["arrives"])
    arrives[:, slot, agent] = instances["arrives"][:, slot, agent]
    return problem.check_instances(
        {**instances, "arrives": arrives, "link_draw": np.full_like(instances["link_draw"], draw)}
    )


@pytest.mark.parametrize("changes", [{}, {"battery_j": 40.0, "start_share": 0.2}, {"slot_s": 0.3}])
def test_expected_costs_are_the_mean_of_what_a_lone_task_costs(changes: dict[str, Any]) -> None:
    chance_down = 0.1
    problem = make(disconnect_chance=chance_down, reference_gain_db=-50.0, **changes)
    instances, slot = problem.sample(8, 3), 2
    # No one is disconnected; the cost of disconnections is added below.
    instances = problem.check_instances({**instances, "connected": np.ones_like(instances["connected"])})
    state = midway(problem, instances, slot)
    observation = problem.observe(instances, state)
    expected_costs, s = problem.expected_costs(observation), problem.scenario
    for agent, target, mode in itertools.product(range(3), range(5), range(problem.modes)):
        decision = Decisions({"target": np.full((8, 3), target), "mode": np.full((8, 3), mode)})
        outcomes = [
            problem.step(alone(problem, instances, slot, agent, draw), state, decision)[1] for draw in (0.0, 1.0)
        ]
        has_task = instances["arrives"][:, slot, agent] == 1
        distance = observation["distance_m"][:, agent, target]
        watt = s.cellular_w if target >= 3 else s.d2d_w
        success = problem.band.success(
            watt * problem.gain(distance), np.asarray(s.bandwidth_hz), problem.sinr_threshold
        )
        success = np.ones(8) if target == 0 else success
        delay = sum(outcomes[0].metrics[f"delay_{kind}_s"] for kind in (1, 2, 3))
        later = np.maximum(np.ceil(delay / s.slot_s) - 1, 0)
        lost = (1 - (1 - chance_down) ** (2 * later)) * (outcomes[0].metrics["failures"] == 0) * (target > 0)
        cost = success * (outcomes[0].cost + s.failure_weight * lost) + (1 - success) * outcomes[1].cost
        found = expected_costs.cost[:, agent, target, mode]
        reach = (target == 0) | (target >= 3) | (distance <= s.d2d_m)
        assert np.isinf(found[~reach]).all()
        np.testing.assert_allclose(found[has_task & reach], cost[has_task & reach], rtol=1e-9)
        used = success * outcomes[0].metrics["energy_j"] + (1 - success) * outcomes[1].metrics["energy_j"]
        drawn = (expected_costs.own_j + expected_costs.target_j)[:, agent, target, mode]
        np.testing.assert_allclose(drawn[has_task & reach], used[has_task & reach], rtol=1e-9)


def option_costs(name: str, problem: BatteryD2D, observation: Observation, row: int, agent: int) -> dict[Any, float]:
    """Cost by which a rule ranks each option of one task."""
    expected, found = problem.expected_costs(observation), {}
    for target, mode in itertools.product(range(problem.devices), range(problem.modes)):
        cost = expected.cost[row, agent, target, mode]
        if name == "lyapunov":
            own, other = expected.used_share[row, agent, 0], expected.used_share[row, agent, target]
            joules = (
                own * expected.own_j[row, agent, target, mode] + other * expected.target_j[row, agent, target, mode]
            )
            cost += joules / V
        wanted = {
            "all-edge": target >= problem.num_agents,
            "all-mobile": target < problem.num_agents,
            "fixed-frequency": mode == 0,
        }.get(name, True)
        if wanted and np.isfinite(cost):
            found[target, mode] = float(cost)
    return found


@pytest.mark.parametrize("name", RULES)
def test_a_rule_takes_its_cheapest_option_and_respects_masks(name: str) -> None:
    problem = make()
    instances = problem.sample(6, 4)
    decisions, state = rule(name).run(problem, instances).decisions, problem.reset(instances)
    for slot in range(problem.horizon):
        observation = problem.observe(instances, state)
        allowed = problem.allowed(observation)["target"]
        for row, agent in np.argwhere(instances["arrives"][:, slot]):
            chosen = int(decisions["target"][row, slot, agent]), int(decisions["mode"][row, slot, agent])
            costs = option_costs(name, problem, observation, row, agent)
            assert costs[chosen] == pytest.approx(min(costs.values()), rel=1e-12)
            assert allowed[row, agent, chosen[0]]
        state, _ = problem.step(instances, state, decisions.at_slot(slot))


def test_equally_cheap_targets_are_shared_out() -> None:
    target, mode = cheapest(np.array([[[[2.0, 1.0], [1.0, 3.0], [4.0, 4.0]]] * 4]))
    assert target.tolist() == [[0, 1, 0, 1]]
    assert mode.tolist() == [[1, 0, 1, 0]]


def test_a_stated_mode_is_kept() -> None:
    problem = make()
    instances = problem.sample(3, 0)
    for rule, edge in ((AllEdge(mode=2), True), (AllMobile(mode=2), False)):
        decisions = rule.run(problem, instances).decisions
        assert (decisions["mode"] == 2).all()
        assert ((decisions["target"] >= problem.num_agents) == edge).all()
    with pytest.raises(InvalidInput, match=f"mode = 99; allowed: 0 to {problem.modes - 1}"):
        AllEdge(mode=99).run(problem, instances)


@pytest.mark.parametrize("name", RULES)
def test_rules_conform(name: str) -> None:
    options = {"v": 1.0} if name == "lyapunov" else {}  # tuning takes long
    for problem in (make(horizon=3), make(horizon=2, users=1, servers=1, dvfs=False)):
        check_solver(offloadopt.solver(name, problem, **options), problem)
