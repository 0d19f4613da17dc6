"""The clauses of `BacklogProblem`."""

from __future__ import annotations

from typing import Any

import numpy as np

from offloadopt.core import ROUNDING, FloatArray
from offloadopt.errors import Unsupported
from offloadopt.structures.backlog import Backlog, BacklogProblem
from offloadopt.testing.clauses import COUNT, Rollout, check_fields, close, must, must_have_shape
from offloadopt.testing.structures.agents import must_agree


def check_backlog(problem: BacklogProblem[Any], rollout: Rollout, seed: int) -> None:
    """Costs follow from the `Backlog` where the problem has one; the `BacklogMDP` states the same prices."""
    shape = (COUNT, problem.num_agents)
    must(problem.battery_j >= 0 and problem.waste_price >= 0, "battery_j or waste_price is negative")
    for slot in rollout.slots:
        bits, service = problem.buffer_bits(slot.observation), problem.service(slot.observation)
        must_have_shape("buffer_bits", bits, shape)
        must(bool((bits >= 0).all()), "buffer_bits are negative")
        must(service.device == problem.device, "service is of another device")
        for name in ("gain_per_w", "green_j", "green_price", "grid_price"):
            must_have_shape(f"service: {name}", np.broadcast_to(getattr(service, name), shape), shape)
        must(bool((service.green_price <= service.grid_price).all()), "service: green_price exceeds grid_price")
        decision = problem.serve(*problem.powers(slot.decision))
        check_fields("serve", decision, problem.decision_fields, COUNT)
        must_agree(decision, slot.decision, "serve(powers(decision)) is another decision")

    backlog = _supported(lambda: problem.backlog(rollout.instances))
    if backlog is not None:
        _check_costs(problem, backlog, rollout)
    mdp = _supported(problem.mdp)
    if mdp is not None:
        must(problem.num_agents == 1, "mdp is of several agents")
        must(mdp.horizon == problem.horizon and mdp.device == problem.device, "mdp has another horizon or device")
        for name, law in (("arrivals", mdp.arrivals), ("green", mdp.green)):
            must(min(law.probabilities) >= 0, f"mdp: a probability of {name} is negative")
            must(abs(sum(law.probabilities) - 1.0) <= ROUNDING, f"mdp: probabilities of {name} do not add up to 1")
        if backlog is not None:
            for name in ("capacity_bits", "holding_price", "overflow_price", "final_price"):
                must(getattr(mdp, name) == getattr(backlog, name), f"mdp and backlog have another {name}")


def _supported(call: Any) -> Any:
    """The result of a call, or none where the problem's scenario has no such form."""
    try:
        return call()
    except Unsupported:
        return None


def _check_costs(problem: BacklogProblem[Any], backlog: Backlog, rollout: Rollout) -> None:
    """Compare the costs of random powers with those of the backlog."""
    horizon, agents = problem.horizon, problem.num_agents
    must_have_shape("backlog: start_bits", backlog.start_bits, (COUNT, agents))
    must_have_shape("backlog: arrival_bits", backlog.arrival_bits, (COUNT, horizon, agents))
    must_have_shape("backlog: fixed_cost", backlog.fixed_cost, (COUNT, agents))
    must(
        backlog.service.gain_per_w.shape == (COUNT, horizon, agents), "backlog: service is not [count, horizon, agents]"
    )
    for t, slot in enumerate(rollout.slots):
        gain = problem.service(slot.observation).gain_per_w
        same = close(np.broadcast_to(gain, (COUNT, agents)), backlog.service.gain_per_w[:, t], ROUNDING)
        must(same, "backlog: the gains are not those of service")
    charged = np.sum([slot.outcome.agent_cost for slot in rollout.slots], axis=0)
    predicted = _backlog_cost(problem, backlog, rollout)
    must(close(predicted, charged, ROUNDING), "the costs of powers do not follow from backlog")


def _backlog_cost(problem: BacklogProblem[Any], backlog: Backlog, rollout: Rollout) -> FloatArray:
    """Costs ``[count, agents]`` of the rollout's powers by the `Backlog` alone."""
    bits, battery = backlog.start_bits, np.zeros((COUNT, problem.num_agents))
    cost = np.array(np.broadcast_to(backlog.fixed_cost, battery.shape))
    for t, slot in enumerate(rollout.slots):
        powers, service = problem.powers(slot.decision), backlog.service.take((slice(None), t))
        energy, green = service.energy_j(*powers), service.green_j + battery
        used = np.minimum(energy, green)
        battery = np.minimum(green - used, backlog.battery_j)
        cost += service.green_price * used + service.grid_price * (energy - used)
        if backlog.battery_j > 0:
            cost += backlog.waste_price * (green - used - battery)
        waiting = np.maximum(bits - service.bits(*powers), 0.0) + backlog.arrival_bits[:, t]
        bits = np.minimum(waiting, backlog.capacity_bits)
        cost += backlog.holding_price * bits + backlog.overflow_price * (waiting - bits)
    return np.asarray(cost + backlog.final_price * bits)
