"""A plugin of somebody else: queues that are served or not over three slots, with a solver and a learner.

Installed by `conftest.toy` as a distribution of its own, it shows that the contracts fit problems with a horizon, a
state and several agents.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from offloadopt.core import (
    ArrayField,
    Batch,
    Budget,
    Decisions,
    Demonstrations,
    Instances,
    Learner,
    Observation,
    Outcome,
    Policy,
    Problem,
    Progress,
    Record,
    Scenario,
    Solutions,
    Solver,
    State,
)
from offloadopt.errors import Unsupported

TRAINING_INSTANCES = 64


class QueueScenario(Scenario):
    queues: int = Field(2, ge=1)
    slots: int = Field(3, ge=2)
    send_cost: float = Field(1.0, ge=0)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cheap": {}, "dear": {"send_cost": 3.0}}


class Queues(Problem[QueueScenario]):
    """Sending empties a queue by its rate; what waits at the end of a slot costs its length."""

    name = "queues"
    scenario_type = QueueScenario

    @property
    def horizon(self) -> int:
        return self.scenario.slots

    @property
    def num_agents(self) -> int:
        return self.scenario.queues

    @property
    def instance_fields(self) -> Mapping[str, ArrayField]:
        shape = (self.num_agents,)
        return {
            "initial": ArrayField(shape, low=0.0, per_slot=False),
            "rate": ArrayField(shape, low=0.0),
            "arrival": ArrayField(shape, low=0.0),
        }

    @property
    def observation_fields(self) -> Mapping[str, ArrayField]:
        shape = (self.num_agents,)
        return {"waiting": ArrayField(shape, low=0.0), "rate": ArrayField(shape, low=0.0)}

    @property
    def decision_fields(self) -> Mapping[str, ArrayField]:
        return {"send": ArrayField((self.num_agents,), low=0, high=1, integer=True)}

    def sample(self, count: int, seed: int) -> Instances:
        initial, rate, arrival = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
        per_slot = (count, self.horizon, self.num_agents)
        return Instances(
            {
                "initial": initial.uniform(0, 4, size=(count, self.num_agents)),
                "rate": rate.uniform(0, 3, size=per_slot),
                "arrival": arrival.uniform(0, 2, size=per_slot),
            }
        )

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({"waiting": instances["initial"]}))

    def observe(self, instances: Instances, state: State) -> Observation:
        return Observation({"waiting": state.values["waiting"], "rate": instances["rate"][:, state.slot]})

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        send = decision["send"]
        sent = np.minimum(send * instances["rate"][:, state.slot], state.values["waiting"])
        waiting = state.values["waiting"] - sent + instances["arrival"][:, state.slot]
        agent_cost = self.scenario.send_cost * send + waiting
        outcome = Outcome(agent_cost.sum(axis=-1), agent_cost, metrics={"sent": sent.sum(axis=-1)})
        return State(state.slot + 1, Batch({"waiting": waiting})), outcome


class Foresight(Solver):
    """The best plan of each queue when all of nature is known: its cost is a bound for every policy."""

    name = "foresight"
    serves = Queues
    proves = True

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        self.require(problem)
        plans = np.array(list(itertools.product((0, 1), repeat=problem.horizon)))
        costs = []  # one row per plan, the same for all queues, which do not touch each other
        for plan in plans:
            send = np.broadcast_to(plan[:, None], (problem.horizon, problem.num_agents))
            decisions = Decisions({"send": np.broadcast_to(send, (instances.count, *send.shape))})
            costs.append(problem.evaluate(instances, decisions).agent_cost)
        best = np.argmin(costs, axis=0)
        if progress is not None:
            progress(instances.count)
        return Solutions.scored(
            problem,
            instances,
            Decisions({"send": plans[best].transpose(0, 2, 1)}),
            bound=np.min(costs, axis=0).sum(axis=-1),
            seconds=0.0,
        )


class Threshold(Policy):
    """Send while more waits than a threshold; it remembers the slot, to send nothing in the last one."""

    name = "threshold"

    def __init__(self, threshold: float, slots: int) -> None:
        self.threshold = threshold
        self.slots = slots

    def start(self, count: int, seed: int) -> int:
        return 0

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, int]:
        useful = np.minimum(observation["waiting"], observation["rate"]) > self.threshold
        return Decisions({"send": (useful & (memory + 1 < self.slots)).astype(np.int64)}), memory + 1

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policy.json").write_text(json.dumps({"threshold": self.threshold, "slots": self.slots}))

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        if not isinstance(problem, Queues):
            raise Unsupported(f"a threshold policy does not serve {problem.name!r}; it needs Queues")
        return cls(**json.loads((folder / "policy.json").read_text()))


class ThresholdSearch(Learner):
    """Try random thresholds, keep the cheapest."""

    name = "threshold-search"
    serves = Queues
    policy_type = Threshold

    def default_steps(self, problem: Problem[Any]) -> int:
        return 50 * TRAINING_INSTANCES * problem.horizon * problem.num_agents

    def fit(
        self,
        problem: Problem[Any],
        *,
        demonstrations: Demonstrations | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        record: Record | None = None,
        checkpoint: Path | None = None,
    ) -> Threshold:
        self.require(problem)
        self.check_demonstrations(demonstrations is not None)
        steps = self.default_steps(problem) if budget is None or budget.steps is None else budget.steps
        decisions = TRAINING_INSTANCES * problem.horizon * problem.num_agents  # to try a threshold once
        tried = np.random.default_rng(seed).uniform(0, 3, -(-steps // decisions))
        training = problem.sample(TRAINING_INSTANCES, seed)
        policies = [Threshold(value, problem.horizon) for value in tried]
        costs = []
        for policy in policies:
            costs.append(policy.run(problem, training).objective.mean())
            if progress is not None:
                progress(decisions)
            if record is not None:
                cost = float(costs[-1]) / (problem.horizon * problem.num_agents)
                record(len(costs) * decisions, {"episode/cost": cost})
        return policies[int(np.argmin(costs))]
