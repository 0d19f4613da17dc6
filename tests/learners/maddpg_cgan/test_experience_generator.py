"""Generated experience: what it depends on, and within which range it stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from toys.cgan_agents import agents_of, experience, inference


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
        for step in range(80):
            agents.generators.learn(batches[step % len(batches)], generator)
        assert before < 0.15
        assert correlation() > 0.3
