"""With a battery, plans that lose bits are found and proved by trying every choice of full slots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.clock import Deadline
from offloadopt.solvers.backlog import overflow_patterns
from offloadopt.solvers.backlog.buffer_plans import BufferSearches
from offloadopt.solvers.backlog.exact import BacklogExact

WEAK_CPU = {"users": 1, "antennas": 3, "local_max_w": 0.05}
LOSSY: tuple[tuple[int, dict[str, Any]], ...] = (
    (13, {"horizon": 5, "buffer_bits": 2e4, "arrival_quanta": 10.0, "overflow_unit": 10.0, "final_weight": 0.0,
          "battery_j": 3e-3, **WEAK_CPU}),
    (17, {"horizon": 5, "buffer_bits": 2e3, "arrival_quanta": 1.0, "start_bits": 1e3, "harvest_w": 0.3,
          "overflow_unit": 10.0, "offload_max_w": 0.5, "battery_j": 1e-3, **WEAK_CPU}),
)  # fmt: skip
"""Seeds and scenarios in which the programme without a choice gives plans that cost up to 12 % more."""


@pytest.mark.parametrize(("seed", "changes"), LOSSY)
def test_it_finds_the_plans_of_a_general_solver_and_proves_them(seed: int, changes: dict[str, Any]) -> None:
    problem = registry.problem("carbon_mimo", **changes)
    instances = problem.sample(1, seed=seed)
    solved = BacklogExact().run(problem, instances)
    general = registry.solver("minlp", problem, time_limit_s=10.0).run(problem, instances)
    assert solved.objective[0] == pytest.approx(general.objective[0], rel=1e-6)
    assert solved.bound[0] == pytest.approx(general.objective[0], rel=1e-5)
    assert solved.bound[0] <= general.objective[0]


def test_where_choices_are_many_two_are_tried_and_the_bound_is_that_without_a_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed, changes = LOSSY[0]
    problem: Any = registry.problem("carbon_mimo", **changes)
    instances = problem.sample(1, seed=seed)
    proved = BacklogExact().run(problem, instances)
    monkeypatch.setattr(overflow_patterns, "MOST_SLOTS", 1)
    searches = BufferSearches(problem, instances, problem.backlog(instances))
    searches.search(0, Deadline())
    ((_, _, _, _, bound),) = searches.losing
    assert bound == -np.inf
    tried = BacklogExact().run(problem, instances)
    assert proved.objective[0] <= tried.objective[0] < 1.01 * proved.objective[0]
    assert tried.bound[0] < proved.bound[0]
