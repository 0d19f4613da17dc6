"""Weights of agents: the aggregates by hand, how weights move, and the bytes that pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from offloadopt.learners.common.networks import StackedMLP
from offloadopt.learners.common.weight_aggregation import (
    Federation,
    Pair,
    Rule,
    WeightExchange,
    aggregate_weights,
    share_weights,
)


def networks(agents: int, seed: int) -> StackedMLP:
    made = StackedMLP(agents, (4, 5, 2), "relu", recurrent=False)
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        nn.init.normal_(parameter, generator=generator)
    return made


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


@pytest.mark.parametrize("rule", ["average", "personalised"])
def test_a_network_that_agents_have_in_common_is_not_exchanged(rule: Rule) -> None:
    own, common = networks(3, 1), networks(1, 2)
    before = [parameter.clone() for parameter in common.parameters()]
    exchange = WeightExchange(Federation(rule=rule, every=1))
    exchange.after_update(0.0, [Pair(nn.ModuleList([own, common]))], torch.zeros(3), torch.ones(3))
    assert all(torch.equal(*pair) for pair in zip(before, common.parameters(), strict=True))
    assert exchange.sent == sum(parameter.nbytes for parameter in own.parameters())
