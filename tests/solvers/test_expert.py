"""What experts of all structures share: the override, limits that are handed on, and bounds for what proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import offloadopt
from offloadopt.solvers.expert import EXACT, LEVY, SizedExpert
from offloadopt.structures.assignment import AssignmentProblem


class Half(SizedExpert):
    """Takes `EXACT` for one task, `LEVY` for more, and proves nothing of its own."""

    serves = AssignmentProblem

    def by_size(self, problem: Any) -> str:
        return EXACT if problem.tasks == 1 else LEVY


def problem_of(users: int) -> Any:
    return offloadopt.problem("multi_server", users=users)


def test_options_are_handed_on_to_the_chosen_solver() -> None:
    chosen = Half(beta=1.4, relative_gap=0.1, time_limit_s=3.0).choose(problem_of(2))
    assert (chosen.name, chosen.relative_gap, chosen.time_limit_s) == ("levy", 0.1, 3.0)
    assert chosen.beta == 1.4  # type: ignore[attr-defined]
    assert Half().choose(problem_of(1)).name == "exact"
    assert Half(method="local").choose(problem_of(1)).name == "local"


def test_a_solver_without_a_time_limit_of_the_experts_keeps_its_own() -> None:
    inference = offloadopt.problem("twin_inference")
    assert offloadopt.solver("expert", inference).choose(inference).time_limit_s == 60.0  # type: ignore[attr-defined]


def test_search_and_bound_share_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, given = problem_of(2), list[float | None]()
    exact, levy = (offloadopt.solver(name, problem) for name in (EXACT, LEVY))
    monkeypatch.setattr(Half, "prover", lambda self, problem: exact)
    for kind in (type(exact), type(levy)):
        run = kind.run

        def noted(self: Any, *args: Any, run: Any = run, **options: Any) -> Any:
            given.append(self.time_limit_s)
            return run(self, *args, **options)

        monkeypatch.setattr(kind, "run", noted)
    found = Half(time_limit_s=8.0).run(problem, problem.sample(2, 0))
    assert given == [4.0, 4.0]
    assert np.isfinite(found.bound).all()
    Half().run(problem, problem.sample(2, 0))
    assert given[2:] == [None, None]


def test_without_a_prover_nothing_is_proved() -> None:
    problem = problem_of(2)
    assert (Half().run(problem, problem.sample(3, 0)).bound == -np.inf).all()


@pytest.mark.parametrize("name", ["multi_server", "carbon_mimo", "partial_mobile", "battery_d2d", "twin_inference"])
def test_every_problem_has_an_expert_for_its_default_size(name: str) -> None:
    problem = offloadopt.problem(name)
    expert = offloadopt.solver("expert", problem)
    assert expert.proves
    assert expert.choose(problem).name in ("exact", "levy")  # type: ignore[attr-defined]
