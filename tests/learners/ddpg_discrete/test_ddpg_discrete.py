"""Algorithms 1 to 3 against numbers computed by hand, and that training and imitation find what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Decisions, Demonstrations
from offloadopt.datasets.demonstrations import observations_along
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common import training as course
from offloadopt.learners.common.replay import TransitionBatch, TransitionReplay
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.ddpg_discrete.ddpg_discrete import PAPER, Centre, DdpgDiscrete
from offloadopt.learners.ddpg_discrete.networks import (
    CentralNetwork,
    Coordinates,
    Joint,
    Options,
    Shared,
    nearness,
    tried,
)
from offloadopt.learners.ddpg_discrete.policy import CentralPolicy, state_of
from offloadopt.learners.ddpg_discrete.quantiser import Grid, levels_of
from offloadopt.testing import check_learner

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 3,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 2,
    "imitation_steps": 5,
}


class Killed(BaseException):
    """Stands for whatever ends a process."""


def mobile(**changes: Any) -> Any:
    return registry.problem("partial_mobile", **{"users": 3, "horizon": 4, **changes})


def weights(policy: CentralPolicy) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in policy.actor.arrays().items()}


def expert(problem: Any, count: int, solver: str = "exact") -> Demonstrations:
    instances = problem.sample(count, seed=7)
    solutions = registry.solver(solver, problem).run(problem, instances)
    return Demonstrations(instances, observations_along(problem, instances, solutions.decisions), solutions)


# ---------------------------------------------------------------------------------------------- Algorithm 2 (encoding)


def test_the_floor_reaches_its_last_level_at_1_alone() -> None:
    shares = np.array([0.0, 0.2499, 0.25, 0.49, 0.5, 0.75, 0.999999, 1.0])
    assert levels_of(shares, 5, "floor").tolist() == [0, 0, 1, 1, 2, 3, 3, 4]
    assert levels_of(shares, 5, "round").tolist() == [0, 1, 1, 2, 2, 3, 4, 4]
    assert levels_of(np.array([-0.3, 1.2]), 5, "floor").tolist() == [0, 4]


def test_a_choice_has_as_many_levels_as_options_and_a_quantity_k() -> None:
    grid = Grid("round", 3, (None, 5))
    assert grid.levels == [3, 5]
    snapped = grid.snap(np.array([[0.3, 0.3], [0.2, 0.9]]))
    np.testing.assert_allclose(snapped, [[0.5, 0.25], [0.0, 1.0]])


def test_without_encoding_quantities_stay_and_options_have_equal_parts() -> None:
    grid = Grid("none", 5, (None, 5))
    snapped = grid.snap(np.array([[0.3, 0.19], [0.123, 0.21], [1.0, 0.99], [0.0, 1.0]]))
    np.testing.assert_allclose(snapped, [[0.3, 0.0], [0.123, 0.25], [1.0, 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("encoding", ["floor", "round", "none"])
def test_what_is_aimed_at_becomes_the_level_that_was_wanted(encoding: Any) -> None:
    grid = Grid(encoding, 5, (None, 5))
    wanted = np.stack([np.linspace(0, 1, 5), np.linspace(0, 1, 5)[::-1]], axis=-1)
    aim = grid.aim(wanted)
    np.testing.assert_allclose(grid.snap(aim), wanted)
    if encoding != "none":
        for off in (-0.1, 0.1):  # and stays it within almost half a level, but for the floor's last one
            inside = np.clip(aim + off, 0.0, 1.0)
            ok = (aim < 1.0) | (off > 0) if encoding == "floor" else np.ones(aim.shape, bool)
            np.testing.assert_allclose(grid.snap(inside)[ok], wanted[ok])
    assert np.isnan(grid.aim(np.array([[0.5, np.nan]]))[0, 1])


# ------------------------------------------------------------------------------------- Algorithm 1 and the coordinates


def test_a_normalised_state_is_each_entry_times_its_factor() -> None:
    problem = mobile(users=2)
    instances = problem.sample(1, 0)
    observation = problem.observe(instances, problem.reset(instances))
    raw, scaled = (state_of(problem, observation, normalise)[0] for normalise in (False, True))
    position, bits = instances["position_m"][0, 0], instances["task_bits"][0, 0]
    for user in range(2):
        assert raw[user].tolist() == [*position[user], bits[user], 0, 0, 0, 0, 0]
        np.testing.assert_allclose(scaled[user], [*position[user] / 400.0, bits[user] / 2e6, 0, 0, 0, 0, 0])
    decision = problem.decode(np.array([[[1.0, 0.5, 0.0], [1.0, 0.75, 0.0]]]))
    state, _ = problem.step(instances, problem.reset(instances), decision)
    np.testing.assert_allclose(
        state_of(problem, problem.observe(instances, state), True)[0, :, 3:], [[1.25, 0, 0, 0, 0]] * 2
    )


def test_coordinates_are_ratio_cpu_and_server() -> None:
    problem = mobile(users=4)
    decisions = problem.decode(np.array([[[0.5, 0.25, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]]))
    assert decisions["server"].tolist() == [[1, 5, 0, 0]]  # CPU level 0 is local computing
    assert decisions["ratio"].tolist() == [[0.5, 1.0, 0.0, 0.0]]
    assert decisions["cpu_hz"].tolist() == [[2.5e9, 10e9, 0.0, 0.0]]


def test_encoded_decisions_are_decoded_to_what_costs_the_same() -> None:
    problem = mobile()
    instances = problem.sample(5, 1)
    solutions = registry.solver("exact", problem).run(problem, instances)
    coordinates = problem.encode(solutions.decisions)
    local = solutions.decisions["server"] == 0
    assert (np.isnan(coordinates[..., 2]) == local).all()
    back = [problem.decode(np.nan_to_num(coordinates[:, slot])) for slot in range(problem.horizon)]
    cost = problem.evaluate(instances, Decisions.over_slots(back)).cost
    np.testing.assert_allclose(cost, solutions.objective, rtol=1e-9)


@pytest.mark.parametrize("encoding", ["floor", "round", "none"])
def test_whatever_an_actor_says_is_feasible_and_on_its_levels(encoding: Any) -> None:
    problem = mobile(users=6)
    grid = Grid(encoding, 5, problem.choices)
    coordinates = grid.snap(np.random.default_rng(0).random((50, 6, 3)))
    decisions = problem.check_decisions(
        {name: np.repeat(values[:, None], 4, axis=1) for name, values in problem.decode(coordinates).items()}, 50
    )
    away = decisions["server"] > 0
    assert ((decisions["cpu_hz"] > 0) == away).all()
    levels = 4 * decisions["cpu_hz"] / problem.scenario.cpu_server_hz
    assert (levels == np.rint(levels)).all() == (encoding != "none")


# ----------------------------------------------------------------------------------------------------------- networks


def test_nearness_is_one_at_a_level_and_shared_between_neighbours() -> None:
    near = nearness(torch.tensor([0.0, 0.25, 0.3, 1.0]), 5)
    expected = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.8, 0.2, 0, 0], [0, 0, 0, 0, 1]]
    torch.testing.assert_close(near, torch.tensor(expected, dtype=torch.float32))


def test_shared_networks_follow_the_order_of_the_agents() -> None:
    head = Options(5, (None, None, 4))
    critic = Shared(5, head.seen, head.seen_choices, (8, 8), 1)
    critic.initialise(seeded_generator(0))
    state, action = torch.rand((6, 5, 5)), head.see(torch.rand((6, 5, 3)))
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(critic(state, action)[:, order], critic(state[:, order], action[:, order]))


def test_a_shared_critic_counts_who_chooses_the_same() -> None:
    head = Options(3, (None, 4))
    critic = Shared(2, head.seen, head.seen_choices, (6,), 1)
    critic.initialise(seeded_generator(0))
    state = torch.rand((1, 3, 2))
    alone, joined, elsewhere = (torch.tensor([[[0.5, 0.0], [0.5, 1 / 3], [0.5, at]]]) for at in (1.0, 0.0, 2 / 3))
    with torch.no_grad():
        said = [critic(state, head.see(action))[0, 0] for action in (alone, joined, elsewhere)]
    same = critic.before[0](torch.cat([state, head.see(joined)], dim=-1)).relu()[0]
    pooled = (same[0] + same[2]) / 2.0
    signal = torch.cat([same[0], same.mean(dim=0), pooled])
    for layer in critic.after[:-1]:
        signal = layer(signal).relu()
    torch.testing.assert_close(said[1], critic.after[-1](signal).detach())
    assert said[0] != said[1]


def test_an_actors_options_are_read_as_the_likeliest_and_seen_by_their_number() -> None:
    head = Options(5, (None, 4, None))
    assert (head.outputs, head.seen) == (6, 14)
    signal = torch.tensor([[0.0, 2.0, -1.0, 3.0, 0.5, 0.0]])  # two quantities, then four options
    shares = head.shares(signal)
    np.testing.assert_allclose(shares, [[0.5, 1 / 3, 1 / (1 + np.exp(-2.0))]], rtol=1e-6)
    seen = head.see(torch.from_numpy(shares).float())
    torch.testing.assert_close(seen[0, :5], torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(seen[0, -4:], torch.tensor([0.0, 1.0, 0.0, 0.0]))
    explored = head.explore(signal.expand(4000, 6), 0.4, np.random.default_rng(0))
    assert np.mean(explored[:, 1] != shares[0, 1]) == pytest.approx(0.4 * 3 / 4, abs=0.03)


def test_a_small_share_is_imitated_by_the_lowest_level_that_is_not_none() -> None:
    grid = Grid("round", 5, [None, 3])
    wanted = np.array([[0.0, 0.0], [0.02, 0.1], [0.3, 0.5], [1.0, 1.0]])
    np.testing.assert_allclose(grid.aim(wanted), [[0.0, 0.0], [0.25, 0.0], [0.25, 0.5], [1.0, 1.0]])


class Waves(CentralNetwork):
    """A critic that says something smooth of actions alone."""

    def __init__(self, seen: int) -> None:
        super().__init__(1)
        self.weight = torch.randn((seen,), generator=seeded_generator(1))

    def forward(self, state: torch.Tensor, action: torch.Tensor | None = None) -> torch.Tensor:
        assert action is not None
        return (action * self.weight).sum(dim=-1, keepdim=True).sin() + 0.0 * state[..., :1]


@pytest.mark.parametrize("head", [Coordinates(3), Options(5, (None, None, None))])
def test_quantities_climb_along_the_chain_rule(head: Any) -> None:
    """Without inverting gradients it is the gradient of the critic's word through the actor's squashing."""
    signal = torch.randn((6, 2, 3), generator=seeded_generator(0)).requires_grad_()
    critic, state = Waves(head.seen), torch.zeros((6, 2, 1))
    (direct,) = torch.autograd.grad(critic(state, head.see(torch.sigmoid(signal))).sum(), signal)
    rise = head.climb(signal, critic, state, False, np.random.default_rng(0))
    (found,) = torch.autograd.grad(rise.sum(), signal)
    torch.testing.assert_close(found, direct)


class Crowd(CentralNetwork):
    """A critic to whom three agents' options are worth less, the more take the same, and an agent's own its number."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, state: torch.Tensor, action: torch.Tensor | None = None) -> torch.Tensor:
        assert action is not None
        options = action[..., 5:]
        crowd = options.sum(dim=1, keepdim=True)
        return (options * (torch.arange(3.0) - crowd)).sum(dim=-1, keepdim=True)


