"""Network that predicts root prices of servers for any number and order of tasks and servers.

Its input is a `PricedAssignment` alone. In every round the best response of each task to the current prices is
computed: its cheapest option, and by how much each server's price could rise before the task left it (or must fall
before the task chose it). Each server pools these responses over all tasks. From the pooled features the network
predicts the width over which load is smoothed around the prices, and the step length of each price. So prices move by
Newton steps on the lower bound with learned smoothing and step lengths; load itself is summed, never estimated, so
weights trained on small instances serve large ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from offloadopt.core import FloatArray
from offloadopt.structures.assignment import PricedAssignment

REACH = 5.0
"""Price changes of best responses are clipped to so many common prices: beyond, no task changes its option."""
FLOOR = 0.1
"""Added to relative prices before their logarithm is taken."""
START = 0.99
"""Relative prices of the first round. At the common price itself, rounding might decide for a task."""
USUAL_WIDTH = 0.3
"""Smoothing width, in common prices, that the network's output multiplies."""
SMALLEST = 1e-9
"""Least capacity in a Newton step, relative to the largest one: less would leave the system singular."""


@dataclass(frozen=True)
class NormalisedAssignment:
    """A batch of `PricedAssignment` without units: loads relative to their mean, prices to a common price.

    The common price is the root price at which one server with all the capacity would serve just those tasks that gain
    by it, each over its best link. The unit of costs is the common price times the mean load, and the cheapest option
    of each task costs 0. Tasks are the last axis.

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
        In the instance's own units; 0 where no task gains, and any unit will do.
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
        break_even_price = (local - nearest) / (2.0 * load)
        order = np.argsort(-break_even_price, axis=1, kind="stable")
        supply = np.cumsum(np.take_along_axis(load, order, axis=1), axis=1) / capacity.sum(axis=1, keepdims=True)
        price = np.minimum(np.take_along_axis(break_even_price, order, axis=1), supply).max(axis=1).clip(min=0.0)
        unit = np.where(price > 0, price, 1.0)
        mean_load = load.mean(axis=1)
        money = (unit * mean_load)[:, None]
        cheapest = np.minimum(local, nearest)
        return cls(
            torch.from_numpy((local - cheapest) / money),
            torch.from_numpy((link - cheapest[:, None]) / money[:, None]),
            torch.from_numpy(load / mean_load[:, None]),
            torch.from_numpy(capacity * (unit / load.sum(axis=1))[:, None]),
            price,
        )

    def bound(self, v: Tensor) -> Tensor:
        """Lower bound ``D(v) [count]`` of `solvers.assignment.dual_bound`, mean over tasks; concave in ``v``."""
        cheapest = torch.minimum(self.local, self._costs_at_prices(v).amin(dim=1))
        return cheapest.mean(dim=1) - (self.capacity * v.square()).sum(dim=1)

    def best_responses(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Best responses of tasks to root prices ``v [count, servers]``.

        Returns
        -------
        rise : Tensor [count, servers, tasks]
            By how much a server's root price could rise before the task left it; negative: by how much it must fall
            before the task chose it.
        load : Tensor [count, servers]
            Load of each server, divided by the number of tasks; servers that tie share a task.
        """
        local, priced = self.local[:, None], self._costs_at_prices(v)
        lowest, winner = priced.min(dim=1, keepdim=True)
        best = priced == lowest
        others = priced.scatter(1, winner, torch.inf).amin(dim=1, keepdim=True)
        rival = torch.minimum(local, torch.where(best, others, lowest))
        rise = ((rival - priced) / (2.0 * self.load[:, None])).clamp(-REACH, REACH)
        share = (best & (priced < local)).to(priced.dtype)
        share = share / share.sum(dim=1, keepdim=True).clamp_min(1.0)
        return rise, (share @ self.load[..., None])[..., 0] / self.load.shape[1]

    def curvature(self, v: Tensor, width: Tensor) -> Tensor:
        """Half the negative Hessian of `bound` at ``v``, smoothed over a ``width [count]`` of prices.

        Returns
        -------
        Tensor [count, servers, servers]
            Capacities, and the derivative of loads by prices when each task spreads over its options (softmin).
        """
        priced = self._costs_at_prices(v)
        least = torch.minimum(self.local, priced.amin(dim=1))
        scale = 2.0 * self.load * width[:, None]
        weight = torch.exp((least[:, None] - priced) / scale[:, None])
        share = weight / (weight.sum(dim=1) + torch.exp((least - self.local) / scale))[:, None]
        moving = share * (self.load / (self.load.shape[1] * width[:, None]))[:, None]
        least_capacity = SMALLEST * self.capacity.amax(dim=1, keepdim=True)
        diagonal = torch.maximum(self.capacity, least_capacity) + moving.sum(dim=-1)
        return torch.diag_embed(diagonal) - moving @ share.transpose(1, 2)

    def _costs_at_prices(self, v: Tensor) -> Tensor:
        """[count, servers, tasks] Cost of each task on each server at the prices."""
        return torch.addcmul(self.link, self.load[:, None], v[..., None], value=2.0)


