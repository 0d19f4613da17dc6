"""A problem as a Gymnasium environment: it passes Gymnasium's own check and pays what the problem says."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from offloadopt import registry
from offloadopt.core import ArrayField, Decisions, Problem
from offloadopt.envs import AgentsView, AssignmentEnv, ProblemEnv
from offloadopt.envs.episodes import instance_batches
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.assignment import AssignmentProblem


@pytest.fixture
def small() -> Problem[Any]:
    return registry.problem("multi_server", users=4, servers=2)


def valid_action(users: int = 4) -> dict[str, Any]:
    """All tasks local."""
    return {"server": np.zeros(users, dtype=np.int64), "cpu_hz": np.full(users, 1e9), "power_w": np.zeros(users)}


# ------------------------------------------------------------------------------------------------ Gymnasium's contract


SHORT: dict[str, dict[str, Any]] = {"carbon_mimo": {"horizon": 5}}


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_every_preset_of_a_registered_problem_passes_gymnasiums_check(name: str) -> None:
    kind = registry.get("problems", name)
    for values in kind.scenario_type.presets.values():
        problem = kind(kind.scenario_type(**{**values, **SHORT.get(name, {})}))
        check_env(ProblemEnv(problem), skip_render_check=True)
        if isinstance(problem, AssignmentProblem):
            check_env(AssignmentEnv(problem), skip_render_check=True)
        if isinstance(problem, AgentProblem):
            for view in problem.views:
                check_env(ProblemEnv(problem, view=AgentsView(problem, view)), skip_render_check=True)


@pytest.mark.parametrize(
    "changes",
    [{"detector": "mmse"}, {"detector": "mrc", "csi_error": 0.1}, {"csi_error": 0.1}, {"battery_j": 0.01}],
    ids=str,
)
def test_every_kind_of_carbon_mimo_passes_gymnasiums_check(changes: dict[str, Any]) -> None:
    problem = registry.problem("carbon_mimo", horizon=5, users=3, antennas=4, **changes)
    check_env(ProblemEnv(problem), skip_render_check=True)
    check_env(ProblemEnv(problem, view=AgentsView(problem, "full")), skip_render_check=True)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize(("low", "high"), [(0, np.inf), (-np.inf, np.inf), (-np.inf, 4), (3, 7), (5, 5)])
def test_the_space_of_whole_numbers_holds_what_is_allowed(shape: tuple[int, ...], low: float, high: float) -> None:
    """Queues have no upper limit, and a single number is an array of no axes."""
    spec = ArrayField(shape, low=low, high=high, integer=True)
    space = spec.space()
    space.seed(0)
    for _ in range(50):
        assert spec.check("number", np.asarray(space.sample())[None], 1).dtype == np.int64
    for value, inside in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        if np.isfinite(value):
            number = np.full(shape, value).astype(space.dtype)
            assert space.contains(number if shape else space.dtype.type(number)) is inside


def test_a_plugins_problem_with_a_horizon_passes_gymnasiums_check(toy: ModuleType) -> None:
    check_env(ProblemEnv(registry.problem("queues")), skip_render_check=True)


def test_the_continuous_view_passes_the_check_of_stable_baselines3(small: Problem[Any]) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(AssignmentEnv(small))


# ------------------------------------------------------------------------------------------------------------ nature


def test_a_seed_gives_the_same_episodes_and_every_reset_a_fresh_one(small: Problem[Any]) -> None:
    def episodes(environment: ProblemEnv, seed: int | None) -> list[bytes]:
        first, _ = environment.reset(seed=seed)
        return [first["gain"].tobytes(), *(environment.reset()[0]["gain"].tobytes() for _ in range(3))]

    environment = ProblemEnv(small, seed=5)
    constructed = episodes(environment, None)
    assert len(set(constructed)) == 4
    assert episodes(environment, None)[0] not in constructed
    assert episodes(environment, 5) == constructed == episodes(ProblemEnv(small, seed=9), 5)
    assert not set(episodes(environment, 6)) & set(constructed)


def test_observations_belong_to_whoever_gets_them(small: Problem[Any]) -> None:
    environment = ProblemEnv(small)
    first, _ = environment.reset(seed=1)
    kept = first["gain"].copy()
    first["gain"][:] = 0.0
    after, *_ = environment.step(valid_action())
    assert np.array_equal(after["gain"], kept)


# ------------------------------------------------------------------------------------------------- rewards and ends


def test_a_one_shot_problem_pays_its_cost_and_terminates(small: Problem[Any]) -> None:
    environment = ProblemEnv(small)
    environment.reset(seed=3)
    _, reward, terminated, truncated, info = environment.step(valid_action())
    # All local: one second and one joule for each task, weighted half and half.
    assert reward == pytest.approx(-4.0)
    assert info["cost"] == pytest.approx(4.0)
    assert info["metrics"]["energy_j"] == pytest.approx(4.0)
    assert info["violations"] == {"server_cpu": 0.0, "local_cpu": 0.0, "local_power": 0.0}
    assert (terminated, truncated) == (True, False)


def test_the_reciprocal_reward_is_the_papers(small: Problem[Any]) -> None:
    environment = ProblemEnv(small, reward="reciprocal-cost")
    environment.reset(seed=3)
    _, reward, _, _, info = environment.step(valid_action())
    assert reward == pytest.approx(0.25)
    assert reward == info["metrics"]["reward"]


def test_a_violated_constraint_is_told_and_not_refused(small: Problem[Any]) -> None:
    environment = ProblemEnv(small)
    environment.reset(seed=3)
    action = valid_action() | {"server": np.array([1, 1, 0, 0]), "power_w": np.array([1.0, 1.0, 0.0, 0.0])}
    action["cpu_hz"] = np.array([2e9, 1e9, 1e9, 1e9])
    *_, info = environment.step(action)
    assert info["violations"]["server_cpu"] == pytest.approx(0.5)


def test_a_horizon_is_truncated_and_rewards_add_up_to_the_evaluated_cost(toy: ModuleType) -> None:
    problem = registry.problem("queues")
    environment = ProblemEnv(problem)
    observation, _ = environment.reset(seed=7)
    rng, taken, rewards, ends = np.random.default_rng(0), [], [], []
    while not (ends and any(ends[-1])):
        action = {"send": rng.integers(0, 2, 2)}
        taken.append(Decisions({"send": action["send"][None]}))
        observation, reward, *end, _ = environment.step(action)
        assert observation in environment.observation_space
        rewards.append(reward)
        ends.append(end)
    assert ends == [[False, False], [False, False], [False, True]]
    instance = next(instance_batches(problem, 1, 7))
    outcome = problem.evaluate(instance, Decisions.over_slots(taken))
    assert sum(rewards) == pytest.approx(-outcome.cost[0])


# ---------------------------------------------------------------------------------------------------- what is refused


def test_stepping_without_a_running_episode_is_refused(small: Problem[Any]) -> None:
    environment = ProblemEnv(small)
    with pytest.raises(InvalidInput, match="no episode has begun; allowed: reset first"):
        environment.step(valid_action())
    environment.reset()
    environment.step(valid_action())
    with pytest.raises(InvalidInput, match="step after the horizon's end; allowed: reset first"):
        environment.step(valid_action())


def test_an_unknown_reward_and_a_problem_without_servers_are_refused(small: Problem[Any], toy: ModuleType) -> None:
    with pytest.raises(UnknownName, match="no reward 'negative'"):
        ProblemEnv(small, reward="negative")
    with pytest.raises(Unsupported, match="problem 'queues' has no servers"):
        AssignmentEnv(registry.problem("queues"))