def crowded() -> tuple[Options, torch.Tensor, torch.Tensor]:
    """Everyone likes option 1 best, by ever less."""
    head = Options(5, (None, 3))
    logits = torch.tensor([[0.0, 2.0, -2.0], [0.0, 1.0, 0.0], [0.3, 0.4, 0.2]])
    signal = torch.cat([torch.zeros((3, 1)), logits], dim=-1)
    return head, logits, signal.expand(30_000, 3, 4).clone().requires_grad_()


def worth_of(taken: list[int]) -> float:
    """What `Crowd` says of all agents together, counted by hand."""
    return float(sum(option - taken.count(option) for option in taken))


def test_an_agents_options_are_tried_while_the_others_keep_theirs() -> None:
    head, _, signal = crowded()
    seen = head.see(torch.from_numpy(head.shares(signal[:2].detach())).float())
    found = tried(Crowd(), torch.zeros((2, 3, 1)), seen, head.seen_choices[0], torch.tensor([0, 2]))
    by_hand = [[worth_of([option, 1, 1]) for option in range(3)], [worth_of([1, 1, option]) for option in range(3)]]
    torch.testing.assert_close(found, torch.tensor(by_hand))
    assert (seen[:, :, 6] == 1).all()  # what was seen stays what it was


@pytest.mark.parametrize("inverting", [False, True])
def test_options_climb_by_what_they_gain(inverting: bool) -> None:
    """By their probability as the softmax's chain rule has it, or whatever it is and by the room that is left."""
    head, logits, signal = crowded()
    rise = head.climb(signal, Crowd(), torch.zeros((len(signal), 3, 1)), inverting, np.random.default_rng(0))
    (slope,) = torch.autograd.grad(rise.sum(), signal)
    found = slope[..., 1:].mean(dim=0)  # whom chance made try is averaged out
    chance = torch.softmax(logits, dim=-1)
    worth = torch.tensor(
        [[worth_of([option if agent == who else 1 for agent in range(3)]) for option in range(3)] for who in range(3)]
    )
    gain = worth - (chance * worth).sum(dim=-1, keepdim=True)
    expected = gain * (1.0 - gain.sign() * logits / 5.0) if inverting else gain * chance
    torch.testing.assert_close(found, expected, rtol=0.03, atol=1e-5)


