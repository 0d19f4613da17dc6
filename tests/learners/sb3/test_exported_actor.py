"""An exported actor: its arithmetic by hand, and what is refused when one is loaded."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Problem
from offloadopt.envs import ScoreView
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.sb3.algorithms import A2C, StochasticActor


@pytest.fixture(scope="module")
def small() -> Any:
    return registry.problem("multi_server", "heterogeneous", users=6, servers=2)


def test_a_network_small_enough_to_compute_by_hand(small: Any) -> None:
    """One hidden unit that reads the first measurement; server 1 gets twice its tangent, server 2 minus it."""
    view = ScoreView.of(small)
    first = np.zeros((1, 12), dtype=np.float32)
    first[0, 0] = 1.0
    second = np.repeat([[2.0], [-1.0]], 6, axis=0).astype(np.float32)
    layers = [(first, np.float32([0.5])), (second, np.zeros(12, dtype=np.float32))]
    actor = StochasticActor(small, view, layers, policies.Origin.of(A2C(), small))
    instances = small.sample(50, 0)
    hidden = np.tanh(view.observe(instances)[:, 0] + 0.5)
    expected = np.stack([(2 * hidden).clip(-1, 1), -hidden], axis=1)
    np.testing.assert_allclose(actor.actions(instances), np.repeat(expected[..., None], 6, axis=2), rtol=1e-6)
    decided = actor.run(small, instances).decisions["server"]
    assert np.array_equal(decided, np.repeat(np.where(hidden >= 0, 1, 2)[:, None], 6, axis=1))


def untrained(problem: Problem[Any], layers: int = 2) -> StochasticActor:
    sizes = [12, *[4] * (layers - 1), 12]
    rng = np.random.default_rng(0)
    made = [
        (rng.normal(size=(wide, narrow)).astype(np.float32), np.zeros(wide, dtype=np.float32))
        for narrow, wide in itertools.pairwise(sizes)
    ]
    return StochasticActor(problem, ScoreView.of(problem), made, policies.Origin.of(A2C(), problem))  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("users", 5), ("servers", 3)])
def test_a_policy_of_another_size_is_refused(small: Any, tmp_path: Path, field: str, value: int) -> None:
    untrained(small).save(tmp_path)
    other = registry.problem("multi_server", **{"users": 6, "servers": 2, field: value})
    with pytest.raises(InvalidInput, match=r"holds a policy with 12 inputs and 12 outputs; this multi_server has"):
        StochasticActor.load(tmp_path, other)


def test_another_scenario_of_the_same_size_keeps_the_statistics_of_training(small: Any, tmp_path: Path) -> None:
    policy = untrained(small)
    policy.save(tmp_path)
    loaded = StochasticActor.load(tmp_path, registry.problem("multi_server", users=6, servers=2, layout_seed=8))
    assert loaded.view.center.tobytes() == policy.view.center.tobytes()


@pytest.mark.parametrize("change", ["missing layer", "layer of another width", "no layers", "no statistics"])
def test_arrays_that_are_no_network_are_refused(small: Any, tmp_path: Path, change: str) -> None:
    policy = untrained(small, layers=3)
    arrays: dict[str, Any] = {"center": policy.view.center, "scale": policy.view.scale}
    for number, (matrix, biases) in enumerate(policy.layers):
        arrays |= {f"weights.{number}": matrix, f"biases.{number}": biases}
    if change == "missing layer":
        del arrays["weights.1"]
    elif change == "layer of another width":
        arrays["weights.1"] = arrays["weights.1"][:, :3]
    elif change == "no layers":
        arrays = {"center": policy.view.center, "scale": policy.view.scale}
    else:
        del arrays["center"]
    policies.save(tmp_path, policy.origin, arrays)
    with pytest.raises(DamagedFile, match="holds no network of an actor"):
        StochasticActor.load(tmp_path, small)
