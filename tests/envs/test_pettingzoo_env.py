"""A problem of agents as PettingZoo's `ParallelEnv`: it passes the project's own tests, and keeps agents apart."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo.test import parallel_api_test, parallel_seed_test

from offloadopt import registry
from offloadopt.core import ArrayField, Batch, Decisions, Instances, Observation, Outcome, Scenario, State
from offloadopt.envs import ProblemParallelEnv
from offloadopt.envs.episodes import instance_batches
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.structures.agents import AgentProblem

SMALL: dict[str, dict[str, Any]] = {"carbon_mimo": {"horizon": 6, "users": 3, "antennas": 4}}
"""Short and small scenarios of problems whose own are not."""


class Choices(AgentProblem[Scenario]):
    """Agents that choose numbers: two slots, a cost of what was chosen, and decisions of any kind."""

    name = "choices"
    scenario_type = Scenario
    num_agents = 3
    horizon = 2
    views: ClassVar = {"own": ("number",)}
    instance_fields = observation_fields = {"number": ArrayField((3,))}  # noqa: RUF012

    def __init__(self, **fields: ArrayField) -> None:
        super().__init__(Scenario())
        self.fields = fields

    @property
    def decision_fields(self) -> dict[str, ArrayField]:
        return self.fields

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"number": np.random.default_rng(seed).random((count, 2, 3))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({"number": instances["number"][:, state.slot]})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        self.taken = dict(decision)
        cost = sum(array.reshape(len(array), 3, -1).sum(axis=-1) for array in decision.values())
        return State(state.slot + 1, state.values), Outcome(np.sum(cost, axis=-1), np.asarray(cost, dtype=float))

    def features(self, observation: Observation) -> dict[str, Any]:
        return {"number": observation["number"]}


LEVEL = ArrayField((3,), low=2, high=5, integer=True)
MODES = ArrayField((3, 2), low=0, high=1, integer=True)
POWER = ArrayField((3, 2), low=0.0, high=0.3, unit="W")
COUNT = ArrayField((3,), low=0, integer=True)


def registered() -> list[Any]:
    """Every preset of every registered problem of agents."""
    found = []
    for name in registry.BUILT_IN["problems"]:
        kind = registry.get("problems", name)
        if issubclass(kind, AgentProblem):
            for preset, values in kind.scenario_type.presets.items():
                problem = kind(kind.scenario_type(**{**values, **SMALL.get(name, {})}))
                found.append(pytest.param(problem, id=f"{name} {preset}"))
    return found


def actions_of(environment: ProblemParallelEnv) -> dict[str, Any]:
    return {agent: environment.action_space(agent).sample() for agent in environment.agents}


@pytest.fixture
def problem() -> Any:
    return registry.problem("carbon_mimo", horizon=6, users=3, antennas=4)


# ---------------------------------------------------------------------------------------------- PettingZoo's contract


@pytest.mark.parametrize(
    "problem",
    [
        *registered(),
        Choices(level=LEVEL),
        Choices(level=LEVEL, modes=MODES),
        Choices(level=LEVEL, power=POWER),
        Choices(count=COUNT),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pvlib's own
def test_it_passes_the_projects_own_tests(problem: Any) -> None:
    for view in problem.views:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", module="pettingzoo")
            parallel_api_test(ProblemParallelEnv(problem, view=view), num_cycles=2 * problem.horizon + 3)
            parallel_seed_test(lambda view=view: ProblemParallelEnv(problem, view=view))


@pytest.mark.parametrize(
    ("fields", "space"),
    [
        ({"power": POWER}, spaces.Box(0.0, 0.3, (2,), np.float64)),
        ({"level": LEVEL}, spaces.Discrete(4, start=2)),
        ({"level": LEVEL, "modes": MODES}, spaces.MultiDiscrete([4, 2, 2], start=[2, 0, 0])),
        (
            {"level": LEVEL, "power": POWER},
            spaces.Dict({"level": spaces.Discrete(4, start=2), "power": spaces.Box(0.0, 0.3, (2,), np.float64)}),
        ),
        ({"count": COUNT}, spaces.Dict({"count": spaces.Box(0, np.inf, (), np.int64)})),
    ],
    ids=["continuous", "one integer", "integers", "mixed", "no upper limit"],
)
def test_what_an_agent_decides_reaches_its_own_entries(fields: dict[str, ArrayField], space: Any) -> None:
    environment = ProblemParallelEnv(Choices(**fields))
    environment.reset()
    for agent in environment.agents:
        assert environment.action_space(agent) == space
    actions = actions_of(environment)
    environment.step(actions)
    for number, agent in enumerate(environment.possible_agents):
        own = {name: array[0, number] for name, array in environment.problem.taken.items()}
        if isinstance(space, spaces.Dict):
            assert all(np.array_equal(own[name], actions[agent][name]) for name in fields)
        else:
            flat = np.concatenate([own[name].reshape(-1) for name in fields])
            assert np.array_equal(flat, np.reshape(actions[agent], -1))


# ----------------------------------------------------------------------------------------------------- what is paid


def test_agents_are_paid_what_the_evaluation_charges_them(problem: Any) -> None:
    environment = ProblemParallelEnv(problem, seed=4)
    environment.reset()
    earned, charged, taken, ends = np.zeros(3), np.zeros(3), [], []
    while environment.agents:
        actions = actions_of(environment)
        rows = np.stack(list(actions.values()))
        taken.append(Decisions({"local_w": rows[None, :, 0], "offload_w": rows[None, :, 1]}))
        _, rewards, terminated, truncated, infos = environment.step(actions)
        earned += list(rewards.values())
        charged += [info["cost"] for info in infos.values()]
        ends.append((set(terminated.values()), set(truncated.values())))
    instances = next(instance_batches(problem, 1, 4))
    outcome = problem.evaluate(instances, Decisions.over_slots(taken))
    np.testing.assert_allclose(charged, outcome.agent_cost[0], rtol=1e-12)
    state = problem.reset(instances)
    for decision in taken:
        state, last = problem.step(instances, state, decision)
    # What the end leaves behind is settled in the evaluation alone: a learner goes on from there.
    assert last.terminal_cost is not None
    np.testing.assert_allclose(earned, last.terminal_cost[0] - outcome.agent_cost[0], rtol=1e-12)
    assert ends == [({False}, {False})] * 5 + [({False}, {True})]


def test_metrics_are_those_of_the_slot_for_all_agents(problem: Any) -> None:
    environment = ProblemParallelEnv(problem)
    environment.reset()
    *_, infos = environment.step(dict.fromkeys(environment.agents, np.array([1.0, 0.5])))
    metrics = infos["agent_2"]["metrics"]
    assert metrics["energy_j"] == pytest.approx(3 * 1.5 * 1e-3)
    assert infos["agent_0"]["metrics"] == metrics


# ---------------------------------------------------------------------------------------------------- who sees what


@pytest.mark.parametrize("problem", registered())
def test_garbage_in_the_others_rows_leaves_what_an_agent_sees(problem: Any) -> None:
    """Rows are exchanged for nonsense of the same size, in every array that is observed."""
    instances, rng = problem.sample(20, 0), np.random.default_rng(1)
    observation = problem.observe(instances, problem.reset(instances))
    for view in problem.views:
        seen = problem.view(observation, view)
        assert seen.shape == (20, problem.num_agents, problem.view_size(view))
        for agent in range(problem.num_agents):
            garbage = {name: np.exp(rng.normal(0, 9, array.shape)) for name, array in observation.items()}
            for name, array in observation.items():
                garbage[name][:, agent] = array[:, agent]
            others = problem.view(Observation(garbage), view)
            np.testing.assert_array_equal(others[:, agent], seen[:, agent])
            assert not np.array_equal(others, seen)


def test_the_others_tasks_and_energy_never_reach_an_agent(problem: Any) -> None:
    """Another's arrivals, harvest and powers are changed in every slot; channels, which all share, stay."""
    instances = problem.sample(1, 0)
    changed = {name: np.array(array) for name, array in instances.items()}
    changed["arrival_bits"][..., 1:] *= 3.0
    changed["harvest_j"][..., 1:] += 1e-3
    histories = []
    for nature, power in ((instances, 0.5), (Instances(changed), 2.0)):
        environment = ProblemParallelEnv(problem)
        environment._episodes._batches = iter([nature])
        observation, _ = environment.reset()
        history = [observation]
        while environment.agents:
            rest = dict.fromkeys(environment.agents[1:], np.full(2, power))
            observation, *_ = environment.step({"agent_0": np.array([0.2, 0.3]), **rest})
            history.append(observation)
        histories.append(history)
    for first, second in zip(*histories, strict=True):
        np.testing.assert_array_equal(first["agent_0"], second["agent_0"])
    assert not np.array_equal(histories[0][-1]["agent_1"], histories[1][-1]["agent_1"])