class PriceNetwork(nn.Module):
    """Root prices after a few message-passing layers, each with weights of its own.

    Parameters
    ----------
    width : int
        Numbers that a round pools for each server.
    rounds : int
    """

    def __init__(self, width: int, rounds: int) -> None:
        super().__init__()
        self.rounds = nn.ModuleList(MessagePassingLayer(width) for _ in range(rounds))
        self.double()

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights uniformly up to ``inputs^-1/2``; biases too, so that the ReLUs' kinks differ."""
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    for parameter in layer.parameters():
                        limit = layer.in_features**-0.5
                        parameter.uniform_(-limit, limit, generator=generator)

    def forward(self, instances: NormalisedAssignment) -> Tensor:
        """Root prices ``[count, servers]`` relative to the common price."""
        return self.price_iterates(instances)[-1]

    def price_iterates(self, instances: NormalisedAssignment) -> list[Tensor]:
        """Relative root prices ``[count, servers]`` before the first round and after each."""
        prices = [torch.full_like(instances.capacity, START)]
        for correct in self.rounds:
            prices.append(correct(instances, prices[-1]))
        return prices


class MessagePassingLayer(nn.Module):
    """One Newton step on all prices, with learned smoothing and step lengths."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.task = nn.Linear(2, width)
        self.server = nn.Linear(2, width, bias=False)
        self.hidden = nn.Linear(2 * width + 3, 2 * width)
        self.read = nn.Linear(2 * width, 2)

    def forward(self, instances: NormalisedAssignment, v: Tensor) -> Tensor:
        """New root prices ``[count, servers]``."""
        rise, load = instances.best_responses(v)
        implied = load / instances.capacity
        step_length, log_width = self.read(torch.relu(self.hidden(self._pool(instances, v, implied, rise)))).unbind(
            dim=-1
        )
        width = USUAL_WIDTH * torch.exp(log_width.mean(dim=1).clamp(-REACH, REACH))
        step = torch.linalg.solve(instances.curvature(v, width), load - instances.capacity * v)
        return (v + 2.0 * torch.sigmoid(step_length) * step).clamp_min(0.0)

    def _pool(self, instances: NormalisedAssignment, v: Tensor, implied: Tensor, rise: Tensor) -> Tensor:
        """Pooled features of each server, ``[count, servers, features]``: its own tasks' and those of all servers."""
        own = torch.stack([torch.log(v + FLOOR), torch.log(instances.capacity)], dim=-1)
        by_rise, by_load = self.task.weight.unbind(dim=1)
        of_task = by_load[:, None] * torch.log(instances.load)[:, None] + self.task.bias[:, None]
        of_server = self.server(own)[..., None]
        # In place: fresh memory of this size costs more time than the arithmetic.
        signal = torch.addcmul(of_task[:, None], rise[:, :, None], by_rise[:, None]).add_(of_server).relu_()
        weight = (instances.load / instances.load.shape[1])[..., None]
        pooled = (signal.flatten(1, 2) @ weight).view(*own.shape[:2], -1)
        everywhere = pooled.mean(dim=1, keepdim=True).expand_as(pooled)
        return torch.cat([pooled, everywhere, own, torch.log(implied + FLOOR)[..., None]], dim=-1)
