"""PPO for agents: what it computes, what it finds where the best is known, and what training depends on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import (
    Budget,
    Decisions,
    Demonstrations,
    Learner,
    Problem,
    Solutions,
)
from offloadopt.datasets.demonstrations import observations_along
from offloadopt.errors import InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_policy import Actor, AgentPolicy
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ppo.ppo import Ppo, _run_in_chunks, clipped_objective
from offloadopt.testing import check_learner

from toys.clues import MUST_GUESS, GuessScenario, OddGuess, cost, guess

SMALL: dict[str, Any] = {"hidden": (16,), "num_envs": 16, "epochs": 2, "minibatch_size": 64, "imitation_steps": 20}
"""Settings for trainings that need not learn."""
QUICK: dict[str, Any] = {
    "hidden": (32,),
    "num_envs": 32,
    "minibatch_size": 384,
    "learning_rate": 1e-2,
    "gamma": 0.5,
    "gae_lambda": 0.95,
}
"""Settings that learn the toy problem in seconds."""


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 2, "antennas": 4, **changes})


def train(problem: Problem[Any], steps: int, seed: int = 0, **settings: Any) -> AgentPolicy:
    return Ppo(**settings).fit(problem, budget=Budget(steps=steps), seed=seed)


def arrays(policy: AgentPolicy) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


def demonstrate(problem: Any, count: int) -> Demonstrations:
    instances = problem.sample(count, seed=5)
    decisions = problem.best(instances)
    solutions = Solutions.scored(problem, instances, decisions, seconds=0.0)
    return Demonstrations(instances, observations_along(problem, instances, decisions), solutions)


# --------------------------------------------------------------------------------------------------- what is learned


@pytest.mark.parametrize(
    "settings",
    [
        {"shared": False, "critic": "central"},
        {"shared": False},
        {"critic": "central", "reward": "team", "gamma": 0.0},
        {"standardise": False, "activation": "tanh", "entropy_weight": 0.003},
        {"rollout_length": 3},
    ],
    ids=str,
)
def test_it_finds_numbers_and_choices_that_fit_a_clue(settings: dict[str, Any]) -> None:
    problem = guess(slots=8)
    assert cost(train(problem, 16_000, **{**QUICK, **settings}), problem) < MUST_GUESS


def test_it_learns_costs_of_any_magnitude_alike() -> None:
    """Powers of two change no digit of standardised rewards."""
    small, large, untrained = (
        arrays(train(guess(unit=unit), steps, **SMALL)) for unit, steps in ((2.0**-20, 600), (2.0**20, 600), (1.0, 1))
    )
    assert small == large != untrained


def test_it_learns_a_decision_without_a_future() -> None:
    problem = guess(slots=1)
    assert cost(train(problem, 16_000, **{**QUICK, "num_envs": 256}), problem) < MUST_GUESS


def test_agents_that_remember_answer_to_what_they_saw_before() -> None:
    problem = guess(slots=4, delay=1, agents=2)
    settings = {**QUICK, "num_envs": 64}
    assert cost(train(problem, 10_000, **settings), problem) > 0.4
    assert cost(train(problem, 14_000, **settings, recurrent=True), problem) < 0.05


def test_errors_go_back_through_pieces_of_episodes() -> None:
    problem = guess(slots=8, delay=1, agents=2)
    settings = {**QUICK, "num_envs": 64, "recurrent": True, "chunk": 2, "critic": "central"}
    assert cost(train(problem, 24_000, **settings), problem) < MUST_GUESS


@pytest.mark.parametrize("settings", [{}, {"recurrent": True, "chunk": 4}], ids=str)
def test_it_fits_a_clue_where_what_is_not_allowed_is_never_tried(settings: dict[str, Any]) -> None:
    problem = OddGuess(GuessScenario(slots=8))
    assert cost(train(problem, 16_000, **{**QUICK, **settings}), problem) < MUST_GUESS


def test_a_chunk_that_does_not_fit_the_horizon_is_refused() -> None:
    with pytest.raises(InvalidInput, match="chunk = 3; allowed: a divisor of the horizon, 8 slots"):
        train(guess(slots=8), 100, **SMALL, recurrent=True, chunk=3)
    with pytest.raises(InvalidInput, match="chunk = 3; allowed for agents that do not remember: none"):
        Ppo(chunk=3)


def test_unknown_controls_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no controls 'enrgy' of carbon_mimo"):
        train(mimo(), 100, **SMALL, controls="enrgy")


def test_a_policy_keeps_its_controls(tmp_path: Path) -> None:
    problem = mimo()
    policy = train(problem, 500, **SMALL, controls="energy")
    policy.save(tmp_path / "policy")
    instances = problem.sample(3, seed=1)
    loaded = load_policy(tmp_path / "policy", problem)
    np.testing.assert_array_equal(loaded.run(problem, instances).objective, policy.run(problem, instances).objective)


@pytest.mark.parametrize("recurrent", [False, True])
def test_imitation_reproduces_an_expert(recurrent: bool) -> None:
    problem = guess()
    imitating = {"hidden": (32, 32), "minibatch_size": 768, "imitation_steps": 400, "imitation_rate": 1e-2}
    learner = Ppo(**{**SMALL, **imitating}, recurrent=recurrent, learning_rate=1e-9)  # which unlearns nothing
    policy = learner.fit(problem, demonstrations=demonstrate(problem, 256), budget=Budget(steps=1), seed=0)
    instances = problem.sample(100, seed=6)
    decided, wanted = policy.run(problem, instances).decisions, problem.best(instances)
    assert np.abs(decided["level"] - wanted["level"]).mean() < 0.1
    assert (decided["modes"] == wanted["modes"]).mean() > 0.97


def test_on_queues_it_beats_every_constant_power_in_seconds() -> None:
    problem = registry.problem("carbon_mimo", horizon=20)
    instances = problem.sample(200, seed=1)
    policy = train(problem, 60_000, num_envs=25, minibatch_size=500, view="full", hidden=(32,))

    def constant(local_w: float, offload_w: float) -> float:
        shape = (200, problem.horizon, problem.num_agents)
        powers = {"local_w": np.full(shape, local_w), "offload_w": np.full(shape, offload_w)}
        return float(problem.evaluate(instances, Decisions(powers)).cost.mean())

    grid = [constant(a, b) for a in (0.0, 0.25, 0.5, 1.0, 2.0) for b in (0.0, 0.25, 0.5, 1.0, 2.0)]
    assert policy.run(problem, instances).objective.mean() < 0.9 * min(grid)


# --------------------------------------------------------------------------------------------------------- policies


def test_permuting_agents_permutes_the_decisions_of_a_shared_network() -> None:
    problem = mimo(users=4)
    policy = train(problem, 1, **SMALL)
    instances = problem.sample(6, seed=2)
    observation = problem.observe(instances, problem.reset(instances))
    order = np.array([2, 0, 3, 1])
    permuted = type(observation)({name: values[:, order] for name, values in observation.items()})
    (first, _), (second, _) = policy.act(observation), policy.act(permuted)
    for name in first:
        np.testing.assert_allclose(second[name], first[name][:, order], rtol=1e-5)


def test_a_shared_network_serves_any_number_of_agents_and_separate_ones_only_theirs(tmp_path: Path) -> None:
    train(mimo(), 1, **SMALL).save(tmp_path / "shared")
    larger = mimo(users=4)
    assert load_policy(tmp_path / "shared", larger).run(larger, larger.sample(3, 0)).objective.shape == (3,)
    Ppo(**SMALL, shared=False).fit(mimo(), budget=Budget(steps=1)).save(tmp_path / "own")
    with pytest.raises(InvalidInput, match=r"network\.hidden\.0\.weight \[2, "):
        load_policy(tmp_path / "own", larger)


def test_a_policy_for_other_features_is_refused(tmp_path: Path) -> None:
    train(guess(), 1, **SMALL).save(tmp_path)
    with pytest.raises(InvalidInput, match="problem 'guess'"):
        load_policy(tmp_path, mimo())


# --------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    "settings",
    [{}, {"recurrent": True}, {"shared": False, "critic": "central", "standardise": False, "rollout_length": 3}],
    ids=str,
)
def test_it_conforms(settings: dict[str, Any]) -> None:
    check_learner(Ppo(**SMALL, **settings), mimo(), steps=64)
    check_learner(Ppo(**SMALL, **settings), guess(), demonstrate(guess(), 8), steps=64)


class Stopped(Exception):
    """What interrupts a training."""


def interrupt(learner: Learner, problem: Problem[Any], after: int, **options: Any) -> None:
    """Stop a training after so many steps of progress."""
    done = 0

    def progress(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Stopped

    with pytest.raises(Stopped):
        learner.fit(problem, progress=progress, **options)


@pytest.mark.parametrize("settings", [{}, {"recurrent": True}, {"rollout_length": 3}], ids=str)
def test_an_interrupted_training_ends_as_if_it_had_never_stopped(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    problem = guess(slots=5)
    learner = Ppo(**{**SMALL, "num_envs": 4}, **settings)
    options: dict[str, Any] = {"budget": Budget(steps=600), "seed": 3, "demonstrations": demonstrate(problem, 8)}
    straight = learner.fit(problem, **options)
    for after in (150, 400):
        interrupt(learner, problem, after, checkpoint=tmp_path / "state", **options)
    continued = learner.fit(problem, checkpoint=tmp_path / "state", **options)
    assert arrays(continued) == arrays(straight)


def test_another_seed_gives_another_policy() -> None:
    assert arrays(train(guess(), 200, seed=0, **SMALL)) != arrays(train(guess(), 200, seed=1, **SMALL))


def test_progress_counts_agent_steps_in_whole_rollouts() -> None:
    reported: list[int] = []
    curve: list[tuple[int, set[str]]] = []
    Ppo(**{**SMALL, "num_envs": 2}).fit(
        guess(), budget=Budget(steps=50), progress=reported.append, record=lambda step, m: curve.append((step, set(m)))
    )
    assert reported == [24, 24, 24]  # 2 environments x 4 slots x 3 agents
    names = {"reward", "entropy", "explained_variance", "approx_kl", "clip_fraction"}
    expected = {"episode/cost", "episode/objective", *(f"train/{name}" for name in names)}
    assert curve == [(24 * n, expected) for n in (1, 2, 3)]


def test_a_recorded_cost_is_of_one_agent_in_one_slot_also_in_parts_of_episodes() -> None:
    full, in_parts = [], []
    for found, length in ((full, None), (in_parts, 2)):
        learner = Ppo(**SMALL, rollout_length=length, standardise=False)
        learner.fit(guess(slots=4), budget=Budget(steps=100), record=lambda _, m, found=found: found.append(m))
    for measured in (full[0], in_parts[0]):  # every agent bears its own cost, and nothing settles the end
        assert measured["episode/cost"] == pytest.approx(-measured["train/reward"])
    assert full[0]["episode/objective"] == pytest.approx(4 * guess().num_agents * full[0]["episode/cost"])
    assert "episode/objective" not in in_parts[0]


def test_seconds_end_training() -> None:
    reported: list[int] = []
    Ppo(**{**SMALL, "num_envs": 2}).fit(guess(), budget=Budget(seconds=1e-9), progress=reported.append)
    assert sum(reported) == 0


def test_problems_without_agents_are_refused() -> None:
    with pytest.raises(Unsupported, match="needs the structure AgentProblem"):
        Ppo().fit(registry.problem("multi_server", users=3, servers=2))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="rollout_length = 3; allowed for recurrent agents: none"):
        Ppo(recurrent=True, rollout_length=3)
    with pytest.raises(InvalidInput, match="no view 'ful' of guess"):
        Ppo(view="ful").fit(guess())


def test_demonstrations_must_be_there_and_feasible() -> None:
    problem, nobody = guess(), slice(0)
    given = demonstrate(problem, 2)
    none = Demonstrations(given.instances.take(nobody), given.observations.take(nobody), given.solutions.take(nobody))
    with pytest.raises(InvalidInput, match="the demonstrations are empty"):
        Ppo().fit(problem, demonstrations=none)
    failed = dataclasses.replace(given.solutions, objective=np.array([0.0, np.inf]))
    with pytest.raises(InvalidInput, match="demonstration 1 is not feasible"):
        Ppo().fit(problem, demonstrations=dataclasses.replace(given, solutions=failed))


def test_the_clipped_gain_is_the_smaller_of_both() -> None:
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = torch.tensor([2.0, -2.0, 2.0, -2.0, 3.0])
    # 1.2 x 2, 1.5 x -2 (not clipped), 0.5 x 2 (not clipped), 0.8 x -2, 1.1 x 3
    expected = torch.tensor([2.4, -3.0, 1.0, -1.6, 3.3])
    torch.testing.assert_close(clipped_objective(ratio.log(), advantage, 0.2), expected)


@pytest.mark.parametrize("copies", [1, 3])
def test_pieces_that_start_from_their_memories_answer_as_the_whole(copies: int) -> None:
    actor = Actor(copies, (2, 8, 4), "tanh", recurrent=True, standardise=False)
    actor.initialise(seeded_generator(0))
    view = torch.from_numpy(np.random.default_rng(2).normal(size=(7, 5, 3, 2)).astype(np.float32))
    with torch.no_grad():
        full, _ = actor(view)
        outputs, memories = _run_in_chunks(actor, view, 2)
        rows = view[:6].unflatten(0, (3, 2)).transpose(0, 1).flatten(1, 2)
        again, _ = actor(rows, memories)
    torch.testing.assert_close(outputs, full)
    torch.testing.assert_close(again.unflatten(1, (3, 5)).transpose(0, 1).flatten(0, 1), full[:6])
