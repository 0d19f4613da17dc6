"""Value decomposition: its sum, targets and levels by hand, and that it finds what is known to be best."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import ArrayField, Budget, Decisions, Instances, Observation, Outcome, Problem, State
from offloadopt.errors import DamagedFile, InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.ddpg import DdpgVdn, DdpgVdnAgents
from offloadopt.learners.vdn.dqn import DqnVdn, DqnVdnAgents
from offloadopt.learners.vdn.quantised_controls import QuantisedControls, QuantisedInterface
from offloadopt.learners.vdn.utility import UtilityNetwork
from offloadopt.learners.vdn.vdn import Vdn, VdnAgents
from offloadopt.structures.actions import DirectControls
from offloadopt.testing import check_learner

from toys.clues import Guess, GuessScenario, OddGuess, cost, guess

BOTH = pytest.mark.parametrize("learner", [DdpgVdn, DqnVdn])
SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""
QUICK: dict[type[Vdn], dict[str, Any]] = {
    DdpgVdn: {
        "hidden": (32,),
        "batch_size": 64,
        "warm_up": 64,
        "gamma": 0.5,
        "tau": 0.05,
        "actor_rate": 5e-3,
        "rate": 1e-2,
    },
    DqnVdn: {"hidden": (32,), "batch_size": 64, "warm_up": 64, "gamma": 0.5, "tau": 0.05, "rate": 5e-3, "levels": 9},
}
"""Settings that learn the toy problem in seconds. On 9 levels it costs 1/48 at least."""

SOLVED = 0.1
"""Cost of an agent and slot on the toy problem; the best constant costs 0.33 + 0.5."""


class Killed(BaseException):
    """Stands for whatever ends a process."""


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 2, "antennas": 4, **changes})


def train(learner: type[Vdn], problem: Problem[Any], steps: int, seed: int = 0, **settings: Any) -> AgentPolicy:
    return learner(**settings).fit(problem, budget=Budget(steps=steps), seed=seed)


def weights(policy: AgentPolicy) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


def team_of(learner: type[Vdn], problem: Any, **settings: Any) -> Any:
    """Agents whose networks all answer something, by copies and roles."""
    team = learner(**{**SMALL, **settings}).make_agents(problem, seeded_generator(0))
    nets = [learned.networks for learned in team.optimizers.values()] + list(team.targets.values())
    for number, networks in enumerate(nets):
        for parameter in networks.parameters():
            parameter.data.normal_(std=0.5, generator=seeded_generator(number))
    return team


def experience(team: VdnAgents, rows: int = 7, seed: int = 0, masked: bool = False) -> Experience:
    rng = seeded_generator(seed)
    agents, interface = team.interface.problem.num_agents, team.interface

    def seen() -> AgentObservation:
        view = torch.randn((rows, agents, interface.features), generator=rng)
        if not masked:
            return AgentObservation(view)
        allowed = torch.rand((rows, agents, 10), generator=rng) < 0.7
        allowed[..., [0, 5]] = True  # of two branches with 5 options each, one of which is always there
        return AgentObservation(view, allowed)

    now = seen()
    return Experience(now, team.random_actions(now, rng), torch.randn((rows, agents), generator=rng), seen())


def by_hand(network: StackedMLP, copy: int, signal: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    layers = [*network.hidden, network.last]
    for number, layer in enumerate(layers):
        weight, bias = layer.weight[copy].detach().double().numpy(), layer.bias[copy, 0].detach().double().numpy()
        signal = signal @ weight + bias
        signal = np.maximum(signal, 0.0) if number < len(layers) - 1 else signal
    return signal


# ------------------------------------------------------------------------------------------------------------- the sum


@BOTH
@pytest.mark.parametrize("shared", [False, True])
def test_an_agents_term_depends_on_its_own_view_and_action_alone(aiming: Any, learner: type[Vdn], shared: bool) -> None:
    team = team_of(learner, aiming(agents=3), shared=shared)
    batch = experience(team)
    view, rows = (values.clone().requires_grad_() for values in (batch.observation.view, batch.action))
    terms = team.utilities(team.utility, AgentObservation(view), rows)
    for agent in range(3):
        for slope in torch.autograd.grad(terms[:, agent].sum(), (view, rows), retain_graph=True):
            others = [other for other in range(3) if other != agent]
            assert (slope[:, agent] != 0).any()
            assert (slope[:, others] == 0).all()


def in_deviations(batch: Experience, paid: torch.Tensor) -> np.ndarray[Any, Any]:
    total = paid.sum(dim=1).numpy()
    return np.asarray((batch.reward.sum(dim=1).numpy() - total.mean()) / total.std())


PAID = torch.tensor([[1.0, 10.0], [3.0, 30.0], [8.0, -4.0]])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("horizon", [1, 5])
def test_the_target_of_ddpg_is_the_teams_reward_and_the_sum_of_what_follows(
    aiming: Any, horizon: int, shared: bool
) -> None:
    team: DdpgVdnAgents = team_of(DdpgVdn, aiming(horizon=horizon), gamma=0.9, shared=shared, standardise=False)
    team.utility.update_reward_statistics(PAID, 0.9, None)
    batch = experience(team)
    expected = in_deviations(batch, PAID)
    view = batch.next_observation.view.double().numpy()
    if horizon > 1:  # a horizon only cuts off; after a problem's one slot nothing follows
        for agent, copy in enumerate((0, 0) if shared else (0, 1)):
            act = np.tanh(by_hand(team.target_actor.network, copy, view[:, agent]))
            signal = np.concatenate([view[:, agent], act], axis=-1)
            expected = expected + 0.9 * by_hand(team.target_utility.network, copy, signal)[:, 0]
    np.testing.assert_allclose(team.target(batch, seeded_generator(0)).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_target_of_dqn_is_what_the_targets_say_of_what_the_networks_like_best(
    aiming: Any, masked: bool, shared: bool
) -> None:
    team: DqnVdnAgents = team_of(DqnVdn, aiming(), gamma=0.9, shared=shared, standardise=False)
    team.utility.update_reward_statistics(PAID, 0.9, None)
    batch = experience(team, rows=60, masked=masked)
    expected = in_deviations(batch, PAID)
    view, differ = batch.next_observation.view.double().numpy(), 0
    for agent, copy in enumerate((0, 0) if shared else (0, 1)):
        liked = by_hand(team.utility.network, copy, view[:, agent])[:, 1:]
        value = by_hand(team.target_utility.network, copy, view[:, agent])
        if masked:
            assert batch.next_observation.allowed is not None
            liked = np.where(batch.next_observation.allowed[:, agent].numpy(), liked, -np.inf)
        expected = expected + 0.9 * value[:, 0]
        for branch in (slice(0, 5), slice(5, 10)):
            best = liked[:, branch].argmax(axis=1)
            of_branch = value[:, 1:][:, branch]
            expected = expected + 0.9 * of_branch[np.arange(60), best]
            differ += (best != of_branch.argmax(axis=1)).sum()
    assert differ > 0  # or it would not show which of both chooses
    np.testing.assert_allclose(team.target(batch, seeded_generator(0)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_what_branches_like_best_is_together_the_best_that_is_allowed(aiming: Any) -> None:
    """Against all 25 combinations of two branches."""
    team: DqnVdnAgents = team_of(DqnVdn, aiming())
    seen = experience(team, rows=40, masked=True).observation
    assert seen.allowed is not None
    found = team.utilities(team.utility, seen, team.next_actions(seen, seeded_generator(0)))
    best = torch.full_like(found, -torch.inf)
    for pair in itertools.product(range(5), repeat=2):
        row = torch.zeros(10)
        row[[pair[0], 5 + pair[1]]] = 1.0
        possible = (seen.allowed | (row == 0)).all(dim=-1)
        value = team.utilities(team.utility, seen, row.expand(40, 2, -1))
        best = torch.where(possible, torch.maximum(best, value), best)
    torch.testing.assert_close(found, best)


@BOTH
def test_what_the_team_would_do_next_is_one_allowed_option_of_each_branch(aiming: Any, learner: type[Vdn]) -> None:
    team = team_of(learner, aiming(integer=True))
    seen = experience(team, rows=200, masked=True).next_observation
    rows = team.next_actions(seen, seeded_generator(0)).round()
    assert seen.allowed is not None
    assert (rows[~seen.allowed] == 0).all()
    assert (rows.unflatten(-1, (2, 5)).sum(dim=-1) == 1).all()


@BOTH
def test_only_what_the_team_is_paid_counts(aiming: Any, learner: type[Vdn]) -> None:
    """The same training whoever of the agents is paid. Whole rewards, whose sum has no rounding."""
    after = []
    for paid_first in (True, False):
        team = team_of(learner, aiming(), shared=False)
        batch = experience(team)
        batch.reward[:] = torch.tensor([[5.0, 3.0] if paid_first else [0.0, 8.0]]) * torch.arange(7.0)[:, None]
        for _ in range(3):
            team.learn(batch, 0.0, seeded_generator(0))
        after.append(list(team.utility.parameters()))
    for one, other in zip(*after, strict=True):
        assert torch.equal(one, other)


@BOTH
def test_the_sum_finds_out_who_earned_the_reward(aiming: Any, learner: type[Vdn]) -> None:
    """From the team's reward alone terms differ by what each agent's own part of it differs."""
    team = team_of(learner, aiming(horizon=1), rate=1e-2, max_gradient_norm=1e3, hidden=(32,))

    def earned(batch: Experience) -> torch.Tensor:
        return batch.observation.view[..., 0] * batch.action[..., 0] + batch.action[..., -1]

    for seed in range(600):
        batch = experience(team, rows=128, seed=seed)
        batch.reward[:] = earned(batch)
        if seed == 0:
            team.utility.update_reward_statistics(batch.reward, 0.0, None)
        team.learn(batch, min(seed / 600, 1.0), seeded_generator(seed))
    batch, other = experience(team, rows=500, seed=601), experience(team, rows=500, seed=602)
    _, deviation = team.utility.reward_scale()
    own, changed = (team.utilities(team.utility, batch.observation, rows) for rows in (batch.action, other.action))
    difference = earned(batch) - earned(
        Experience(batch.observation, other.action, batch.reward, batch.next_observation)
    )
    error = (own - changed) * deviation - difference
    assert float(error.detach().square().mean()) < 0.05 * float(difference.square().mean())


@BOTH
@pytest.mark.parametrize("shared", [False, True])
def test_a_new_scale_of_rewards_changes_no_value(aiming: Any, learner: type[Vdn], shared: bool) -> None:
    team, gamma = team_of(learner, aiming(), shared=shared), 0.9
    batch = experience(team)

    def total(networks: UtilityNetwork) -> torch.Tensor:
        center, deviation = team.utility.reward_scale()
        terms = team.utilities(networks, batch.observation, batch.action)
        found: torch.Tensor = terms.sum(dim=1) * deviation + center / (1 - gamma)
        return found

    team.utility.update_reward_statistics(torch.tensor([[100.0, 1.0], [140.0, 2.0]]), gamma, None)
    before = total(team.utility), total(team.target_utility)
    team.utility.update_reward_statistics(torch.tensor([[3.0, 4.0], [9.0, -3.0]]), gamma, team.target_utility)
    for held, now in zip(before, (total(team.utility), total(team.target_utility)), strict=True):
        torch.testing.assert_close(now, held, rtol=1e-4, atol=1e-3)
    paid = np.array([101.0, 142, 7, 6])
    expected = (batch.reward.sum(dim=1).numpy() - paid.mean()) / paid.std()
    np.testing.assert_allclose(team.utility.standardise_rewards(batch.reward), expected, rtol=1e-5)


def test_constant_rewards_make_no_unit(aiming: Any) -> None:
    utility = team_of(DqnVdn, aiming()).utility
    utility.update_reward_statistics(torch.full((50, 2), 1e5), 0.9, None)
    torch.testing.assert_close(utility.standardise_rewards(torch.full((1, 2), 1e5 + 2.0)), torch.full((1,), 4.0))


@BOTH
def test_targets_follow_by_the_share_tau_and_see_on_the_same_scale(aiming: Any, learner: type[Vdn]) -> None:
    team = team_of(learner, aiming(), tau=0.25)
    batch, held = experience(team), {}
    for kind, target in team.targets.items():
        held[kind] = [parameter.detach().clone() for parameter in target.parameters()]
    team.learn(batch, 0.0, seeded_generator(0))
    for kind, target in team.targets.items():
        sources = team.optimizers[kind].networks.parameters()
        for old, now, source in zip(held[kind], target.parameters(), sources, strict=True):
            torch.testing.assert_close(now, old + 0.25 * (source - old))
    team.update_statistics([batch.observation], batch.reward[None], True)
    for kind, target in team.targets.items():
        assert torch.equal(target.normalizer.mean, team.optimizers[kind].networks.normalizer.mean)
        torch.testing.assert_close(target.normalizer.mean.float(), batch.observation.view.mean(dim=(0, 1)))


def test_actors_step_up_their_own_terms_and_leave_these_as_they_are(aiming: Any) -> None:
    team: DdpgVdnAgents = team_of(DdpgVdn, aiming(), shared=False, actor_rate=1e-3, output_weight=0.0)
    batch, held = experience(team, rows=50), [parameter.clone() for parameter in team.utility.parameters()]

    def value() -> torch.Tensor:
        own = torch.tanh(team.actor(batch.observation.view[None])[0][0])
        return team.utilities(team.utility, batch.observation, own).mean(dim=0)

    before = value()
    for _ in range(20):
        team.update_actors(batch, 0.0, seeded_generator(0))
    assert (value() > before + 1e-3).all()
    for parameter, old in zip(team.utility.parameters(), held, strict=True):
        assert torch.equal(parameter, old)


# -------------------------------------------------------------------------------------------------- levels and chance


FIELDS = {
    "mode": ArrayField((3, 2), low=1, high=3, integer=True),
    "level": ArrayField((3,), low=2.0, high=6.0),
    "share": ArrayField((3, 2), low=0.1, high=0.7),
}


def test_numbers_stand_on_even_levels_and_choices_stay() -> None:
    controls = QuantisedControls(DirectControls(FIELDS, lambda _: {}), 5)
    assert list(controls.fields) == list(FIELDS)
    assert [(field.low, field.high, field.integer) for field in controls.fields.values()] == [
        (1, 3, True),
        (0, 4, True),
        (0, 4, True),
    ]
    mode = np.array([[[1, 2], [3, 1], [2, 2]]])
    level, share = np.array([[0, 3, 4]]), np.array([[[0, 4], [1, 2], [3, 3]]])
    nothing = Observation({"none": np.zeros((1, 3))})
    found = controls.decode(nothing, {"mode": mode, "level": level, "share": share})
    assert found["mode"].tolist() == mode.tolist()
    assert found["level"].tolist() == [[2.0, 5.0, 6.0]]
    np.testing.assert_allclose(found["share"], [[[0.1, 0.7], [0.25, 0.4], [0.55, 0.55]]], rtol=1e-12)
    assert (found["share"].min(), found["share"].max()) == (0.1, 0.7)
    near = Decisions({"mode": mode, "level": found["level"] - 0.4, "share": np.minimum(found["share"] + 0.07, 0.7)})
    back = controls.encode(nothing, near)
    assert back["level"].tolist() == [[0, 3, 4]]
    assert back["share"].tolist() == [[[0, 4], [1, 2], [3, 3]]]


def test_levels_stand_before_other_controls() -> None:
    """Agents that set their energy balance: the middle one of three levels draws exactly the green power."""
    problem: Any = mimo()
    interface = QuantisedInterface(problem, None, "energy", 3)
    observation = problem.observe(problem.sample(5, 0), problem.reset(problem.sample(5, 0)))
    middle = interface.decode(observation, torch.ones((5, 2, 2)))
    own = problem.controls["energy"]
    expected = own.decode(observation, {"balance": np.zeros((5, 2)), "local_share": np.full((5, 2), 0.5)})
    for name, values in expected.items():
        np.testing.assert_allclose(middle[name], values)
    assert interface.for_problem(mimo(users=4)).heads.outputs == interface.heads.outputs == 6  # type: ignore[arg-type]


@pytest.mark.parametrize(("spent", "chance"), [(0.0, 1.0), (0.2, 0.6), (0.4, 0.2), (0.9, 0.2)])
def test_the_chance_of_exploring_falls_along_a_line(aiming: Any, spent: float, chance: float) -> None:
    team = team_of(DqnVdn, aiming(), epsilon_end=0.2, epsilon_share=0.4)
    seen = experience(team, rows=4000).observation
    rows = team.explore(seen, spent, seeded_generator(1))
    as_liked = (rows == team.next_actions(seen, seeded_generator(0))).all(dim=-1).double().mean()
    assert float(as_liked) == pytest.approx(1 - chance + chance / 25, abs=0.02)
    assert (rows.unflatten(-1, (2, 5)).sum(dim=-1) == 1).all()


# --------------------------------------------------------------------------------------------------- what is learned


@BOTH
@pytest.mark.parametrize(("unit", "shared"), [(1e-6, True), (1e6, False)])
def test_it_finds_numbers_and_choices_that_fit_a_clue(learner: type[Vdn], unit: float, shared: bool) -> None:
    """At costs of any magnitude."""
    policy = train(learner, guess(slots=8, unit=unit), 25_000, shared=shared, **QUICK[learner])
    assert cost(policy, guess(slots=8)) < SOLVED


def test_levels_come_close_to_the_best_on_levels() -> None:
    """Errors are spread evenly up to half a step, so a squared one is a twelfth of the squared step."""
    problem = guess(slots=8)
    for levels in (5, 9):
        best = (4.0 / (levels - 1)) ** 2 / 12
        found = cost(train(DqnVdn, problem, 25_000, **{**QUICK[DqnVdn], "levels": levels}), problem)
        assert 0.95 * best < found < best + 0.02


@BOTH
def test_it_learns_a_decision_without_a_future(learner: type[Vdn]) -> None:
    problem = guess(slots=1)
    assert cost(train(learner, problem, 25_000, **QUICK[learner]), problem) < SOLVED


@BOTH
def test_what_is_not_allowed_is_never_tried(learner: type[Vdn]) -> None:
    problem = OddGuess(GuessScenario(slots=8))
    assert cost(train(learner, problem, 25_000, **QUICK[learner]), problem) < SOLVED


class Neighbours(Guess):
    """Every agent's guess is paid by the next one: whoever minds its own cost alone learns nothing."""

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        following, outcome = super().step(instances, state, decision)
        return following, Outcome(outcome.cost, np.roll(outcome.agent_cost, 1, axis=-1))


