"""Lévy flight search over the powers of a whole horizon, with all of nature's draws known.

The flight, the crossover and the selection are those of `offloadopt.solvers.levy` (Jiang et al., arXiv:2005.12364). A
user's coordinates in a slot are those of `EnergyControls`: its total power relative to the green power, and the share
of the CPU in it. Both move by the flight (23); the crossover (27) takes or leaves them together. Powers themselves are
poor coordinates, since the cost has a kink where their sum is the green power: with as many generations the cost ends
at a multiple. All members start at the cheapest of three rules: the green power, shared equally by CPU and transmitter,
`greedy-local` and `greedy-offload`.

Users whose buffers are independent are selected user by user (28), at the cost of a compiled simulation. Otherwise,
where one user's power disturbs the others, the problem evaluates every candidate, and its whole cost selects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from offloadopt.clock import Deadline
from offloadopt.core import Decisions, FloatArray, Instances, Observation, rollout
from offloadopt.errors import Unsupported
from offloadopt.kernels import njit
from offloadopt.quantities import Factor
from offloadopt.solvers.backlog.baselines import GreedyLocal, GreedyOffload
from offloadopt.solvers.levy import Coordinates, HorizonLevy, best_of, flight, levy_crossover
from offloadopt.structures.actions import EnergyControls
from offloadopt.structures.backlog import Backlog, BacklogProblem


class BacklogLevy(HorizonLevy):
    """Take the best of several Lévy flight searches over total power and CPU share of all users and slots."""

    serves = BacklogProblem

    step_scale: Factor = Field(0.01, gt=0, description="alpha_s, scale of the flight's steps relative to the range")

    def search(
        self, problem: BacklogProblem[Any], instances: Instances, rng: np.random.Generator, deadline: Deadline
    ) -> Decisions:
        """Search all instances at the same time: decisions of the best members."""
        controls = EnergyControls(problem)
        shape = (instances.count, self.population, problem.num_agents, problem.horizon)
        try:
            costs = BufferCosts(problem.backlog(instances)).cost
            parts = 1
        except Unsupported:  # one user's power affects the service of others
            costs = _EvaluatedCosts(problem, instances, controls).cost
            parts = problem.num_agents
        threshold = self.threshold_for(parts * problem.horizon)
        starts = tuple(np.stack(each, axis=1) for each in zip(*_starts(problem, instances, controls), strict=True))
        balance, share = (
            np.repeat(best_of(start, costs(*starts))[:, None], self.population, axis=1) for start in starts
        )

        def propose(weight: float) -> Coordinates:
            (normal,) = rng.spawn(1)
            balancing, sharing, crossing = self.steps(normal, shape, 3)
            mutants = (
                (balance, flight(balance, balancing, 2.0 * self.step_scale, -1.0, 1.0)),
                (share, flight(share, sharing, self.step_scale, 0.0, 1.0)),
            )
            return tuple(levy_crossover(present, mutant, crossing, weight, threshold) for present, mutant in mutants)

        cost = self.select_greedily(costs, (balance, share), propose, deadline)
        return decode(problem, instances, controls, best_of(balance, cost), best_of(share, cost))


def decode(
    problem: BacklogProblem[Any], instances: Instances, controls: EnergyControls, balance: FloatArray, share: FloatArray
) -> Decisions:
    """Decisions of coordinates ``[count, agents, horizon]``, slot by slot as batteries determine the green power."""
    slots = iter(range(problem.horizon))

    def decide(observation: Observation) -> Decisions:
        slot = next(slots)
        return controls.decode(observation, {"balance": balance[..., slot], "local_share": share[..., slot]})

    return rollout(problem, instances, decide)


def _starts(
    problem: BacklogProblem[Any], instances: Instances, controls: EnergyControls
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Coordinates ``[count, agents, horizon]`` of the green power, equally shared, and of the greedy rules."""
    shape, rng = (instances.count, problem.num_agents, problem.horizon), np.random.default_rng(0)  # they draw nothing
    yield np.zeros(shape), np.full(shape, 0.5)
    for rule in (GreedyLocal(), GreedyOffload()):
        encoded = list[Mapping[str, FloatArray]]()

        def decide(observation: Observation) -> Decisions:
            decision = rule.decide(problem, observation, rng)  # noqa: B023
            encoded.append(controls.encode(observation, decision))  # noqa: B023
            return decision

        rollout(problem, instances, decide)
        balance, share = (np.stack([each[name] for each in encoded], axis=-1) for name in ("balance", "local_share"))
        yield balance, share


