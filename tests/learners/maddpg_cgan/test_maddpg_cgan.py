"""MADDPG-CGAN: what of others' experience critics may see, forecasts and their rule, bytes, and that it learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt import registry
from offloadopt.core import Budget, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import off_policy as joint_learner
from offloadopt.learners.common import training as course
from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.common.torch_utils import seeded_generator
from offloadopt.learners.maddpg_cgan.maddpg_cgan import CganAgents, MaddpgCgan
from offloadopt.learners.maddpg_cgan.synthetic_replay import SelectionRule, select_synthetic
from offloadopt.testing import check_learner

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 10,
    "batch_size": 16,
    "buffer_size": 400,
    "generator": {"width": 4, "latent": 4, "layers": 1},
    "pretraining_steps": 4,
    "generator_every": 3,
    "lookahead": 2,
    "lookback": 2,
    "generate_every": 2,
    "synthetic_capacity": 30,
}
"""Settings for trainings that need not learn."""


def inference(**changes: Any) -> Problem[Any]:
    return registry.problem("twin_inference", **{"horizon": 5, "users": 3, "servers": 2, **changes})


def agents_of(problem: Any, **settings: Any) -> CganAgents:
    return MaddpgCgan(**{**SMALL, **settings}).make_agents(problem, seeded_generator(0))


def experience(problem: Any, agents: CganAgents, rows: int, seed: int = 1) -> Experience:
    """What agents that decide by chance live through in the first slot and see in the second."""
    instances = problem.sample(rows, seed)
    generator = torch.Generator().manual_seed(seed)
    state = problem.reset(instances)
    seen = agents.observe(problem.observe(instances, state))
    action = agents.random_actions(seen, generator)
    decisions = agents.interface.decode(problem.observe(instances, state), agents.relaxed.to_head_actions(action))
    state, outcome = problem.step(instances, state, decisions)
    following = agents.observe(problem.observe(instances, state))
    return Experience(seen, action, torch.from_numpy(-outcome.agent_cost).float(), following)


def weights(policy: Any) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in policy.actor.state_dict().items()}


class TestTwins:
    def test_critics_see_their_own_agents_experience_and_twins_of_the_others(self) -> None:
        problem: Any = inference()
        agents = agents_of(problem)
        batch = experience(problem, agents, 16)
        agents.generators.update_statistics(batch)
        taught = agents._training_batch(batch, torch.Generator().manual_seed(2))
        assert taught.others is not None
        whole = taught.observation.global_state
        assert whole is not None
        demand = whole[..., -agents.relaxed.size :]
        whole = whole[..., : -agents.relaxed.size].unflatten(-1, (3, -1))
        for asking in range(3):
            for seen in range(3):
                source = batch.observation.view if seen == asking else taught.others.observation.view
                assert torch.equal(whole[:, asking, seen], source[:, seen])
            others = [other for other in range(3) if other != asking]
            torch.testing.assert_close(demand[:, asking], batch.action[:, others].mean(dim=1))
        assert torch.equal(taught.action, batch.action)
        assert not torch.equal(taught.others.action, batch.action)

    def test_stand_ins_know_nothing_but_what_is_announced(self) -> None:
        problem: Any = inference()
        agents = agents_of(problem)
        batch = experience(problem, agents, 16)
        agents.generators.update_statistics(batch)
        # The same mean action from other agents' actions, in another order.
        turned = batch.action.roll(1, dims=1)
        made = [
            agents.generators.generate(action, torch.ones(16, dtype=torch.bool), torch.Generator().manual_seed(3))
            for action in (batch.action, turned)
        ]
        torch.testing.assert_close(made[0].observation.view, made[1].observation.view)
        silent = [
            agents.generators.generate(action, torch.zeros(16, dtype=torch.bool), torch.Generator().manual_seed(3))
            for action in (batch.action, torch.zeros_like(batch.action))
        ]
        assert torch.equal(silent[0].observation.view, silent[1].observation.view)

    def test_what_twins_make_up_stays_within_what_was_experienced(self) -> None:
        problem: Any = inference()
        agents = agents_of(problem)
        batch = experience(problem, agents, 64)
        agents.generators.update_statistics(batch)
        made = agents.generators.generate(
            batch.action, torch.ones(64, dtype=torch.bool), torch.Generator().manual_seed(0)
        )
        for real, twin in ((batch.observation.view, made.observation.view), (batch.reward, made.reward)):
            assert bool((twin >= real.amin(dim=0) - 1e-5).all())
            assert bool((twin <= real.amax(dim=0) + 1e-5).all())
        constant = batch.observation.view.std(dim=0) == 0
        torch.testing.assert_close(made.observation.view[0][constant], batch.observation.view[0][constant])

    def test_actions_of_stand_ins_choose_one_option_each(self) -> None:
        problem: Any = inference()
        agents = agents_of(problem)
        batch = experience(problem, agents, 16)
        agents.generators.update_statistics(batch)
        made = agents.generators.generate(
            batch.action, torch.ones(16, dtype=torch.bool), torch.Generator().manual_seed(0)
        )
        numbers = 2 * problem.places
        options = made.action[..., numbers:].unflatten(-1, (problem.places, problem.servers + 1))
        assert torch.equal(options.sum(dim=-1), torch.ones(16, 3, problem.places))
        assert bool((made.action[..., :numbers].abs() <= 1.0).all())

    def test_twins_learn_what_rewards_follow_from(self, aiming: Any) -> None:
        problem = aiming(horizon=5)
        agents = agents_of(problem, generator={"width": 8, "latent": 4, "layers": 1, "consistency_weight": 10.0})
        generator = torch.Generator().manual_seed(0)
        batches = [experience(problem, agents, 64, seed) for seed in range(20)]
        for batch in batches:
            agents.generators.update_statistics(batch)

        def correlation() -> float:
            batch = experience(problem, agents, 512, 99)
            reward, _ = agents.generators.predict(batch.observation, batch.action, torch.Generator().manual_seed(1))
            return float(np.mean([np.corrcoef(reward[:, i], batch.reward[:, i])[0, 1] for i in range(2)]))

        before = correlation()
        for step in range(200):
            agents.generators.learn(batches[step % len(batches)], generator)
        assert before < 0.15
        assert correlation() > 0.3


class TestForecasts:
    """Predictions whose reward says who made them: 100 x slot of making + lead."""

    rule = SelectionRule(lookahead=3, lookback=2, greedy_probability=0.0, greedy_decay=0.9)

    @staticmethod
    def prediction(made: int, lead: int, num_envs: int = 400) -> Experience:
        values = torch.full((num_envs, 2), 100.0 * made + lead)
        seen = AgentObservation(values[..., None])
        return Experience(seen, values[..., None], values, seen)

    def chosen(self, rule: SelectionRule, slots: int, value: Any = lambda made, lead: 0.0, seed: int = 0) -> Any:
        leads = range(1, rule.lookahead + 1)
        made = [[self.prediction(slot, lead) for lead in leads] for slot in range(slots)]
        values = [[torch.full((400, 2), float(value(slot, lead))) for lead in leads] for slot in range(slots)]
        return select_synthetic(rule, made, values, torch.Generator().manual_seed(seed))

    def test_every_prediction_chosen_is_of_the_slot_that_it_stands_for(self) -> None:
        now = 5
        chosen = self.chosen(self.rule, now + 1)
        assert len(chosen) == 3
        for ahead, experience in enumerate(chosen, start=1):
            made = (experience.reward // 100).int()
            lead = (experience.reward % 100).int()
            assert bool((made + lead == now + ahead).all())
            assert set(now - made.flatten().numpy()) == set(range(min(3, 3 - ahead + 1)))  # p <= n', p + q <= n

    def test_older_predictions_are_chosen_as_rarely_as_the_rule_says(self) -> None:
        age = 5 - (self.chosen(self.rule, 6)[0].reward // 100)
        weights = np.array([1.0 - (p + 1) / 5 for p in range(3)])
        shares = [float((age == p).float().mean()) for p in range(3)]
        np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.05)

    def test_the_greedy_choice_is_that_of_most_worth(self) -> None:
        rule = SelectionRule(lookahead=3, lookback=2, greedy_probability=1.0, greedy_decay=1.0)
        chosen = self.chosen(rule, 6, value=lambda made, lead: lead)
        assert set((5 - chosen[0].reward // 100).flatten().tolist()) == {2}  # the longest lead
        assert set((5 - chosen[2].reward // 100).flatten().tolist()) == {0}  # no older one reaches so far

    def test_greed_falls_with_the_lead(self) -> None:
        rule = SelectionRule(lookahead=3, lookback=1, greedy_probability=0.9, greedy_decay=0.5)
        for ahead, greedy in ((1, 0.9), (2, 0.45)):
            shares = []
            for seed in range(20):
                chosen = self.chosen(rule, 3, value=lambda made, lead: lead, seed=seed)
                shares.append(float((chosen[ahead - 1].reward // 100 == 1).float().mean()))
            # The older one is of most worth; by weight it is drawn with (1 - (1 + q) / 4) of both.
            old, new = 1.0 - (1 + ahead) / 4, 1.0 - ahead / 4
            assert np.mean(shares) == pytest.approx(greedy + (1 - greedy) * old / (old + new), abs=0.02)

    def test_at_first_there_is_only_what_was_foreseen_now(self) -> None:
        assert [float(e.reward[0, 0]) for e in self.chosen(self.rule, 1)] == [1, 2, 3]


class TestTraining:
    def test_conformance(self, aiming: Any) -> None:
        check_learner(MaddpgCgan(**SMALL), aiming(), steps=400)

    def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(self) -> None:
        learner = MaddpgCgan(**SMALL)
        one, same, other = (weights(learner.fit(inference(), budget=Budget(steps=900), seed=s)) for s in (3, 3, 4))
        assert one == same != other

    def test_a_killed_training_ends_as_if_it_had_not_been(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        reported = 0

        def kill(steps: int) -> None:
            nonlocal reported
            reported += steps
            if reported > 600:
                raise Killed

        monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
        monkeypatch.setattr(joint_learner, "ROUND_SLOTS", 10)  # several rounds, each of two episodes
        learner, problem, budget = MaddpgCgan(**SMALL), inference(), Budget(steps=900)
        whole = weights(learner.fit(problem, budget=budget))
        with pytest.raises(Killed):
            learner.fit(problem, budget=budget, progress=kill, checkpoint=tmp_path / "state")
        found = Checkpoint.of(tmp_path / "state", learner, problem, budget, 0, None)
        assert found is not None
        steps, slots = found.read()["counters"]
        assert steps > learner.pretraining_steps
        assert slots > 0
        assert weights(learner.fit(problem, budget=budget, checkpoint=tmp_path / "state")) == whole

    def test_bytes_are_of_announcements_and_of_twins_made_known(self) -> None:
        problem, points = inference(), []
        MaddpgCgan(**SMALL, federation=None).fit(
            problem, budget=Budget(steps=2400), record=lambda step, found: points.append((step, found))
        )
        agents = agents_of(problem)
        slot = 4 * 3 * agents.interface.action_bytes  # environments x agents' actions reported
        announced = 4 * 4 * agents.relaxed.size  # environments x bytes of a number x numbers in the mean action
        step, found = points[0]
        assert found["communication/sent_bytes"] == step / 12 * (slot + announced)
        assert found["communication/delivered_bytes"] == step / 12 * (slot + 3 * announced)
        actor = sum(weight[0].nbytes for weight in agents.actor.network.parameters())
        known = 3 * (agents.generators.bytes + actor)
        step, found = points[-1]
        # Made known after the head start, and after every round of 65 slots since.
        assert found["communication/sent_bytes"] == step / 12 * (slot + announced) + (1 + step // (12 * 65) - 1) * known

    @pytest.mark.parametrize(("share", "remembered"), [(0.0, False), (0.5, True)])
    def test_foreseen_experience_is_left_out_if_wanted(self, share: float, remembered: bool) -> None:
        problem: Any = inference()
        agents = agents_of(problem, synthetic_fraction=share, pretraining_steps=1)
        batch = experience(problem, agents, 16)
        agents.learn(batch, 0.0, torch.Generator().manual_seed(0))
        for slot in range(4):
            agents.generate(batch.observation, slot, 0.0, torch.Generator().manual_seed(slot))
        assert (agents._synthetic.appended > 0) == remembered
        taught = agents._training_batch(batch, torch.Generator().manual_seed(1))
        real = [bool(torch.equal(taught.action[row], batch.action[row])) for row in range(16)]
        assert real == [True] * (8 if remembered else 16) + [False] * (8 if remembered else 0)

    def test_others_know_twins_and_actors_as_they_were_made_known(self) -> None:
        problem: Any = inference()
        agents = agents_of(problem, pretraining_steps=2, generator_every=1)
        batch = experience(problem, agents, 16)
        for step in range(2):
            agents.learn(batch, 0.0, torch.Generator().manual_seed(step))
        sent = agents.sent

        def stand_in() -> Tensor:
            everything = torch.ones(16, dtype=torch.bool)
            return agents.generators.generate(
                batch.action, everything, torch.Generator().manual_seed(9)
            ).observation.view

        before = stand_in()
        for step in range(3):
            agents.learn(batch, 0.0, torch.Generator().manual_seed(step))
        assert agents.sent == sent
        assert torch.equal(stand_in(), before)
        agents.update_statistics([batch.observation], batch.reward[None], True)
        assert agents.sent > sent
        assert not torch.equal(stand_in(), before)

    def test_rewards_stay_private(self) -> None:
        with pytest.raises(InvalidInput, match="reward = 'team'; allowed"):
            MaddpgCgan(reward="team")

    def test_it_learns_to_aim(self, aiming: Any) -> None:
        problem = aiming(horizon=5)
        settings: Mapping[str, Any] = {
            "hidden": (32,),
            "batch_size": 64,
            "warm_up": 64,
            "gamma": 0.5,
            "tau": 0.05,
            "actor_rate": 5e-3,
            "critic_rate": 1e-2,
            "generator": {"width": 8, "latent": 4, "layers": 1},
            "pretraining_steps": 30,
            "generator_every": 8,
            "lookahead": 2,
        }
        policy = MaddpgCgan(**settings).fit(problem, budget=Budget(steps=20_000))
        test = problem.sample(64, 9)
        cost = policy.run(problem, test).objective.mean() / (5 * 2)
        assert cost < 0.25  # the middle for everything costs 0.6 or more


def test_others_without_masks(aiming: Any) -> None:
    agents = agents_of(aiming())
    made: Tensor | None = agents.generators.generate(
        torch.zeros(4, 2, agents.relaxed.size), torch.ones(4, dtype=torch.bool), torch.Generator()
    ).next_observation.allowed
    assert made is None