def test_users_who_all_prefer_one_server_are_told_to_leave_it() -> None:
    """Their chances alone look well spread: by those, nobody would gain."""
    head, state = Options(5, (None, 3)), torch.zeros((4000, 3, 1))
    signal = (1e-3 * torch.tensor([0.0, 0.0, 0.0, 1.0])).expand(4000, 3, 4).clone().requires_grad_()
    rise = head.climb(signal, Crowd(), state, True, np.random.default_rng(0))
    (slope,) = torch.autograd.grad(rise.sum(), signal)
    away, there = slope[..., 2].mean(), slope[..., 3].mean()
    assert there < 0 < away


def test_standardised_networks_see_deviations_from_the_mean() -> None:
    rng = np.random.default_rng(0)
    states = torch.from_numpy(rng.normal([5.0, -1.0, 2.0], [0.1, 3.0, 0.0], size=(400, 7, 3)))
    actor = Shared(3, 0, (), (6,), 2)
    actor.initialise(seeded_generator(0))
    standard = (states - states.mean(dim=(0, 1))) / torch.tensor([states[..., 0].std(), states[..., 1].std(), 1.0])
    with torch.no_grad():
        before = actor(standard.float())
        actor.standardise(states)
        torch.testing.assert_close(actor(states.float()), before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shown", [False, True])
def test_states_are_standardised_by_an_episode_of_chance_whoever_is_imitated(shown: bool) -> None:
    """An expert's workloads hardly differ: by them, a pupil's own would be far out."""
    examples = expert(mobile(), 3) if shown else None
    actor = DdpgDiscrete(**SMALL, networks="joint").fit(mobile(), demonstrations=examples, budget=Budget(steps=1)).actor
    np.testing.assert_allclose(actor.center[:2], 0.5, atol=0.25)  # 12 users' places
    np.testing.assert_allclose(actor.center[2], 0.875, atol=0.05)  # tasks of 1.5 to 2 Mbit, by the largest
    np.testing.assert_allclose(actor.scale[2], 0.25 / 12**0.5, rtol=0.3)
    # Three users ask for half a CPU on average, on five servers, unless their ratio is level 0; the first slot is idle.
    np.testing.assert_allclose(actor.center[3:].mean(), 0.75 * 7 / 8 * 1.5 / 5, rtol=0.4)


@pytest.mark.parametrize("raw", [{"normalise": False}, {"standardise": False}])
def test_states_are_not_standardised_where_they_are_to_stay_as_they_are(raw: dict[str, bool]) -> None:
    actor = DdpgDiscrete(**{**SMALL, **raw}).fit(mobile(), budget=Budget(steps=180)).actor
    assert (actor.center == 0).all()
    assert (actor.scale == 1).all()


def test_a_joint_network_is_a_perceptron_of_all_numbers() -> None:
    critic = Joint(2, 3, 1, 2, (7, 5), 0)
    critic.initialise(seeded_generator(0))
    state, action = np.random.default_rng(0).normal(size=(4, 2, 4)) * 9, np.random.default_rng(1).random((4, 2, 2))
    state[:, 1, 3] = state[:, 0, 3]
    signal = np.concatenate([state[:, :, :3].reshape(4, 6), state[:, 0, 3:], action.reshape(4, 4)], axis=-1)
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in critic.layers]
    for weight, bias in layers[:-1]:
        signal = np.clip(signal @ weight.T + bias, 0.0, 6.0)
    expected = signal @ layers[-1][0].T + layers[-1][1]
    with torch.no_grad():
        found = critic(torch.from_numpy(state).float(), torch.from_numpy(action).float())
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------------------------------------------- Algorithm 3


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_the_critics_target_is_the_reward_and_what_follows(networks: Any) -> None:
    """The joint critic tells the sum of what agents are paid, the shared one each agent's own pay."""
    problem = mobile()
    settings = DdpgDiscrete(**{**SMALL, "gamma": 0.9, "networks": networks, "reward_scale": 0.5, "huber_delta": None})
    centre = Centre(settings, problem, seeded_generator(0))
    rng = np.random.default_rng(0)
    view, following = (torch.from_numpy(rng.random((7, 3, 8))).float() for _ in range(2))
    action, reward = torch.from_numpy(rng.random((7, 3, 3))).float(), torch.from_numpy(rng.random((7, 3))).float()
    target = centre.target(TransitionBatch(view, action, reward, following)).numpy()
    with torch.no_grad():
        shares = centre.head.shares(centre.networks["target_actor"](following))
        seen = centre.head.see(torch.from_numpy(centre.grid.snap(shares)).float())
        later = centre.networks["target_critic"](following, seen)[..., 0].numpy()
    paid = reward.numpy() if networks == "shared" else reward.numpy().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(target, 0.5 * paid + 0.9 * later, rtol=1e-5)
    assert target.shape == ((7, 3) if networks == "shared" else (7, 1))