@BOTH
def test_agents_mind_what_others_pay_for_them(learner: type[Vdn]) -> None:
    problem = Neighbours(GuessScenario(slots=8))
    assert cost(train(learner, problem, 25_000, **QUICK[learner]), problem) < SOLVED


# ------------------------------------------------------------------------------------------------------------ training


@BOTH
@pytest.mark.parametrize("settings", [{}, {"shared": False, "standardise": False, "update_every": 3}], ids=str)
def test_it_conforms(learner: type[Vdn], settings: dict[str, Any], aiming: Any) -> None:
    small = learner(**SMALL, **settings)
    check_learner(small, guess(), steps=1200)
    check_learner(small, aiming(horizon=1), steps=1200)
    check_learner(learner(**SMALL, **settings, view="full", controls="energy"), mimo(), steps=1200)


@BOTH
def test_it_serves_choices_that_some_may_not_make(learner: type[Vdn]) -> None:
    check_learner(learner(**SMALL), registry.problem("battery_d2d", horizon=8), steps=3000)
    twin = registry.problem("twin_inference", users=3, servers=2, horizon=4)
    check_learner(learner(**SMALL, view="full"), twin, steps=1000)


@BOTH
@pytest.mark.parametrize(("after", "shared"), [(900, True), (1700, False)])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: type[Vdn], after: int, shared: bool
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    problem, done = OddGuess(GuessScenario(slots=5)), 0
    small = learner(**SMALL, shared=shared)  # a round has 13 episodes, 780 steps

    def killer(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    options: dict[str, Any] = {"budget": Budget(steps=2500), "seed": 3}
    whole = small.fit(problem, **options)
    with pytest.raises(Killed):
        small.fit(problem, progress=killer, checkpoint=tmp_path / "state", **options)
    again: list[int] = []
    resumed = small.fit(problem, progress=again.append, checkpoint=tmp_path / "state", **options)
    assert weights(resumed) == weights(whole)
    assert again[0] == 780 * (after // 780)  # the round it was killed in is done again, and nothing before
    assert sum(again) == 2500
    assert weights(small.fit(problem, checkpoint=tmp_path / "state", **options)) == weights(whole)


@BOTH
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(learner: type[Vdn]) -> None:
    one, same, other = (weights(train(learner, guess(), 1500, seed, **SMALL)) for seed in (3, 3, 4))
    assert one == same != other


@BOTH
def test_curves_tell_what_episodes_cost(aiming: Any, learner: type[Vdn]) -> None:
    points: list[tuple[int, set[str]]] = []
    reported: list[int] = []
    learner(**SMALL).fit(
        aiming(horizon=40),
        budget=Budget(steps=1000),
        progress=reported.append,
        record=lambda step, found: points.append((step, set(found))),
    )
    assert sum(reported) == 1000
    assert [step for step, _ in points] == [320, 640, 960]  # 4 environments x 2 agents x 40 slots
    assert points[-1][1] == {"episode/cost", "episode/objective", "train/critic_loss", "train/value"}


@BOTH
def test_seconds_end_training(aiming: Any, learner: type[Vdn]) -> None:
    reported: list[int] = []
    learner(**SMALL).fit(aiming(), budget=Budget(seconds=1e-9), progress=reported.append)
    assert sum(reported) == 0


@pytest.mark.parametrize("settings", [{}, {"shared": False, "standardise": False}], ids=str)
def test_the_policy_does_what_its_network_likes_best(aiming: Any, settings: dict[str, Any]) -> None:
    team: DqnVdnAgents = team_of(DqnVdn, aiming(), **settings)
    views = experience(team, rows=30).observation.view
    team.update_statistics(
        [AgentObservation(views + 2.0)], torch.randn((1, 30, 2), generator=seeded_generator(1)), True
    )
    outputs = team.policy_actor()(views[None])[0][0]
    torch.testing.assert_close(outputs, team.utility(views)[..., 1:])


@BOTH
def test_a_shared_network_serves_any_number_of_agents_and_separate_ones_only_theirs(
    tmp_path: Path, learner: type[Vdn]
) -> None:
    train(learner, mimo(), 100, **SMALL, controls="energy").save(tmp_path / "shared")
    larger = mimo(users=4)
    assert load_policy(tmp_path / "shared", larger).run(larger, larger.sample(3, 0)).objective.shape == (3,)
    own = train(learner, mimo(), 1200, **SMALL, shared=False)
    own.save(tmp_path / "own")
    instances = mimo().sample(3, seed=1)
    loaded = load_policy(tmp_path / "own", mimo())
    np.testing.assert_array_equal(loaded.run(mimo(), instances).objective, own.run(mimo(), instances).objective)
    with pytest.raises(InvalidInput, match="a policy for 2 agents"):
        load_policy(tmp_path / "own", larger)


@pytest.mark.parametrize("lost", ["network.hidden.1.weight", "network.last.bias"])
def test_a_policy_that_lacks_an_array_is_refused(tmp_path: Path, lost: str) -> None:
    policy = train(DqnVdn, guess(), 100, **SMALL)
    held = {name: value.numpy() for name, value in policy.actor.state_dict().items() if name != lost}
    policies.save(tmp_path, policy.origin, held)
    with pytest.raises(DamagedFile, match="are no policy of agents"):
        load_policy(tmp_path, guess())


@BOTH
def test_what_it_cannot_learn_is_refused(learner: type[Vdn]) -> None:
    with pytest.raises(Unsupported, match="needs a AgentProblem"):
        learner().fit(registry.problem("multi_server", users=3, servers=2))
    with pytest.raises(UnknownName, match="no view 'ful' of guess"):
        learner(view="ful").fit(guess())
    with pytest.raises(InvalidInput, match="buffer_size = 47; allowed: at least 3 num_envs = 48"):
        learner(buffer_size=47)
    with pytest.raises(InvalidInput, match="levels"):
        DqnVdn(levels=1)
