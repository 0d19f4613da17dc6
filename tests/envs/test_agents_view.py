"""All agents behind one vector: -1 and 1 are the limits, and the view is the agents' own, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from offloadopt import registry
from offloadopt.core import ArrayField, Decisions
from offloadopt.envs import AgentsView, ProblemEnv, ProblemVectorEnv
from offloadopt.envs.episodes import instance_batches
from offloadopt.errors import InvalidInput, UnknownName, Unsupported


@pytest.fixture(scope="module")
def problem() -> Any:
    return registry.problem("carbon_mimo", horizon=6, users=3, antennas=4, offload_max_w=0.3)


@pytest.fixture(scope="module")
def devices() -> Any:
    """Agents who decide nothing but whole numbers: one of 4 targets and one of 6 modes each."""
    return registry.problem("battery_d2d", horizon=4, users=3, servers=1)


def observed(problem: Any, count: int) -> Any:
    instances = problem.sample(count, 0)
    return problem.observe(instances, problem.reset(instances))


def test_actions_are_shares_of_the_limits_agent_by_agent(problem: Any) -> None:
    view = AgentsView(problem)
    observation = problem.observe(problem.sample(2, 0), problem.reset(problem.sample(2, 0)))
    action = np.float32([[-1, -1, 1, 1, 0, 0.5], [-0.5, 0.5, 0.5, -0.5, 1, -1]])
    decided = view.decode(observation, action)
    np.testing.assert_allclose(decided["local_w"], [[0, 2, 1], [0.5, 1.5, 2]], rtol=1e-15)
    np.testing.assert_allclose(decided["offload_w"], [[0, 0.3, 0.225], [0.225, 0.075, 0]], rtol=1e-15)
    assert decided["offload_w"][0, 1] == 0.3
    np.testing.assert_allclose(view.encode(observation, decided), action, atol=1e-6)


def test_every_action_is_a_decision_within_the_limits(problem: Any) -> None:
    view, instances = AgentsView(problem), problem.sample(500, 0)
    edges = np.nextafter(np.float32([-1, -1, 0, 1, 1]), np.float32([0, -1, 1, 0, 1]))
    action = np.random.default_rng(0).choice(edges, size=(500, 6))
    decided = view.decode(problem.observe(instances, problem.reset(instances)), action)
    for name, spec in problem.decision_fields.items():
        spec.check(name, decided[name], 1)


def test_whole_numbers_are_chosen_agent_by_agent(devices: Any) -> None:
    view = AgentsView(devices)
    assert view.action_space == spaces.MultiDiscrete([4, 6, 4, 6, 4, 6])
    decided = view.decode(observed(devices, 2), np.array([[0, 1, 2, 3, 3, 5], [3, 0, 1, 4, 0, 2]]))
    assert decided["target"].tolist() == [[0, 2, 3], [3, 1, 0]]
    assert decided["mode"].tolist() == [[1, 3, 5], [0, 4, 2]]
    assert view.encode(observed(devices, 2), decided).tolist() == [[0, 1, 2, 3, 3, 5], [3, 0, 1, 4, 0, 2]]


def test_choices_are_counted_from_the_lowest_whole_number(devices: Any) -> None:
    fields = {"number": ArrayField((3,), low=-2, high=1, integer=True)}
    view = AgentsView(type("Shifted", (type(devices),), {"decision_fields": fields})(devices.scenario))
    assert view.decode(observed(devices, 1), np.array([[0, 3, 1]]))["number"].tolist() == [[-2, 1, -1]]


def test_where_actions_must_be_numbers_whole_numbers_are_the_nearest(devices: Any) -> None:
    view = AgentsView(devices, continuous=True)
    assert view.action_space == spaces.Box(-1.0, 1.0, (6,), np.float32)
    decided = view.decode(observed(devices, 1), np.array([[-1.0, 1.0, 0.4, -0.65, 1.0, -0.5]]))
    assert decided["target"].tolist() == [[0, 2, 3]]  # shares 0, 0.7 and 1 of 3
    assert decided["mode"].tolist() == [[5, 1, 1]]  # shares 1, 0.175 and 0.25 of 5
    assert {array.dtype for array in decided.values()} == {np.dtype(np.int64)}


def test_numbers_beside_whole_numbers_keep_the_box(devices: Any) -> None:
    fields = {"target": devices.decision_fields["target"], "power_w": ArrayField((3,), low=0.0, high=2.0)}
    view = AgentsView(type("Mixed", (type(devices),), {"decision_fields": fields})(devices.scenario))
    assert isinstance(view.action_space, spaces.Box)
    decided = view.decode(observed(devices, 1), np.array([[-1.0, -1.0, 0.0, 0.5, 1.0, 0.4]]))
    assert decided["target"].tolist() == [[0, 2, 3]]
    np.testing.assert_allclose(decided["power_w"], [[0.0, 1.5, 1.4]])


@pytest.mark.parametrize("continuous", [False, True])
def test_every_action_of_whole_numbers_is_a_decision_within_the_limits(devices: Any, continuous: bool) -> None:
    view = AgentsView(devices, continuous=continuous)
    view.action_space.seed(0)
    decided = view.decode(observed(devices, 400), np.stack([view.action_space.sample() for _ in range(400)]))
    for name, spec in devices.decision_fields.items():
        assert (spec.check(name, decided[name], 1) == decided[name]).all()
        assert set(decided[name].ravel()) == set(range(int(spec.high) + 1))


@pytest.mark.parametrize("name", ["paper", "full", "ancestor"])
def test_it_sees_the_agents_views_side_by_side(problem: Any, name: str) -> None:
    view, instances = AgentsView(problem, name), problem.sample(5, 0)
    observation = problem.observe(instances, problem.reset(instances))
    seen = view.observe(observation)
    rows = problem.view(observation, name)
    width = rows.shape[-1]
    assert seen.shape == (5, *view.observation_space.shape)
    for agent in range(3):
        np.testing.assert_allclose(seen[:, agent * width : (agent + 1) * width], rows[:, agent], rtol=1e-6)


def running_cost(problem: Any, instances: Any, taken: list[Decisions]) -> np.ndarray:
    """[count] what the slots cost without the terminal_cost, which makes up the rest of the evaluation's cost."""
    state, total, settled = problem.reset(instances), 0.0, 0.0
    for decision in taken:
        state, outcome = problem.step(instances, state, decision)
        total, settled = total + outcome.running_cost.sum(axis=-1), settled + outcome.terminal_cost.sum(axis=-1)
    np.testing.assert_allclose(total + settled, problem.evaluate(instances, Decisions.over_slots(taken)).cost)
    assert (settled > 0).any()
    return total


