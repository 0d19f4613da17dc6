"""Prioritised replay, against numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from offloadopt.learners.dirs.prioritised_replay import Replay


def transitions(*numbers: float) -> tuple[Tensor, Tensor]:
    """A view and labels for each number, which both hold everywhere: two servers, three features, four tasks."""
    value = torch.tensor(numbers)[:, None, None]
    return value.expand(-1, 2, 3).clone(), value.expand(-1, 2, 4).clone()


def replay_of(*demonstrations: float, **options: Any) -> Replay:
    settings = {"room": 3, "exponent": 0.5, "demonstration_priority": 0.08, "own_priority": 0.02, **options}
    return Replay(*transitions(*demonstrations), **settings)


def append(replay: Replay, *numbers: float) -> None:
    for view, labels in zip(*transitions(*numbers), strict=True):
        replay.append(view, labels)


def held(replay: Replay) -> list[float]:
    return replay.view[: replay.count, 0, 0].tolist()


def test_probabilities_are_equation_16_with_a_constant_for_each_kind() -> None:
    """Changes 0.01, -0.17 of demonstrations, 0.23 of an own one: priorities 0.09, 0.25, 0.25; roots 0.3, 0.5, 0.5."""
    replay = replay_of(1.0, 2.0)
    append(replay, 3.0)
    replay.update(np.array([0, 1, 2]), np.array([0.01, -0.17, 0.23]))
    np.testing.assert_allclose(replay.probabilities(), np.array([0.3, 0.5, 0.5]) / 1.3, rtol=1e-12)


def test_without_an_exponent_all_transitions_are_alike() -> None:
    replay = replay_of(1.0, 2.0, exponent=0.0)
    append(replay, 3.0)
    replay.update(np.array([0]), np.array([100.0]))
    np.testing.assert_allclose(replay.probabilities(), np.full(3, 1 / 3))


def test_what_was_not_replayed_yet_counts_as_the_largest_change_known() -> None:
    replay = replay_of(1.0, 2.0)
    np.testing.assert_allclose(replay.probabilities(), [0.5, 0.5])
    replay.update(np.array([1]), np.array([0.41]))
    append(replay, 3.0)
    root = np.sqrt([0.41 + 0.08, 0.41 + 0.08, 0.41 + 0.02])
    np.testing.assert_allclose(replay.probabilities(), root / root.sum(), rtol=1e-12)


def test_the_oldest_own_transition_gives_way_and_no_demonstration_ever_does() -> None:
    replay = replay_of(1.0, 2.0)
    append(replay, 3.0, 4.0)
    assert held(replay) == [1.0, 2.0, 3.0, 4.0]
    append(replay, 5.0, 6.0, 7.0)
    assert held(replay) == [1.0, 2.0, 6.0, 7.0, 5.0]
    assert replay.labels[: replay.count, 1, 3].tolist() == held(replay)
    replay.update(np.array([4]), np.array([9.0]))
    append(replay, 8.0)  # in place of 5, whose change it does not inherit: it counts as the largest, which is now 0
    assert held(replay) == [1.0, 2.0, 6.0, 7.0, 8.0]
    np.testing.assert_allclose(replay.probabilities()[4], 0.02**0.5 / (2 * 0.08**0.5 + 3 * 0.02**0.5))


def test_transitions_are_drawn_as_often_as_their_probabilities_say() -> None:
    replay = replay_of(1.0, 2.0, 3.0)
    replay.update(np.array([0, 1, 2]), np.array([0.0, 0.5, 2.0]))
    rows = replay.draw(100_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(rows) / 100_000, replay.probabilities(), atol=5e-3)


def test_only_what_is_held_is_drawn() -> None:
    replay = replay_of(room=5)
    append(replay, 1.0, 2.0)
    assert set(replay.draw(200, np.random.default_rng(0))) == {0, 1}


@pytest.mark.parametrize("own", [(), (5.0,), (5.0, 6.0, 7.0, 8.0)])
def test_a_restored_replay_goes_on_as_the_first(own: tuple[float, ...]) -> None:
    first, second = replay_of(1.0, 2.0), replay_of(1.0, 2.0)
    append(first, *own)
    first.update(np.array([1]), np.array([0.3]))
    second.restore({name: array.copy() for name, array in first.arrays().items()})
    for replay in (first, second):
        append(replay, 9.0)
    assert held(first) == held(second)
    assert torch.equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.probabilities(), second.probabilities())
