"""Adam optimisers with a learning rate schedule and gradient clipping, whose state can be saved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offloadopt.learners.common.checkpoint import named_arrays, restored
from offloadopt.learners.common.torch_utils import Arrays, clip_gradients_per_copy, with_prefix

NetworksT = TypeVar("NetworksT", bound=nn.Module)


class AdamOptimizer(Generic[NetworksT]):
    """Adam optimiser of some networks, with a cosine schedule of the learning rate.

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
        """Take one gradient step.

        Parameters
        ----------
        loss : Tensor
            Loss of each copy; their sum is minimised, and no copy's loss depends on another's parameters.
        spent : float
            Fraction of the budget that is used, which sets the learning rate.
        """
        first, last = self._rates
        share = 0.5 * (1.0 + math.cos(math.pi * min(spent, 1.0)))
        self._optimizer.param_groups[0]["lr"] = last + (first - last) * share
        self._optimizer.zero_grad()
        loss.sum().backward()
        self._clip()
        self._optimizer.step()

    def _clip(self) -> None:
        """Clip the gradients before the step; here they are unchanged."""

    def arrays(self) -> Arrays:
        """Networks, Adam's moments and step numbers by name."""
        moments = {str(number): held for number, held in self._optimizer.state_dict()["state"].items()}
        return named_arrays("networks", self.networks) | named_arrays("adam", moments)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        restored("networks", self.networks, arrays)
        held = with_prefix(arrays, "adam")
        moments: dict[int, dict[str, Tensor]] = {}
        stepped = {name.split(".")[0] for name in held}  # parameters without gradients have no moments
        for number, parameter in enumerate(self.networks.parameters()):
            if str(number) not in stepped:
                continue
            fresh = {"step": torch.zeros(()), "exp_avg": parameter, "exp_avg_sq": parameter}
            moments[number] = restored(str(number), fresh, held)
            if any(moments[number][name].min() < 0 for name in ("step", "exp_avg_sq")):
                raise ValueError(f"adam.{number} holds a negative square or step")
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})


class ClippedAdam(AdamOptimizer[NetworksT]):
    """Adam with the norm of the whole gradient clipped.

    Parameters
    ----------
    gradient_limit : float
        Largest Euclidean norm of the gradient of all parameters together.
    """

    def __init__(self, networks: NetworksT, first_rate: float, last_rate: float, gradient_limit: float) -> None:
        super().__init__(networks, first_rate, last_rate)
        self._gradient_limit = gradient_limit

    def _clip(self) -> None:
        nn.utils.clip_grad_norm_(self.networks.parameters(), self._gradient_limit)


class CopywiseClippedAdam(ClippedAdam[NetworksT]):
    """Adam for copies of networks; ``gradient_limit`` is the largest norm of one copy's gradient."""

    def _clip(self) -> None:
        gradients = [cast(Tensor, parameter.grad) for parameter in self.networks.parameters()]
        clip_gradients_per_copy(gradients, self._gradient_limit)
