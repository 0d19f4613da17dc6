"""The expert for edge inference: who is chosen, and that Lévy search is certified in hindsight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.solvers.inference.expert import InferenceExpert

from toys.inference_slots import small_inference


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ({"users": 2, "servers": 1, "tasks_max": 4, "horizon": 1}, "exhaustive"),  # 3^8 = 6,561
        ({"users": 2, "servers": 2, "tasks_max": 4, "horizon": 1}, "exact"),  # 4^8 = 65,536
        ({}, "exact"),
        ({"users": 40}, "levy"),
    ],
    ids=str,
)
def test_the_size_chooses_the_expert(sizes: dict[str, Any], chosen: str) -> None:
    problem = offloadopt.problem("twin_inference", **sizes)
    assert isinstance(offloadopt.solver("expert", problem), InferenceExpert)
    assert InferenceExpert().choose(problem).name == chosen


def test_levy_gets_the_bound_of_exact() -> None:
    problem = small_inference(users=2, servers=1, tasks_max=1, horizon=2, battery_j=0.4)
    instances = problem.sample(2, 3)
    optimum = InferenceExpert().run(problem, instances)
    assert set(optimum.status_names) == {"OPTIMAL"}
    found = InferenceExpert(small=0, medium=0).run(problem, instances)
    assert (found.bound <= optimum.objective * (1 + 1e-9)).all()
    np.testing.assert_allclose(found.bound, optimum.objective, rtol=2e-3)
    assert (found.objective >= optimum.bound).all()