def test_a_seed_gives_the_same_episodes_and_every_reset_a_fresh_one(problem: Any) -> None:
    environment, other = ProblemParallelEnv(problem, seed=1, view="full"), ProblemParallelEnv(problem, view="full")
    first, again = environment.reset()[0]["agent_1"], environment.reset()[0]["agent_1"]
    assert not np.array_equal(first, again)
    assert np.array_equal(other.reset(seed=1)[0]["agent_1"], first)
    assert np.array_equal(other.reset()[0]["agent_1"], again)


# --------------------------------------------------------------------------------------------------- what is refused


FINE = np.array([1.0, 1.0])


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"agent_1": np.array([np.nan, 1.0])}, InvalidInput, "^local_w of 'agent_1' holds NaN or infinite values"),
        ({"agent_2": np.array([1.0, 2.5])}, InvalidInput, r"^offload_w of 'agent_2' holds 2.5; allowed: 0 to 2 \[W\]$"),
        ({"agent_0": np.ones(3)}, InvalidInput, r"^action of 'agent_0' has shape \[3\]; allowed: \[2\]$"),
        ({"agent_0": None}, InvalidInput, "^action of 'agent_0' is missing; needed: one of each of the 3$"),
        ({"agent_3": FINE}, UnknownName, "^action of an unknown agent 'agent_3'; did you mean 'agent_2'"),
    ],
)
def test_a_wrong_action_is_named(problem: Any, change: dict[str, Any], kind: Any, message: str) -> None:
    environment = ProblemParallelEnv(problem)
    environment.reset()
    actions = {**dict.fromkeys(environment.agents, FINE), **change}
    with pytest.raises(kind, match=message):
        environment.step({agent: action for agent, action in actions.items() if action is not None})