def test_the_batch_is_paid_what_the_evaluation_charges(problem: Any) -> None:
    """Through Gymnasium's own bookkeeping of episodes, which reads the marks of ended ones."""
    environment = RecordEpisodeStatistics(ProblemVectorEnv(problem, 7, seed=3, view=AgentsView(problem)))
    environment.reset()
    environment.action_space.seed(0)
    nature = instance_batches(problem, 7, 3)
    for _ in range(2):
        taken, instances = [], next(nature)
        for slot in range(6):
            action = environment.action_space.sample()
            taken.append(AgentsView(problem).decode(problem.observe(instances, problem.reset(instances)), action))
            observation, reward, terminated, truncated, info = environment.step(action)
            assert observation in environment.observation_space
            assert reward.shape == (7,)
            assert not terminated.any()
            assert truncated.tolist() == [slot == 5] * 7
        # What the end leaves behind is settled in the evaluation alone: a learner goes on from there.
        np.testing.assert_allclose(info["episode"]["r"], -running_cost(problem, instances, taken), rtol=1e-6)
        assert (info["episode"]["l"] == 6).all()


def test_the_last_observation_holds_what_the_last_slot_left_behind(problem: Any) -> None:
    """Buffers and SINR are those after the last slot; the channel, which nature does not continue, is the last one."""
    environment = ProblemVectorEnv(problem, 4, seed=3)
    environment.reset()
    powers = {"local_w": np.full((4, 3), 1.0), "offload_w": np.full((4, 3), 0.3)}
    before = None
    for _ in range(6):
        before = environment._episodes.observation
        *_, info = environment.step(powers)
    last, instances = info["final_obs"], next(instance_batches(problem, 4, 3))
    served = problem.device.local_bits(powers["local_w"]) + problem.device.offload_bits(0.3 * before["gain_per_w"])
    left = np.maximum(before["buffer_bits"] - served, 0.0) + instances["arrival_bits"][:, -1]
    np.testing.assert_allclose(last["buffer_bits"], left)
    np.testing.assert_allclose(last["sinr_before"], 0.3 * before["gain_per_w"])
    np.testing.assert_array_equal(last["gain_per_w"], before["gain_per_w"])


@pytest.mark.parametrize("decided", ["numbers", "whole numbers"])
def test_it_passes_the_checks_of_gymnasium_and_of_stable_baselines3(problem: Any, devices: Any, decided: str) -> None:
    chosen = problem if decided == "numbers" else devices
    environment = ProblemEnv(chosen, view=AgentsView(chosen))
    check_env(environment, skip_render_check=True)
    pytest.importorskip("stable_baselines3.common.env_checker").check_env(environment)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full((2, 6), 1.5), r"^action holds 1.5; allowed: -1 to 1"),
        (np.full((2, 6), np.nan), "^action holds NaN or infinite values"),
        (np.zeros((2, 8)), r"^action has shape \[2, 8\]; allowed: \[count, 6\]$"),
        (np.zeros((3, 6)), "^actions for 3 instances; allowed: 2, one for each$"),
    ],
    ids=["outside", "NaN", "an agent too many", "an instance too many"],
)
def test_wrong_actions_are_refused(problem: Any, action: Any, message: str) -> None:
    environment = ProblemVectorEnv(problem, 2, view=AgentsView(problem))
    environment.reset()
    with pytest.raises(InvalidInput, match=message):
        environment.step(action)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.full((2, 6), 4), r"^target holds 4; allowed: 0 to 3 "),
        (np.full((2, 6), -1), r"^action holds -1; allowed: 0 to inf"),
        (np.full((2, 6), 0.5), "^action holds 0.5; allowed: whole numbers$"),
        (np.zeros((2, 3)), r"^action has shape \[2, 3\]; allowed: \[count, 6\]$"),
    ],
    ids=["beyond the last", "below the first", "between two", "an agent's only"],
)
def test_wrong_choices_are_refused(devices: Any, action: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        AgentsView(devices).decode(observed(devices, 2), action)


def test_decisions_without_limits_are_refused(devices: Any) -> None:
    fields = {"number": ArrayField((3,), low=0, integer=True)}
    unlimited = type("Unlimited", (type(devices),), {"decision_fields": fields})(devices.scenario)
    with pytest.raises(Unsupported, match=r"^number of 'battery_d2d' takes 0 to inf; this view needs decisions with"):
        AgentsView(unlimited)


def test_what_has_no_joint_view_is_refused(problem: Any) -> None:
    with pytest.raises(Unsupported, match="has no agents that decide for themselves; it needs AgentProblem"):
        AgentsView(registry.problem("multi_server", users=3))
    with pytest.raises(UnknownName, match="no view 'papers' of carbon_mimo; did you mean 'paper'"):
        AgentsView(problem, "papers")
