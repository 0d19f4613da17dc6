"""Selection of predictions against the rule's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from offloadopt.learners.common.agent_interface import AgentObservation
from offloadopt.learners.common.replay import Experience
from offloadopt.learners.maddpg_cgan.maddpg_cgan import CganAgents
from offloadopt.learners.maddpg_cgan.synthetic_replay import SelectionRule, select_synthetic


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