@pytest.mark.parametrize("action", [np.zeros(3), {"level": 2}, {"level": 2, "power": [0.0, 0.0], "more": 1}])
def test_a_mixed_action_needs_every_array_by_name(action: Any) -> None:
    environment = ProblemParallelEnv(Choices(level=LEVEL, power=POWER))
    environment.reset()
    with pytest.raises(InvalidInput, match=r"^action of 'agent_0' is not a dict of exactly level, power$"):
        environment.step(dict.fromkeys(environment.agents, action))


def test_stepping_without_a_running_episode_is_refused(problem: Any) -> None:
    environment = ProblemParallelEnv(problem)
    with pytest.raises(InvalidInput, match=r"^no episode has begun; allowed: reset first$"):
        environment.step({})
    environment.reset()
    while environment.agents:
        environment.step(actions_of(environment))
    with pytest.raises(InvalidInput, match=r"^step after the horizon's end; allowed: reset first$"):
        environment.step(dict.fromkeys(environment.possible_agents, FINE))


def test_an_unknown_view_and_a_problem_without_agents_are_refused(problem: Any) -> None:
    with pytest.raises(UnknownName, match="no view 'ful' of carbon_mimo; did you mean 'full'"):
        ProblemParallelEnv(problem, view="ful")
    with pytest.raises(Unsupported, match="problem 'multi_server' has no agents that decide for themselves"):
        ProblemParallelEnv(registry.problem("multi_server", users=3))
