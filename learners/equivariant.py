"""Root prices of servers from one equivariant network, and decisions that carry their own certificate.

The network sees nothing but a `PricedAssignment`. A round asks, at the prices that stand, which tasks each server would
get and how much dearer it could become before it lost them, or must become cheaper to win them. These answers are pooled
over tasks and over servers, so any number of either will do and their order does not matter. From the pooled answers the
network reads how far the prices should follow the load that they imply (a server's root price is its load by its
capacity). As load is counted, never estimated, what small instances taught holds for large ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.core import (
    Decisions,
    FloatArray,
    Instances,
    IntArray,
    Observation,
    Policy,
    Problem,
    Progress,
    Solutions,
)
from offloadopt.errors import DamagedFile, Unsupported
from offloadopt.learners import policies
from offloadopt.learners.ensemble import one_thread
from offloadopt.solvers.exchange import SETTLED, assignment_cost, server_loads
from offloadopt.solvers.pricing import EPS, best_responses, price_bound
from offloadopt.structure import PricedAssignment, PricedAssignmentProblem

REACH = 5.0
"""Answers are cut off so many common prices away: further away nothing changes sides."""
FLOOR = 0.1
"""Prices count in logarithms down to this share of the common price."""
CELLS = 1 << 20
"""Pairs of task and server that the network looks at together."""


@dataclass(frozen=True)
class Market:
    """A batch of `PricedAssignment` without units: loads relative to their mean, prices to a common price.

    The common price is the root price at which one server with all the capacity would serve just those tasks that gain
    by it, each over its best link. Money is counted in common prices times mean loads, from each task's cheapest option.
    Tasks are the last axis, along which everything is computed.

    Attributes
    ----------
    local : Tensor [count, tasks]
        Cost of option 0.
    link : Tensor [count, servers, tasks]
        Cost of the others.
    load : Tensor [count, tasks]
    capacity : Tensor [count, servers]
        Per task: a server's root price is the mean over all tasks of the load it has, divided by this.
    common_price : array [count]
        In the instance's own units.
    """

    local: Tensor
    link: Tensor
    load: Tensor
    capacity: Tensor
    common_price: FloatArray

    @classmethod
    def of(cls, costs: PricedAssignment) -> Self:
        """The same instances without units."""
        local, load, capacity = costs.option_cost[..., 0], costs.load, costs.capacity
        link = np.ascontiguousarray(costs.option_cost[..., 1:].transpose(0, 2, 1))
        nearest = link.min(axis=1)
        worth = (local - nearest) / (2.0 * load)
        order = np.argsort(-worth, axis=1, kind="stable")
        supply = np.cumsum(np.take_along_axis(load, order, axis=1), axis=1) / capacity.sum(axis=1, keepdims=True)
        price = np.minimum(np.take_along_axis(worth, order, axis=1), supply).max(axis=1)
        price = np.where(price > 0, price, 1.0)  # nobody gains: any unit will do
        mean_load = load.mean(axis=1)
        money = (price * mean_load)[:, None]
        cheapest = np.minimum(local, nearest)
        return cls(
            torch.from_numpy((local - cheapest) / money),
            torch.from_numpy((link - cheapest[:, None]) / money[:, None]),
            torch.from_numpy(load / mean_load[:, None]),
            torch.from_numpy(capacity * (price / load.sum(axis=1))[:, None]),
            price,
        )

    def bound(self, v: Tensor) -> Tensor:
        """``D(v)`` of `solvers.pricing`, mean over tasks, ``[count]``; differentiable and concave in ``v``."""
        cheapest = torch.minimum(self.local, self._priced(v).amin(dim=1))
        return cheapest.mean(dim=1) - (self.capacity * v.square()).sum(dim=1)

    def answers(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """How tasks answer root prices ``v [count, servers]``.

        Returns
        -------
        rise : Tensor [count, servers, tasks]
            How much dearer a server could become before it lost the task; negative: how much cheaper it must be.
        share : Tensor [count, servers, tasks]
            1 where the task goes; servers that tie share it.
        """
        local, priced = self.local[:, None], self._priced(v)
        lowest, winner = priced.min(dim=1, keepdim=True)
        best = priced == lowest
        others = priced.scatter(1, winner, torch.inf).amin(dim=1, keepdim=True)
        rival = torch.minimum(local, torch.where(best, others, lowest))
        rise = ((rival - priced) / (2.0 * self.load[:, None])).clamp(-REACH, REACH)
        share = (best & (priced < local)).to(priced.dtype)
        return rise, share / share.sum(dim=1, keepdim=True).clamp_min(1.0)

    def _priced(self, v: Tensor) -> Tensor:
        """[count, servers, tasks] what each task would pay on each server."""
        return torch.addcmul(self.link, self.load[:, None], v[..., None], value=2.0)


class PriceNetwork(nn.Module):
    """Root prices from a few rounds, each with weights of its own.

    Parameters
    ----------
    width : int
        Numbers that a round pools for each server.
    rounds : int
    """

    def __init__(self, width: int, rounds: int) -> None:
        super().__init__()
        self.rounds = nn.ModuleList(Round(width) for _ in range(rounds))
        self.double()

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights uniformly up to ``inputs^-1/2``; biases too, so that kinks spread."""
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    for parameter in layer.parameters():
                        limit = layer.in_features**-0.5
                        parameter.uniform_(-limit, limit, generator=generator)

    def forward(self, market: Market) -> Tensor:
        """Root prices ``[count, servers]`` relative to the common price, at which the first round begins."""
        v = torch.ones_like(market.capacity)
        for step in self.rounds:
            v = step(market, v)
        return v

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All parameters by name."""
        return {name: value.numpy().copy() for name, value in self.state_dict().items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the values of what `arrays` gave."""
        try:
            self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        except (RuntimeError, TypeError):
            raise DamagedFile(f"arrays {', '.join(sorted(arrays))} are no network of this width and rounds") from None


