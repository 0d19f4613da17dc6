"""rMAPPO on the problem that it was made for."""

from __future__ import annotations

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.learners.ppo.rmappo import Rmappo


def test_it_learns_where_batteries_and_queues_matter() -> None:
    problem = registry.problem("battery_d2d", users=3, servers=1, horizon=20, battery_j=150.0, failure_weight=30.0)
    learner = Rmappo(num_envs=32, learning_rate=5e-3, minibatch_size=960)
    policy = learner.fit(problem, budget=Budget(steps=16_000), seed=0)
    instances = problem.sample(200, seed=1)
    learned = policy.run(problem, instances).objective.mean()
    assert learned < 0.7 * registry.solver("random", problem).run(problem, instances).objective.mean()


def test_fixed_frequency_leaves_no_mode_to_choose() -> None:
    problem = registry.problem("battery_d2d", preset="fixed-frequency", users=3, horizon=4)
    policy = Rmappo(num_envs=4, chunk=4).fit(problem, budget=Budget(steps=48), seed=0)
    decisions = policy.run(problem, problem.sample(5, seed=1)).decisions
    assert (decisions["mode"] == 0).all()
