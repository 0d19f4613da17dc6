"""Adam with a cosine schedule and two ways of clipping, against torch's own Adam."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from offloadopt.learners.common.optimizer import AdamOptimizer, ClippedAdam, CopywiseClippedAdam


class Point(nn.Module):
    """Two copies of three numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])[:, None])


SLOPES = torch.tensor([[3.0, 4.0, 0.0], [0.03, 0.0, 0.04]])


def loss(point: Point) -> Tensor:
    return (point.numbers[:, 0] * SLOPES).sum(dim=-1)


def test_the_learning_rate_falls_along_a_cosine() -> None:
    ours, reference = Point(), Point()
    learned = AdamOptimizer(ours, 0.1, 0.02)
    adam = torch.optim.Adam(reference.parameters())
    for spent in (0.0, 0.25, 1.0, 1.5):
        learned.descend(loss(ours), spent)
        adam.param_groups[0]["lr"] = 0.02 + 0.08 * 0.5 * (1.0 + math.cos(math.pi * min(spent, 1.0)))
        adam.zero_grad()
        loss(reference).sum().backward()  # type: ignore[no-untyped-call]
        adam.step()
        torch.testing.assert_close(ours.numbers, reference.numbers)


@pytest.mark.parametrize(("kind", "norms"), [(ClippedAdam, (1.0, 0.01)), (CopywiseClippedAdam, (1.0, 0.05))])
def test_gradients_are_clipped_all_together_or_copy_by_copy(
    kind: type[ClippedAdam[Point]], norms: tuple[float, float]
) -> None:
    point = Point()
    kind(point, 0.1, 0.1, 1.0).descend(loss(point), 0.0)
    assert point.numbers.grad is not None
    found = point.numbers.grad.flatten(1).norm(dim=1)
    torch.testing.assert_close(found, torch.tensor(norms), rtol=1e-4, atol=0)


def test_a_restored_optimiser_takes_the_same_steps() -> None:
    one, other = Point(), Point()
    first, second = AdamOptimizer(one, 0.1), AdamOptimizer(other, 0.1)
    first.descend(loss(one), 0.0)
    second.restore(first.arrays())
    for learned, point in ((first, one), (second, other)):
        learned.descend(loss(point).square(), 0.3)
    assert torch.equal(one.numbers, other.numbers)


def test_a_parameter_that_no_loss_has_reached_has_no_state() -> None:
    class Idle(Point):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Parameter(torch.ones(2))

    one, other = Idle(), Idle()
    first, second = AdamOptimizer[Point](one, 0.1), AdamOptimizer[Point](other, 0.1)
    first.descend(loss(one), 0.0)
    second.restore(first.arrays())
    assert second.arrays().keys() == first.arrays().keys()