class _EvaluatedCosts:
    """Costs of populations as the problem evaluates them."""

    def __init__(self, problem: BacklogProblem[Any], instances: Instances, controls: EnergyControls) -> None:
        self.problem, self.instances, self.controls = problem, instances, controls

    def cost(self, balance: FloatArray, share: FloatArray) -> FloatArray:
        """Cost ``[count, population]`` of coordinates ``[count, population, agents, horizon]``."""
        count, members = balance.shape[:2]
        copies = self.instances.take(np.repeat(np.arange(count), members))
        flat = (values.reshape(count * members, *values.shape[2:]) for values in (balance, share))
        decisions = decode(self.problem, copies, self.controls, *flat)
        return self.problem.evaluate(copies, decisions).cost.reshape(count, members)


class BufferCosts:
    """Costs of independent buffers in the coordinates of `EnergyControls`, by a compiled simulation.

    Parameters
    ----------
    backlog : Backlog
    """

    def __init__(self, backlog: Backlog) -> None:
        service, device = backlog.service, backlog.service.device

        def by_agent(values: FloatArray) -> FloatArray:
            """Arrange ``[count, horizon, agents]`` as ``[count, agents, horizon]``."""
            return np.ascontiguousarray(np.broadcast_to(values, backlog.arrival_bits.shape).swapaxes(1, 2))

        self._start_bits = backlog.start_bits
        self._slots = np.stack(
            [by_agent(each) for each in (backlog.arrival_bits, service.gain_per_w, service.green_j, service.grid_price)]
        )
        # Without a battery the waste's price is part of the service's green price, and the fixed cost.
        waste_price = backlog.waste_price if backlog.battery_j > 0 else -float(np.mean(service.green_price))
        self._device = np.array(
            [
                device.slot_s,
                device.local_max_w,
                device.offload_max_w,
                device.slot_s / device.cycles_per_bit / np.cbrt(device.kappa),  # bits over W^(1/3)
                device.slot_s * device.bandwidth_hz / np.log(2.0),
                EnergyControls.KINK,
            ]
        )
        self._prices = np.array(
            [
                backlog.capacity_bits,
                backlog.battery_j,
                backlog.holding_price,
                backlog.overflow_price,
                backlog.final_price,
                waste_price,
            ]
        )

    def cost(self, balance: FloatArray, share: FloatArray) -> FloatArray:
        """Cost ``[count, population, agents]`` of coordinates ``[count, population, agents, horizon]``."""
        return np.asarray(_costs(balance, share, self._start_bits, self._slots, self._device, self._prices))


@njit(cache=True)
def _costs(balance: Any, share: Any, start_bits: Any, slots: Any, device: Any, prices: Any) -> Any:
    arrival_bits, gain_per_w, green_j, grid_price = slots[0], slots[1], slots[2], slots[3]
    slot_s, local_max_w, offload_max_w, local_bits, offload_bits, kink = device
    capacity_bits, battery_j, holding_price, overflow_price, final_price, waste_price = prices
    count, members, agents, horizon = balance.shape
    costs, full_w = np.zeros((count, members, agents)), local_max_w + offload_max_w
    for row in range(count):
        for member in range(members):
            for agent in range(agents):
                bits, stored_j, total = start_bits[row, agent], 0.0, 0.0
                for t in range(horizon):
                    at = row, member, agent, t
                    held_j = green_j[row, agent, t] + stored_j
                    # `EnergyControls.decode`
                    green_w = min(held_j / slot_s, full_w)
                    below = min(max((balance[at] + 1.0) / (1.0 - kink), 0.0), 1.0)
                    above = min(max((balance[at] - kink) / (1.0 - kink), 0.0), 1.0)
                    power = below * green_w + above * (full_w - green_w)
                    offload_w = min(power - min(share[at] * power, local_max_w), offload_max_w)
                    local_w = min(max(power - offload_w, 0.0), local_max_w)
                    # The slot
                    served = local_bits * np.cbrt(local_w) + offload_bits * np.log1p(
                        gain_per_w[row, agent, t] * offload_w
                    )
                    bits = max(bits - served, 0.0) + arrival_bits[row, agent, t]
                    total += overflow_price * max(bits - capacity_bits, 0.0)
                    bits = min(bits, capacity_bits)
                    energy_j = slot_s * (local_w + offload_w)
                    total += grid_price[row, agent, t] * max(energy_j - held_j, 0.0)
                    stored_j = min(max(held_j - energy_j, 0.0), battery_j)
                    total += waste_price * (max(held_j - energy_j, 0.0) - stored_j) + holding_price * bits
                costs[row, member, agent] = total + final_price * bits
    return costs
