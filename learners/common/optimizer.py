"""All agents' networks with their optimiser: what a training changes, and what of it is kept to continue it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.learners.common.off_policy import shorten
from offloadopt.learners.ppo.ppo import ActorCritic

Arrays = dict[str, NDArray[Any]]
NetworksT = TypeVar("NetworksT", bound=nn.Module)


class Agents(Generic[NetworksT]):
    """Networks under training by Adam, whose learning rate falls along a cosine.

    Parameters
    ----------
    networks : Module
    first_rate, last_rate : float
        Learning rates at the beginning and at the end of the budget.
    """

    def __init__(self, networks: NetworksT, first_rate: float, last_rate: float = 0.0) -> None:
        self.networks = networks
        self._optimizer = torch.optim.Adam(networks.parameters(), lr=first_rate, fused=True)
        self._rates = first_rate, last_rate

    def descend(self, loss: Tensor, spent: float) -> None:
        """One step along the gradient of each agent's own loss ``[servers]``, when a share of the budget is spent."""
        first, last = self._rates
        share = 0.5 * (1.0 + math.cos(math.pi * min(spent, 1.0)))
        self._optimizer.param_groups[0]["lr"] = last + (first - last) * share
        self._optimizer.zero_grad()
        loss.sum().backward()  # no agent's loss depends on another's parameters
        self._optimizer.step()

    def arrays(self) -> Arrays:
        """Networks, Adam's moments and step numbers by name."""
        found = {f"networks.{name}": value.numpy().copy() for name, value in self.networks.state_dict().items()}
        for number, held in self._optimizer.state_dict()["state"].items():
            found |= {f"adam.{number}.{name}": value.numpy().copy() for name, value in held.items()}
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `arrays` gave."""
        weights: dict[str, Tensor] = {}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, array in arrays.items():
            kind, _, rest = name.partition(".")
            value = torch.from_numpy(array.copy())
            if kind == "networks":
                weights[rest] = value
            elif kind == "adam":
                number, _, moment = rest.partition(".")
                moments.setdefault(int(number), {})[moment] = value
        self.networks.load_state_dict(weights)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})


class Clipped(Agents[nn.Module]):
    """Copies of networks under training by Adam, each copy with gradients of limited length."""

    def __init__(self, networks: nn.Module, first_rate: float, last_rate: float, longest: float) -> None:
        super().__init__(networks, first_rate, last_rate)
        self._longest = longest

    def descend(self, loss: Tensor, spent: float) -> None:
        """One step along the shortened gradient of each copy's own loss, when a share of the budget is spent."""
        first, last = self._rates
        share = 0.5 * (1.0 + math.cos(math.pi * min(spent, 1.0)))
        self._optimizer.param_groups[0]["lr"] = last + (first - last) * share
        self._optimizer.zero_grad()
        loss.sum().backward()
        shorten([cast(Tensor, parameter.grad) for parameter in self.networks.parameters()], self._longest)
        self._optimizer.step()


class ClippedAgents(Agents[ActorCritic]):
    """Networks under training by Adam with gradients of limited length."""

    def __init__(self, networks: ActorCritic, first_rate: float, last_rate: float, longest: float) -> None:
        super().__init__(networks, first_rate, last_rate)
        self._longest = longest

    def descend(self, loss: Tensor, spent: float) -> None:
        """One step along the shortened gradient of ``loss``, when a share of the budget is spent."""
        self._set_rate(spent)
        self._optimizer.zero_grad()
        loss.sum().backward()
        nn.utils.clip_grad_norm_(self.networks.parameters(), self._longest)
        self._optimizer.step()

    def _set_rate(self, spent: float) -> None:
        first, last = self._rates
        share = 0.5 * (1.0 + math.cos(math.pi * min(spent, 1.0)))
        self._optimizer.param_groups[0]["lr"] = last + (first - last) * share
