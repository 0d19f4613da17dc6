"""Federated learning: the aggregates by hand, who may share, bytes, and that runs are the same bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offloadopt import registry
from offloadopt.core import Budget, Problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import off_policy as joint_learner
from offloadopt.learners.common import training as course
from offloadopt.learners.common.checkpoint import Checkpoint
from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.common.weight_aggregation import (
    Federation,
    Pair,
    Rule,
    WeightExchange,
    aggregate_weights,
    share_weights,
)
from offloadopt.learners.federated import Federated

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 10, "batch_size": 16, "buffer_size": 400}
"""Settings for trainings that need not learn."""
SMALL_OF: dict[str, dict[str, Any]] = {
    "maddpg": SMALL,
    "ddpg": {**SMALL, "buffer_size": 2000},
    "dqn": {**SMALL, "buffer_size": 2000, "levels": 3},
    "ppo": {"hidden": (8,), "num_envs": 4, "minibatch_size": 64, "epochs": 1},
}
STEPS = 1600


def mimo(**changes: Any) -> Problem[Any]:
    return registry.problem("carbon_mimo", **{"horizon": 8, "users": 3, "antennas": 4, **changes})


def networks(agents: int, seed: int) -> StackedMLP:
    made = StackedMLP(agents, (4, 5, 2), "relu", recurrent=False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=generator)
    return made


def weights(policy: Any) -> dict[str, bytes]:
    module = policy.actor if hasattr(policy, "actor") else policy.networks
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def agent_parts(policy: Any) -> list[Tensor]:
    module = policy.actor if hasattr(policy, "actor") else policy.networks
    return [parameter.detach() for parameter in module.parameters()]


def fit(learner: str, rule: str, problem: Problem[Any], seed: int = 0, **fields: Any) -> Any:
    options = SMALL_OF[learner]
    return Federated(learner=learner, rule=rule, options=options, **fields).fit(
        problem, budget=Budget(steps=STEPS), seed=seed
    )


class TestAggregates:
    def test_the_average_is_the_mean(self) -> None:
        assert torch.equal(aggregate_weights("average", torch.randn(4), torch.ones(4)), torch.full((4, 4), 0.25))

    def test_the_printed_aggregate_is_that_of_equation_25(self) -> None:
        values, held = [-3.0, -1.5, -6.0], [10.0, 20.0, 5.0]
        omega = [2.0, -1.0, 0.5]
        matrix = aggregate_weights("literal", torch.tensor(values), torch.tensor(held))
        for i in range(3):
            top = sum(q * w / n for q, w, n in zip(values, omega, held, strict=True))
            assert float(matrix[i] @ torch.tensor(omega)) == pytest.approx(top / (3 * values[i] / held[i]), rel=1e-6)

    def test_printed_weights_add_up_to_one_only_where_all_are_alike(self) -> None:
        alike = aggregate_weights("literal", torch.full((3,), -2.0), torch.full((3,), 7.0))
        unlike = aggregate_weights("literal", torch.tensor([-2.0, -1.0, -4.0]), torch.full((3,), 7.0))
        assert alike.sum(dim=1).tolist() == pytest.approx([1.0] * 3)
        assert abs(float(unlike[1].sum()) - 1.0) > 0.5

    def test_personalised_weights_add_up_to_one_and_favour_who_earns_more(self) -> None:
        matrix = aggregate_weights("personalised", torch.tensor([-5.0, -1.0, -3.0]), torch.ones(3))
        assert matrix.sum(dim=1).tolist() == pytest.approx([1.0] * 3)
        assert matrix[0, 1] > matrix[0, 2] > matrix[0, 0]
        assert torch.equal(matrix[0], matrix[2])

    def test_equal_agents_weigh_the_same(self) -> None:
        matrix = aggregate_weights("personalised", torch.full((5,), -1.0), torch.ones(5))
        assert matrix.flatten().tolist() == pytest.approx([0.2] * 25)


class TestSharing:
    @pytest.mark.parametrize("rule", ["average", "personalised", "literal"])
    def test_weights_move_as_the_rule_says(self, rule: Rule) -> None:
        online, target = networks(3, 1), networks(3, 2)
        before = [parameter.detach().clone() for parameter in online.parameters()]
        followed = [parameter.detach().clone() for parameter in target.parameters()]
        matrix = aggregate_weights(rule, torch.tensor([-1.0, -2.0, -4.0]), torch.ones(3))
        share_weights(rule, Pair(online, target, tau=0.1), matrix, 0.3)
        own_share, target_share = {"average": (1.0, 0.0), "personalised": (0.3, 0.0), "literal": (0.0, 0.03)}[rule]
        moved = zip(online.parameters(), target.parameters(), before, followed, strict=True)
        for own, follower, was, followed_was in moved:
            for i in range(3):
                aggregate = sum(matrix[i, j] * was[j] for j in range(3))
                torch.testing.assert_close(own[i], (1 - own_share) * was[i] + own_share * aggregate)
                torch.testing.assert_close(follower[i], followed_was[i] + target_share * (aggregate - was[i]))

    def test_with_soft_targets_the_literal_rule_is_equation_24(self) -> None:
        online, target, tau, share = networks(2, 3), networks(2, 4), 0.05, 0.4
        old = [parameter.detach().clone() for parameter in target.parameters()]
        matrix = aggregate_weights("literal", torch.tensor([-1.0, -2.0]), torch.ones(2))
        with torch.no_grad():
            for held, new in zip(target.parameters(), online.parameters(), strict=True):
                held.lerp_(new, tau)
        share_weights("literal", Pair(online, target, tau), matrix, share)
        for held, omega, was in zip(target.parameters(), online.parameters(), old, strict=True):
            aggregate = torch.einsum("ij,j...->i...", matrix, omega)
            torch.testing.assert_close(held, tau * ((1 - share) * omega + share * aggregate) + (1 - tau) * was)

    def test_bytes_are_those_of_the_weights(self) -> None:
        size = sum(parameter.numel() * 4 for parameter in networks(3, 0).parameters())
        for rule, deliveries in (("average", 1), ("personalised", 1), ("literal", 2)):
            exchange = WeightExchange(Federation(rule=rule, every=4))  # type: ignore[arg-type]
            for _ in range(9):
                exchange.after_update(0.5, [Pair(networks(3, 0), networks(3, 1), 0.1)], torch.ones(3), torch.ones(3))
            assert (exchange.sent, exchange.delivered) == (2 * size, 2 * size * deliveries)

    def test_shares_fall_to_nothing(self) -> None:
        for spent, moves in ((0.0, True), (1.0, False)):
            online = networks(3, 5)
            before = [parameter.detach().clone() for parameter in online.parameters()]
            WeightExchange(Federation(every=1)).after_update(
                spent, [Pair(online)], torch.tensor([1.0, 2, 3]), torch.ones(3)
            )
            moved = any(not torch.equal(a, b) for a, b in zip(before, online.parameters(), strict=True))
            assert moved == moves


class TestTrainings:
    @pytest.mark.parametrize("learner", list(SMALL_OF))
    def test_the_same_seed_gives_the_same_bytes(self, learner: str) -> None:
        one, same, other = (weights(fit(learner, "personalised", mimo(), seed, every=2)) for seed in (3, 3, 4))
        assert one == same != other

    @pytest.mark.parametrize("learner", list(SMALL_OF))
    def test_who_averages_after_every_update_ends_with_one_network(self, learner: str) -> None:
        for rule, alike in (("average", True), ("none", False)):
            parts = agent_parts(fit(learner, rule, mimo(), every=1))
            apart = max(float((part - part[:1]).abs().max()) for part in parts)
            assert (apart < 1e-6) == alike, (rule, apart)

    def test_a_centre_has_one_network_and_collects_experience(self) -> None:
        problem, curve = mimo(), []
        policy = Federated(rule="centralised", options=SMALL).fit(
            problem, budget=Budget(steps=STEPS), record=lambda step, found: curve.append((step, found))
        )
        features = problem.view_size(next(iter(problem.views)))  # type: ignore[attr-defined]
        assert len(agent_parts(policy)[0]) == 1
        step, found = curve[-1]
        # A view, two powers and a reward; after each episode of 8 slots another view.
        assert found["communication/collected_bytes"] == 4 * (features * 9 / 8 + 2 + 1) * step

    @pytest.mark.parametrize("learner", ["maddpg", "ppo"])
    def test_a_killed_training_ends_as_if_it_had_not_been(
        self, learner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        def kill(steps: int) -> None:
            nonlocal reported
            reported += steps
            if reported > STEPS // 2:
                raise Killed

        reported = 0
        monkeypatch.setattr(course, "SAVE_EVERY_S", 0.0)
        monkeypatch.setattr(joint_learner, "ROUND_SLOTS", 10)
        federated = Federated(learner=learner, options=SMALL_OF[learner], every=2)
        whole = weights(federated.fit(mimo(), budget=Budget(steps=STEPS)))
        with pytest.raises(Killed):
            federated.fit(mimo(), budget=Budget(steps=STEPS), progress=kill, checkpoint=tmp_path)
        found = Checkpoint.of(tmp_path, federated.wrapped, mimo(), Budget(steps=STEPS), 0, None)
        assert found is not None
        assert found.read()["exchange"][1] > 0  # weights had passed
        again = federated.fit(mimo(), budget=Budget(steps=STEPS), checkpoint=tmp_path)
        assert weights(again) == whole

    def test_curves_tell_the_bytes_of_weights(self) -> None:
        curve: list[dict[str, float]] = []
        Federated(options=SMALL, every=2).fit(
            mimo(), budget=Budget(steps=STEPS), record=lambda _, found: curve.append(dict(found))
        )
        sent = [point["communication/weights_sent_bytes"] for point in curve]
        assert sent == sorted(sent)
        assert sent[-1] > 0

    def test_policies_are_saved_as_those_of_the_wrapped_learner(self, tmp_path: Path) -> None:
        problem = mimo()
        policy = fit("maddpg", "personalised", problem)
        policy.save(tmp_path / "policy")
        loaded = load_policy(tmp_path / "policy", problem)
        test = problem.sample(3, 5)
        np.testing.assert_array_equal(policy.run(problem, test).objective, loaded.run(problem, test).objective)


class TestRefusals:
    def test_learners_without_networks_for_each_agent(self) -> None:
        with pytest.raises(InvalidInput, match="learner = 'imitation'; allowed: those with networks for each agent"):
            Federated(learner="imitation").fit(mimo())

    def test_options_that_follow_from_the_rule(self) -> None:
        with pytest.raises(InvalidInput, match="options hold 'shared'; it follows from rule = 'average'"):
            Federated(rule="average", options={"shared": True}).fit(mimo())

    def test_one_network_for_all_has_nothing_to_share(self) -> None:
        with pytest.raises(InvalidInput, match="shared = true; allowed with a federation: false"):
            registry.learner("maddpg", shared=True, federation={"rule": "average"})

    def test_a_literal_rule_without_targets(self) -> None:
        with pytest.raises(InvalidInput, match="literal"):
            Federated(learner="ppo", rule="literal").fit(mimo())
