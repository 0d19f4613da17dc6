"""Small demonstration sets, and a problem with a horizon whose expert is a formula."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import offloadopt
from offloadopt.core import (
    ArrayField,
    Batch,
    Decisions,
    Demonstrations,
    Instances,
    Observation,
    Outcome,
    Problem,
    Progress,
    Scenario,
    Solutions,
    Solver,
    State,
)
from offloadopt.datasets.demonstrations import collect

PROBLEM = offloadopt.problem("multi_server", "heterogeneous", users=4)
EXPERT = offloadopt.solver("random")


def arrays(demonstrations: Demonstrations) -> dict[str, Any]:
    """All arrays that a set must give back, by kind and name; ``seconds`` are measured, not determined."""
    d, s = demonstrations, demonstrations.solutions
    kinds: Mapping[str, Mapping[str, Any]] = {
        "instance": d.instances,
        "observation": d.observations,
        "decision": s.decisions,
        "detail": s.details,
        "solution": {"objective": s.objective, "bound": s.bound, "status": s.status},
    }
    return {f"{kind}.{name}": array for kind, named in kinds.items() for name, array in named.items()}


def assert_same_bytes(left: Demonstrations, right: Demonstrations) -> None:
    ours, theirs = arrays(left), arrays(right)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        assert array.shape == theirs[name].shape, name
        assert array.tobytes() == theirs[name].tobytes(), name


def one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


def small(folder: Path, **changes: Any) -> Demonstrations:
    """Seven demonstrations in three shards."""
    settings: dict[str, Any] = {"count": 7, "seed": 3, "folder": folder, "shard_size": 3, **changes}
    return collect(settings.pop("problem", PROBLEM), settings.pop("solver", EXPERT), **settings)


class QueueScenario(Scenario):
    """Three slots."""


class Queue(Problem[QueueScenario]):
    """A backlog to which nature adds and from which decisions take: the least problem with a state and a horizon."""

    name = "queue"
    scenario_type = QueueScenario
    horizon = 3
    num_agents = 1
    instance_fields: ClassVar[Any] = {"arrivals": ArrayField((), low=0)}
    decision_fields: ClassVar[Any] = {"served": ArrayField((), low=0)}
    observation_fields: ClassVar[Any] = {"backlog": ArrayField(())}

    def sample(self, count: int, seed: int) -> Instances:
        return Instances({"arrivals": np.random.default_rng(seed).random((count, 3))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"backlog": np.zeros(instances.count)}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({"backlog": state.values["backlog"]})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        backlog = state.values["backlog"] + instances["arrivals"][:, state.slot] - decision["served"]
        too_few = {"arrivals": np.where(instances["arrivals"][:, 0] > 0.5, 0.0, 1.0)}
        return State(state.slot + 1, Batch({"backlog": backlog})), Outcome(backlog, backlog[:, None], too_few)


class ServeHalf(Solver):
    """Serves half of the arrivals, with a price for each slot; finds nothing where few arrive in the first slot."""

    name = "serve-half"
    serves = Queue

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        served = instances["arrivals"] / 2
        found = instances["arrivals"][:, 0] > 0.5
        return Solutions.scored(
            problem,
            instances,
            Decisions({"served": served}),
            bound=np.where(found, -0.0, -np.inf),
            seconds=0.0,
            details={"prices": np.stack([served, -served], axis=-1), "proved": found},
        )
