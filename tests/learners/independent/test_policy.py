"""Saved deterministic policies and numbers of agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt.core import Budget
from offloadopt.errors import InvalidInput
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.independent.ddpg import Ddpg

SMALL: dict[str, Any] = {
    "hidden": (8, 6),
    "num_envs": 4,
    "warm_up": 10,
    "batch_size": 16,
    "buffer_size": 64,
    "actor_delay": 5,
}


def test_a_shared_network_serves_any_number_of_agents(aiming: Any, tmp_path: Path) -> None:
    Ddpg(**SMALL, shared=True).fit(aiming(), budget=Budget(steps=100)).save(tmp_path / "shared")
    Ddpg(**SMALL).fit(aiming(), budget=Budget(steps=100)).save(tmp_path / "own")
    three = aiming(agents=3)
    assert np.isfinite(load_policy(tmp_path / "shared", three).run(three, three.sample(2, 0)).objective).all()
    with pytest.raises(InvalidInput, match=r"holds a policy with center \[2, "):
        load_policy(tmp_path / "own", three)