@pytest.mark.parametrize(("replay", "appended", "learned"), [("paper", 10, 22), ("overwrite", 32, 32)])
def test_the_papers_replay_stores_until_it_is_full_and_learns_only_then(
    replay: Any, appended: int, learned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    append, learn = TransitionReplay.append, Centre.learn

    def watched_append(self: TransitionReplay, *parts: Any) -> None:
        told.append(("append", self.appended))
        append(self, *parts)

    def watched_learn(self: Centre, *parts: Any) -> Any:
        told.append(("learn", 0))
        return learn(self, *parts)

    monkeypatch.setattr(TransitionReplay, "append", watched_append)
    monkeypatch.setattr(Centre, "learn", watched_learn)
    settings = DdpgDiscrete(**{**SMALL, "num_envs": 1, "warm_up": 0, "buffer_size": 10, "replay": replay})
    settings.fit(mobile(), budget=Budget(steps=32 * 3))
    kinds = [kind for kind, _ in told]
    assert (kinds.count("append"), kinds.count("learn")) == (appended, learned)
    if replay == "paper":
        assert kinds == ["append"] * 10 + ["learn"] * 22


def test_noise_falls_to_its_least_value() -> None:
    problem = mobile()
    settings = DdpgDiscrete(**SMALL, encoding="none", noise=0.2, noise_decay=0.99, noise_least=0.05)
    centre = Centre(settings, problem, seeded_generator(0))
    state = np.zeros((4000, 3, 8))
    for slot, sigma in ((0, 0.2), (50, 0.2 * 0.99**50), (1000, 0.05)):
        ratio = centre.explore(state, slot, np.random.default_rng(0))[..., 0]
        half = np.quantile(ratio, [0.25, 0.75])  # noise beyond 0 and 1 is cut off
        assert (half[1] - half[0]) / 1.349 == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_training_finds_a_better_policy_than_it_began_with(networks: Any) -> None:
    problem = mobile(users=2, horizon=5)
    options = {"networks": networks, "hidden": (32, 32), "warm_up": 60, "actor_delay": 200, "actor_rate": 2e-3}
    learner = DdpgDiscrete(**options, critic_rate=3e-3, noise_decay=0.998)
    instances = problem.sample(40, 5)
    before, after = (
        learner.fit(problem, budget=Budget(steps=steps), seed=1).run(problem, instances).objective.mean()
        for steps in (32, 32 * 700)  # of two users
    )
    optimum = registry.solver("exact", problem).run(problem, instances).objective.mean()
    assert after - optimum < 0.5 * (before - optimum)


def test_imitation_reproduces_an_expert_that_can_be_reproduced() -> None:
    """Everything to the nearest server: a function of each user's own place but for the CPU."""
    problem = mobile(users=2, horizon=1)
    shown = expert(problem, 1500, "greedy")
    learner = DdpgDiscrete(encoding="none", imitation_steps=1200, imitation_rate=5e-3, hidden=(48, 48))
    instances = problem.sample(300, 5)
    found = learner.fit(problem, demonstrations=shown, budget=Budget(steps=1)).run(problem, instances)
    wanted = registry.solver("greedy", problem).run(problem, instances)
    assert np.mean(found.decisions["server"] == wanted.decisions["server"]) > 0.85
    assert np.abs(found.decisions["ratio"] - wanted.decisions["ratio"]).mean() < 0.05


def test_demonstrations_that_do_not_fit_are_refused() -> None:
    problem = mobile()
    with pytest.raises(InvalidInput, match="empty"):
        DdpgDiscrete(**SMALL).fit(problem, demonstrations=expert(problem, 0))
    with pytest.raises(InvalidInput, match="shape"):
        DdpgDiscrete(**SMALL).fit(mobile(users=4), demonstrations=expert(problem, 2))


# ----------------------------------------------------------------------------------------------------------- contracts


@pytest.mark.parametrize("networks", ["joint", "shared"])
def test_it_conforms(networks: Any) -> None:
    check_learner(DdpgDiscrete(**SMALL, networks=networks), mobile(), steps=180)
    check_learner(DdpgDiscrete(**SMALL, networks=networks), mobile(horizon=1), expert(mobile(horizon=1), 3), steps=180)


def test_the_papers_settings_train() -> None:
    learner = DdpgDiscrete(**{**PAPER, "buffer_size": 20, "hidden": (12, 8, 4)})
    policy = learner.fit(mobile(), budget=Budget(steps=180))
    assert np.isfinite(policy.run(mobile(), mobile().sample(2, 0)).objective).all()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    shown = expert(mobile(), 3)
    one, same, other = (
        DdpgDiscrete(**SMALL).fit(mobile(), demonstrations=shown, budget=Budget(steps=600), seed=seed)
        for seed in (3, 3, 4)
    )
    assert weights(one) == weights(same) != weights(other)


@pytest.mark.parametrize("replay", ["paper", "overwrite"])
@pytest.mark.parametrize("after", [120, 450])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replay: Any, after: int
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    learner, done = DdpgDiscrete(**SMALL, replay=replay), 0

    def killer(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    whole, given = Budget(steps=900), {"demonstrations": expert(mobile(), 3), "seed": 3}
    policy = learner.fit(mobile(), budget=whole, **given)
    with pytest.raises(Killed):
        learner.fit(mobile(), budget=whole, progress=killer, checkpoint=tmp_path / "state", **given)
    again: list[int] = []
    resumed = learner.fit(mobile(), budget=whole, progress=again.append, checkpoint=tmp_path / "state", **given)
    assert weights(resumed) == weights(policy)
    assert sum(again) == 900
    assert again[0] >= after - 32


def test_a_shared_actor_serves_any_number_of_users(tmp_path: Path) -> None:
    for networks in ("shared", "joint"):
        DdpgDiscrete(**SMALL, networks=networks).fit(mobile(), budget=Budget(steps=40)).save(tmp_path / networks)
    five = mobile(users=5)
    assert np.isfinite(load_policy(tmp_path / "shared", five).run(five, five.sample(2, 0)).objective).all()
    with pytest.raises(InvalidInput, match=r"layers\.0"):
        load_policy(tmp_path / "joint", five)
    with pytest.raises(DamagedFile):
        CentralPolicy.load(_without_origin(tmp_path / "joint", tmp_path / "odd"), mobile())
    with pytest.raises(Unsupported, match="JointProblem"):
        DdpgDiscrete(**SMALL).fit(registry.problem("multi_server"))


def _without_origin(folder: Path, odd: Path) -> Path:
    """A policy whose arrays are not those that its settings speak of."""
    policy = load_policy(folder, mobile())
    assert isinstance(policy, CentralPolicy)
    policy.origin = policy.origin.replace(settings={**policy.origin.settings, "networks": "shared"})
    policy.save(odd)
    return odd
