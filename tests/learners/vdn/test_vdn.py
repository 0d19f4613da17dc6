"""Value decomposition: the team's value is trained by the team's reward, whichever learner it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from offloadopt import registry
from offloadopt.core import Budget, Decisions, Instances, Outcome, Problem, State
from offloadopt.errors import DamagedFile, InvalidInput, UnknownName, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_policy import AgentPolicy
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.vdn.ddpg import DdpgVdn
from offloadopt.learners.vdn.dqn import DqnVdn
from offloadopt.learners.vdn.vdn import Vdn
from offloadopt.testing import check_learner

from toys.clues import Guess, GuessScenario, OddGuess, cost, guess
from toys.vdn_agents import QUICK, SMALL, experience, team_of, train

BOTH = pytest.mark.parametrize("learner", [DdpgVdn, DqnVdn])


SOLVED = 0.1
"""Cost of an agent and slot on the toy problem; the best constant costs 0.33 + 0.5."""


class Killed(BaseException):
    """Stands for whatever ends a process."""


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 2, "antennas": 4, **changes})


def weights(policy: AgentPolicy) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


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

    for seed in range(480):
        batch = experience(team, rows=128, seed=seed)
        batch.reward[:] = earned(batch)
        if seed == 0:
            team.utility.update_reward_statistics(batch.reward, 0.0, None)
        team.learn(batch, min(seed / 480, 1.0), seeded_generator(seed))
    batch, other = experience(team, rows=500, seed=601), experience(team, rows=500, seed=602)
    _, deviation = team.utility.reward_scale()
    own, changed = (team.utilities(team.utility, batch.observation, rows) for rows in (batch.action, other.action))
    difference = earned(batch) - earned(
        Experience(batch.observation, other.action, batch.reward, batch.next_observation)
    )
    error = (own - changed) * deviation - difference
    assert float(error.detach().square().mean()) < 0.05 * float(difference.square().mean())


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


@pytest.mark.parametrize(("learner", "steps"), [(DdpgVdn, 25_000), (DqnVdn, 15_000)])
def test_networks_of_their_own_find_numbers_and_choices_that_fit_a_clue(learner: type[Vdn], steps: int) -> None:
    problem = guess(slots=8)
    assert cost(train(learner, problem, steps, shared=False, **QUICK[learner]), problem) < SOLVED


@BOTH
@pytest.mark.usefixtures("short_rounds")
def test_it_learns_costs_of_any_magnitude_alike(learner: type[Vdn]) -> None:
    """Powers of two change no digit of standardised rewards."""
    small, large, untrained = (
        weights(train(learner, guess(unit=unit), steps, **SMALL))
        for unit, steps in ((2.0**-20, 500), (2.0**20, 500), (1.0, 1))
    )
    assert small == large != untrained


@BOTH
def test_it_learns_a_decision_without_a_future(learner: type[Vdn]) -> None:
    problem = guess(slots=1)
    assert cost(train(learner, problem, 12_000, **QUICK[learner]), problem) < SOLVED


@BOTH
def test_it_fits_a_clue_where_what_is_not_allowed_is_never_tried(learner: type[Vdn]) -> None:
    problem = OddGuess(GuessScenario(slots=8))
    assert cost(train(learner, problem, 17_000, **QUICK[learner]), problem) < SOLVED


class Neighbours(Guess):
    """Every agent's guess is paid by the next one: whoever minds its own cost alone learns nothing."""

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        following, outcome = super().step(instances, state, decision)
        return following, Outcome(outcome.cost, np.roll(outcome.agent_cost, 1, axis=-1))


@BOTH
def test_agents_mind_what_others_pay_for_them(learner: type[Vdn]) -> None:
    problem = Neighbours(GuessScenario(slots=8))
    assert cost(train(learner, problem, 17_000, **QUICK[learner]), problem) < SOLVED


@BOTH
@pytest.mark.usefixtures("short_rounds")
@pytest.mark.parametrize("settings", [{}, {"shared": False, "standardise": False, "update_every": 3}], ids=str)
def test_it_conforms(learner: type[Vdn], settings: dict[str, Any], aiming: Any) -> None:
    small = learner(**SMALL, **settings)
    check_learner(small, guess(), steps=320)
    check_learner(small, aiming(horizon=1), steps=320)
    check_learner(learner(**SMALL, **settings, view="full", controls="energy"), mimo(), steps=320)


@BOTH
@pytest.mark.usefixtures("short_rounds")
def test_it_serves_choices_that_some_may_not_make(learner: type[Vdn]) -> None:
    check_learner(learner(**SMALL), registry.problem("battery_d2d", horizon=8), steps=600)
    twin = registry.problem("twin_inference", users=3, servers=2, horizon=4)
    check_learner(learner(**SMALL, view="full"), twin, steps=300)


@BOTH
@pytest.mark.usefixtures("short_rounds")
@pytest.mark.parametrize(("after", "shared"), [(200, True), (380, False)])
def test_a_training_that_was_killed_ends_with_the_same_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: type[Vdn], after: int, shared: bool
) -> None:
    monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
    problem, done = OddGuess(GuessScenario(slots=5)), 0
    small = learner(**SMALL, shared=shared)  # a round has 2 episodes, 120 steps

    def killer(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= after:
            raise Killed

    options: dict[str, Any] = {"budget": Budget(steps=600), "seed": 3}
    whole = small.fit(problem, **options)
    with pytest.raises(Killed):
        small.fit(problem, progress=killer, checkpoint=tmp_path / "state", **options)
    again: list[int] = []
    resumed = small.fit(problem, progress=again.append, checkpoint=tmp_path / "state", **options)
    assert weights(resumed) == weights(whole)
    assert again[0] == 120 * (after // 120)  # the round it was killed in is done again, and nothing before
    assert sum(again) == 600
    assert weights(small.fit(problem, checkpoint=tmp_path / "state", **options)) == weights(whole)


@BOTH
@pytest.mark.usefixtures("short_rounds")
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(learner: type[Vdn]) -> None:
    one, same, other = (weights(train(learner, guess(), 400, seed, **SMALL)) for seed in (3, 3, 4))
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
    with pytest.raises(InvalidInput, match=r"network\.hidden\.0\.weight \[2, "):
        load_policy(tmp_path / "own", larger)


@pytest.mark.parametrize("lost", ["network.hidden.1.weight", "network.last.bias"])
def test_a_policy_that_lacks_an_array_is_refused(tmp_path: Path, lost: str) -> None:
    policy = train(DqnVdn, guess(), 100, **SMALL)
    held = {name: value.numpy() for name, value in policy.actor.state_dict().items() if name != lost}
    policies.save(tmp_path, policy.origin, held)
    with pytest.raises(DamagedFile, match="are not those of its learner's policies"):
        load_policy(tmp_path, guess())


@BOTH
def test_what_it_cannot_learn_is_refused(learner: type[Vdn]) -> None:
    with pytest.raises(Unsupported, match="needs the structure AgentProblem"):
        learner().fit(registry.problem("multi_server", users=3, servers=2))
    with pytest.raises(UnknownName, match="no view 'ful' of guess"):
        learner(view="ful").fit(guess())
    with pytest.raises(InvalidInput, match="buffer_size = 47; allowed: at least 3 num_envs = 48"):
        learner(buffer_size=47)
    with pytest.raises(InvalidInput, match="levels"):
        DqnVdn(levels=1)
