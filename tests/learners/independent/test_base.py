"""Training of independent agents: what enters the replay buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt.core import Budget
from offloadopt.learners.common.replay import TransitionReplay
from offloadopt.learners.independent.ddpg import Ddpg

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 10,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 5,
}


def test_what_follows_the_last_slot_of_an_episode_is_held_with_it(aiming: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episode by episode the views lead from one to the next, and none of them to another episode's."""
    held: list[tuple[Any, Any]] = []
    append = TransitionReplay.append

    def watched(self: TransitionReplay, view: Any, action: Any, reward: Any, following: Any) -> None:
        held.append((view, following))
        append(self, view, action, reward, following)

    monkeypatch.setattr(TransitionReplay, "append", watched)
    Ddpg(**SMALL).fit(aiming(horizon=3), budget=Budget(steps=4 * 2 * 12))
    assert len(held) == 12
    for slot, (_, following) in enumerate(held[:-1]):
        same = np.array_equal(following, held[slot + 1][0])
        assert same == (slot % 3 != 2)
    last, following = held[2]
    np.testing.assert_array_equal(following, last)  # this problem's views are nature alone: the last slot's
