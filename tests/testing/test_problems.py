"""The conformance kit of problems passes on all that are registered, and names the clause that a broken one breaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offloadopt import registry
from offloadopt.core import Decisions, Observation, Outcome
from offloadopt.problems.multi_server import MultiServer, MultiServerScenario
from offloadopt.testing import ConformanceError, check_problem

from toys.small_problems import SMALL


@pytest.mark.parametrize("name", registry.BUILT_IN["problems"])
def test_every_preset_of_a_registered_problem_conforms(name: str) -> None:
    kind = registry.get("problems", name)
    assert kind.name == name
    for values in kind.scenario_type.presets.values():
        check_problem(kind(kind.scenario_type(**{**values, **SMALL.get(name, {})})), seed=3)


def test_a_layout_per_instance_conforms() -> None:
    check_problem(registry.problem("multi_server", users=5, servers=2, layout_seed=None))


def with_cost(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
    """A step whose cost is changed."""

    def wrap(step: Any) -> Any:
        def changed(*args: Any) -> Any:
            state, outcome = step(*args)
            return state, dataclasses.replace(outcome, cost=change(outcome.cost))

        return changed

    return wrap


def with_rule(rule: str) -> Callable[[Any], Any]:
    """An allocation that follows another rule."""

    def wrap(allocate: Any) -> Any:
        def changed(self: MultiServer, observation: Observation, assignment: np.ndarray) -> Decisions:
            decision = dict(allocate(self, observation, assignment))
            if rule == "equal shares":
                for server in range(1, self.servers + 1):
                    here = assignment == server
                    share = self.scenario.cpu_server_hz / np.maximum(here.sum(axis=-1, keepdims=True), 1)
                    decision["cpu_hz"] = np.where(here, share, decision["cpu_hz"])
            elif rule == "full power":
                decision["power_w"] = np.where(assignment > 0, self.scenario.power_max_w, 0.0)
            else:
                decision["cpu_hz"] = np.where(assignment > 0, self.scenario.cpu_server_hz, decision["cpu_hz"])
            return Decisions(decision)

        return changed

    return wrap


noise = np.random.default_rng(0)
BROKEN: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("sample ignores its seed", "sample", lambda f: lambda self, count, seed: f(self, count, 0)),
    ("does not extend", "sample", lambda f: lambda self, count, seed: f(self, count, seed).take(slice(None, None, -1))),
    (
        "other bytes for the same seed",
        "sample",
        lambda f: lambda self, count, seed: f(self, count, noise.integers(9**9)),
    ),
    (
        "observe: array 'task_bits' is missing",
        "observe",
        lambda f: lambda self, *args: Observation({k: v for k, v in f(self, *args).items() if k != "task_bits"}),
    ),
    ("not deterministic", "step", with_cost(lambda cost: cost + noise.random())),
    ("cost holds NaN", "step", with_cost(lambda cost: cost * np.nan)),
    ("cost has shape", "step", with_cost(lambda cost: cost[:, None])),
    ("do not cost what they cost in a batch", "step", with_cost(lambda cost: cost + cost.mean())),
    ("do not give permuted outcomes", "step", with_cost(lambda cost: cost + np.arange(len(cost)))),
    (
        "evaluate differs from the sum of its steps",
        "evaluate",
        lambda f: lambda self, *args: Outcome.total([f(self, *args)] * 2),
    ),
    ("is not refused", "check_decisions", lambda f: lambda self, arrays, count: Decisions(arrays)),
    ("not refused", "check_instances", lambda f: lambda self, arrays: Decisions(arrays)),
    ("another cpu_hz .* costs less", "allocate", with_rule("equal shares")),
    ("another power_w .* costs less", "allocate", with_rule("full power")),
    ("infeasible decision at a finite cost", "allocate", with_rule("everything to everyone")),
    (
        "assignment\\(allocate\\(a\\)\\) is not a",
        "assignment",
        lambda f: lambda self, decisions: np.maximum(f(self, decisions), 1),
    ),
    (
        "costs\\(a\\) differ",
        "costs",
        lambda f: lambda self, seen: dataclasses.replace(f(self, seen), capacity=f(self, seen).capacity * 2),
    ),
    ("affinity leaves", "affinity", lambda f: lambda self, seen: f(self, seen) * 2),
    ("nearest leaves 1 to 2", "nearest", lambda f: lambda self, seen: f(self, seen) - 1),
    ("server_view is not", "server_view", lambda f: lambda self, seen: f(self, seen).transpose(0, 2, 1)),
]


@pytest.mark.parametrize(("clause", "method", "change"), BROKEN, ids=[f"{row[1]}: {row[0]}" for row in BROKEN])
def test_a_broken_problem_is_told_which_clause_it_breaks(clause: str, method: str, change: Any) -> None:
    kind = type("Broken", (MultiServer,), {method: change(getattr(MultiServer, method))})
    with pytest.raises(ConformanceError, match=clause):
        check_problem(kind(MultiServerScenario.preset("heterogeneous", users=5, servers=2)))