class Round(nn.Module):
    """One correction of all prices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.task = nn.Linear(2, width)
        self.server = nn.Linear(2, width, bias=False)
        self.hidden = nn.Linear(2 * width + 3, 2 * width)
        self.follow = nn.Linear(2 * width, 2)

    def forward(self, market: Market, v: Tensor) -> Tensor:
        """New root prices ``[count, servers]``."""
        rise, share = market.answers(v)
        weight = (market.load / market.load.shape[1])[..., None]
        implied = (share @ weight)[..., 0] / market.capacity
        size = torch.stack([torch.log(v + FLOOR), torch.log(market.capacity)], dim=-1)

        by_rise, by_load = self.task.weight.unbind(dim=1)
        of_task = by_load[:, None] * torch.log(market.load)[:, None] + self.task.bias[:, None]
        of_server = self.server(size)[..., None]
        signal = torch.relu(torch.addcmul(of_task[:, None], rise[:, :, None], by_rise[:, None]) + of_server)
        pooled = (signal.flatten(1, 2) @ weight).view(*size.shape[:2], -1)
        everywhere = pooled.mean(dim=1, keepdim=True).expand_as(pooled)
        seen = torch.cat([pooled, everywhere, size, torch.log(implied + FLOOR)[..., None]], dim=-1)

        # All prices together and each against the others have steps of their own: the two linear maps that do not
        # depend on the servers' order.
        apart, together = torch.sigmoid(self.follow(torch.relu(self.hidden(seen)))).unbind(dim=-1)
        change = implied - v
        common = (market.capacity * change).sum(dim=1, keepdim=True) / market.capacity.sum(dim=1, keepdim=True)
        return (v + apart * (change - common) + together * common).clamp_min(0.0)


class PricePolicy(Policy):
    """Each task's best response at predicted prices, a bounded number of improving moves, the exact allocation.

    The prices that decide also prove a lower bound of every assignment's cost: `run` returns it with each decision.
    """

    name = "prices"

    def __init__(
        self, problem: PricedAssignmentProblem[Any], network: PriceNetwork, sweeps: int, origin: policies.Origin
    ) -> None:
        self.problem = problem
        self.network = network
        self.sweeps = sweeps
        self.origin = origin

    def root_prices(self, costs: PricedAssignment) -> FloatArray:
        """Predicted root prices ``[count, servers]`` in the instances' own units."""
        count, tasks = costs.load.shape
        rows = max(1, CELLS // (tasks * costs.capacity.shape[1]))
        parts = [np.empty((0, costs.capacity.shape[1]))]
        with one_thread(), torch.inference_mode():
            for begin in range(0, count, rows):
                market = Market.of(costs.take(slice(begin, begin + rows)))
                parts.append(self.network(market).numpy() * market.common_price[:, None])
        return np.concatenate(parts)

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Assign at the predicted prices, then allocate."""
        costs = self.problem.costs(observation)
        assignment, _ = _assign(costs, self.root_prices(costs), self.sweeps)
        return self.problem.allocate(observation, assignment), memory

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Decide as `act` does; ``bound`` is proved by the prices in ``details["prices"]``, as `Exact` gives them."""
        begin = time.perf_counter()
        costs = self.problem.costs(instances)
        v = self.root_prices(costs)
        assignment, bound = _assign(costs, v, self.sweeps)
        decisions = self.problem.allocate(instances, assignment)
        seconds = (time.perf_counter() - begin) / max(instances.count, 1)
        if progress is not None:
            progress(instances.count)
        return Solutions.scored(problem, instances, decisions, seconds=seconds, bound=bound, details={"prices": v**2})

    def save(self, folder: Path) -> None:
        """Write the network as safetensors + JSON."""
        policies.save(folder, self.origin, self.network.arrays())

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a network; it decides any problem with priced servers, whatever its numbers of tasks and servers."""
        origin, arrays = policies.read(folder, problem)
        if not isinstance(problem, PricedAssignmentProblem):
            raise Unsupported(f"{folder} prices servers; problem {problem.name!r} is no PricedAssignmentProblem")
        try:
            width, rounds, sweeps = (int(origin.settings[name]) for name in ("width", "rounds", "sweeps"))
        except (KeyError, TypeError, ValueError):
            raise DamagedFile(f"{folder} does not say the width, rounds and sweeps of its policy") from None
        network = PriceNetwork(width, rounds)
        network.restore(arrays)
        return cls(problem, network, sweeps, origin)


def _assign(costs: PricedAssignment, v: FloatArray, sweeps: int) -> tuple[IntArray, FloatArray]:
    """Assignments ``[count, tasks]`` and proved lower bounds ``[count]``."""
    assignment, bound = np.empty(costs.load.shape, np.int64), np.empty(costs.count)
    for row in range(costs.count):
        instance = costs.option_cost[row], costs.load[row], costs.capacity[row]
        assignment[row], bound[row] = assign(*instance, v[row], sweeps)
    # The cost of a decision is summed in another order.
    return assignment, bound - 4.0 * EPS * (costs.load.shape[1] + 8) * np.abs(bound)


@njit(cache=True)
def assign(
    cost: FloatArray, load: FloatArray, capacity: FloatArray, v: FloatArray, sweeps: int
) -> tuple[IntArray, float]:
    """Best responses at root prices ``v``, improved by moves; and the bound that ``v`` proves. One instance.

    A sweep moves each task to where it costs least as the others stand, those that decided most narrowly first: an
    order that, like the prices, does not depend on how tasks and servers are numbered.
    """
    nothing = np.zeros(len(capacity))
    bound = price_bound(cost, load, capacity, nothing, v)
    assignment, margin = best_responses(cost, load, v)
    order = np.argsort(margin)
    loads = server_loads(load, nothing, assignment)
    settled = SETTLED * abs(assignment_cost(cost, load, capacity, nothing, assignment))
    for _ in range(sweeps):
        moved = False
        for i in order:
            old, size = assignment[i], load[i]
            if old > 0:
                loads[old - 1] -= size
            best, least = old, np.inf
            for k in range(-1, cost.shape[1]):
                option = old if k < 0 else k  # where it is comes first: whatever moves it must be cheaper than that
                total = cost[i, option]
                if option > 0:
                    total += (2.0 * loads[option - 1] + size) * size / capacity[option - 1]
                if total < least:
                    best, least = option, total - (settled if k < 0 else 0.0)
            if best > 0:
                loads[best - 1] += size
            assignment[i] = best
            moved = moved or best != old
        if not moved:
            break
    return assignment, bound
