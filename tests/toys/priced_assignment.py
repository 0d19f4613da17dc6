"""A `PricedAssignmentProblem` with negative costs: print jobs that bring a fee and wait for shared printers.

A job of ``p`` pages on the share ``f`` of printer j's pages per minute waits ``p / f`` minutes; carrying it there costs
``d_j``, doing it by hand costs ``p``. Each job that is done, in any way, brings the fee.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ArrayField, Batch, Decisions, Instances, IntArray, Outcome, Scenario, State
from offloadopt.structures.assignment import PricedAssignment, PricedAssignmentProblem

JOBS, SPEED = 5, np.array([8.0, 5.0])


class PrintShop(PricedAssignmentProblem[Scenario]):
    name = "print_shop"
    scenario_type = Scenario
    tasks, servers, num_agents, fee = JOBS, len(SPEED), JOBS, 9.0
    instance_fields = observation_fields = {
        "pages": ArrayField((JOBS,), low=0.1),
        "way": ArrayField((JOBS, len(SPEED)), low=0.0),
    }
    decision_fields = {
        "printer": ArrayField((JOBS,), low=0, high=len(SPEED), integer=True),
        "speed": ArrayField((JOBS,), low=0.0, high=SPEED.max()),
    }

    def sample(self, count: int, seed: int) -> Instances:
        pages, way = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        draws = {"pages": pages.uniform(1.0, 6.0, (count, JOBS))}
        return Instances({**draws, "way": way.uniform(0.0, 2.0, (count, JOBS, len(SPEED)))})

    def reset(self, instances: Instances) -> State:
        return State(0, Batch({}))

    def observe(self, instances: Instances, state: State) -> Any:
        return instances

    def step(self, instances: Instances, state: State, decision: Decisions) -> tuple[State, Outcome]:
        here = decision["printer"][..., None] == np.arange(1, len(SPEED) + 1)
        with np.errstate(divide="ignore"):
            waited = instances["pages"] / decision["speed"]
        printed = waited + (instances["way"] * here).sum(axis=-1)
        cost = np.where(here.any(axis=-1), printed, instances["pages"]) - self.fee
        used = (decision["speed"][..., None] * here).sum(axis=1)
        excess = np.maximum(used / SPEED - 1.0, 0.0).max(axis=-1)
        return State(1, state.values), Outcome(cost.sum(axis=-1), cost, {"speed": excess})

    def assignment(self, decisions: Decisions) -> IntArray:
        return decisions["printer"]

    def allocate(self, observation: Any, assignment: IntArray) -> Decisions:
        priced, speed = self.costs(observation), np.append(0.0, SPEED)[assignment]
        total = np.pad(priced.loads(assignment), ((0, 0), (1, 0)), constant_values=1.0)
        share = priced.load / np.take_along_axis(total, assignment, axis=-1)
        return Decisions({"printer": assignment, "speed": speed * share})

    def costs(self, observation: Any) -> PricedAssignment:
        pages = observation["pages"]
        options = np.concatenate([pages[..., None], observation["way"]], axis=-1) - self.fee
        return PricedAssignment(options, np.sqrt(pages), np.tile(SPEED, (len(pages), 1)))
