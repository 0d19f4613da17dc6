"""What a saved central policy serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Budget
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners.common.saved_policy import load_policy
from offloadopt.learners.ddpg_discrete.ddpg_discrete import DdpgDiscrete
from offloadopt.learners.ddpg_discrete.policy import CentralPolicy

SMALL: dict[str, Any] = {"hidden": (8, 6), "num_envs": 4, "warm_up": 3, "buffer_size": 64}


def mobile(**changes: Any) -> Any:
    return registry.problem("partial_mobile", **{"users": 3, "horizon": 4, **changes})


def test_a_shared_actor_serves_any_number_of_users(tmp_path: Path) -> None:
    for networks in ("shared", "joint"):
        DdpgDiscrete(**SMALL, networks=networks).fit(mobile(), budget=Budget(steps=40)).save(tmp_path / networks)
    five = mobile(users=5)
    assert np.isfinite(load_policy(tmp_path / "shared", five).run(five, five.sample(2, 0)).objective).all()
    with pytest.raises(InvalidInput, match=r"normalizer\.mean"):
        load_policy(tmp_path / "joint", five)
    with pytest.raises(DamagedFile):
        CentralPolicy.load(_without_origin(tmp_path / "joint", tmp_path / "odd"), mobile())


def test_what_it_cannot_serve_is_refused() -> None:
    with pytest.raises(Unsupported, match="AgentProblem"):
        DdpgDiscrete(**SMALL).fit(registry.problem("multi_server"))
    with pytest.raises(Unsupported, match=r"^'(target|mode)' has options that are not always allowed"):
        DdpgDiscrete(**SMALL, networks="joint").fit(registry.problem("battery_d2d"))
    with pytest.raises(InvalidInput, match="shared"):
        registry.learner("ddpg-discrete", shared=False)


def _without_origin(folder: Path, odd: Path) -> Path:
    """A policy whose arrays are not those that its settings describe."""
    policy = load_policy(folder, mobile())
    assert isinstance(policy, CentralPolicy)
    policy.origin = policy.origin.replace(settings={**policy.origin.settings, "networks": "shared"})
    policy.save(odd)
    return odd
