"""The clauses of `SlotwiseProblem`."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import Decisions
from offloadopt.structures.assignment import SlotwiseProblem
from offloadopt.testing.clauses import COUNT, SAME, Rollout, check_fields, close, must


def check_slotwise(problem: SlotwiseProblem[Any], rollout: Rollout, seed: int) -> None:
    """Slots are instances of ``one_slot``, and the costs of a horizon are the sum of theirs."""
    single, horizon = problem.one_slot, problem.horizon
    must(single.horizon == 1, f"one_slot has {single.horizon} slots")
    sizes = (single.tasks, single.servers, single.num_agents)
    must(sizes == (problem.tasks, problem.servers, problem.num_agents), "one_slot has other tasks, servers or agents")
    slots = problem.slots(rollout.instances)
    check_fields("slots", slots, single.instance_fields, COUNT * horizon)
    decisions = rollout.decisions
    if horizon > 1:
        decisions = Decisions({name: array.reshape(-1, *array.shape[2:]) for name, array in decisions.items()})
    apart = single.evaluate(slots, decisions).agent_cost.reshape(COUNT, horizon, -1)
    charged = np.stack([slot.outcome.agent_cost for slot in rollout.slots], axis=1)
    must(close(apart, charged, SAME), "one_slot charges other costs than the slots of the horizon")
