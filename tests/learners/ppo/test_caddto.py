"""CADDTO-PPO: the sizes and settings that its paper states."""

from __future__ import annotations

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.learners.ppo.caddto import CaddtoPpo
from offloadopt.learners.ppo.ppo import Ppo


def test_the_papers_policy_takes_68_kilobytes() -> None:
    problem = registry.problem("carbon_mimo", horizon=8, users=2, antennas=4)
    policy = registry.learner("caddto-ppo", epochs=1, num_envs=1).fit(problem, budget=Budget(steps=1))
    assert (policy.parameters, policy.bytes) == (17_282, 69_128)


def test_a_rollout_has_nearly_the_papers_samples_and_minibatches_of_whole_slots() -> None:
    problem, learner = registry.problem("carbon_mimo", "paper"), CaddtoPpo()
    samples = learner.num_envs * problem.horizon * problem.num_agents
    assert samples == 2000
    parts = round(samples / learner.minibatch_size)
    assert samples / parts == 25 * problem.num_agents


def test_what_the_paper_states_is_set() -> None:
    learner = CaddtoPpo()
    assert (learner.gamma, learner.gae_lambda, learner.clip_range, learner.entropy_weight) == (0.99, 0.95, 0.2, 0.01)
    assert learner.shared
    assert learner.critic == "local"
    assert learner.learning_rate == learner.final_learning_rate
    assert isinstance(learner, Ppo)
