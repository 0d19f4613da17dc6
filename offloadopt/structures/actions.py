"""The terms in which an agent's policy decides: the decision itself, or numbers in which costs are easier to learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, Observation
from offloadopt.physics.device import Device, Service

Allowed = Mapping[str, NDArray[np.bool_]]
"""Which options ``[count, agents, options]`` of a whole number can be chosen; a control that is not named is free."""


class Controls(ABC):
    """What agents set, and what decision follows from it.

    Attributes
    ----------
    fields : mapping of str to ArrayField
        Every array leads with the agents.
    """

    fields: Mapping[str, ArrayField]

    @abstractmethod
    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """One slot's decisions from values ``[count, agents, ...]``; agent i's row follows from its own rows."""

    @abstractmethod
    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Values that lead to decisions."""

    @abstractmethod
    def allowed(self, observation: Observation) -> Allowed:
        """What can be chosen now."""


class DirectControls(Controls):
    """Agents set the decision's arrays.

    Parameters
    ----------
    fields : mapping of str to ArrayField
    allowed : callable
        What can be chosen, given an observation.
    """

    def __init__(self, fields: Mapping[str, ArrayField], allowed: Callable[[Observation], Allowed]) -> None:
        self.fields = fields
        self._allowed = allowed

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """The values."""
        return Decisions(values)

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """The decisions."""
        return dict(decisions)

    def allowed(self, observation: Observation) -> Allowed:
        """As the problem says."""
        return self._allowed(observation)


class EnergyControls(Controls):
    """Agents with a buffer set how much power they draw, measured at their green power, and how it is shared.

    Where unused green energy and grid energy both cost, the optimum draws exactly the green power nearly always: costs
    have a kink there, on a line across the two powers. A network that sets these has to hit the line to a percent of
    its length in every state; one that sets ``balance`` has a whole range for it. From -1, nothing, the power grows to
    the green power at ``-KINK``, stays until ``KINK``, and grows to full power at 1.

    Parameters
    ----------
    agents : int
    device : Device
    service : callable
        What each agent can do, given an observation.
    serve : callable
        The decisions that set powers of CPU and transmitter ``[count, agents]``.
    powers : callable
        The powers that decisions set.
    """

    KINK = 0.15
    """Wide enough to be hit while powers are explored, narrow enough not to be lost in."""

    def __init__(
        self,
        agents: int,
        device: Device,
        service: Callable[[Observation], Service],
        serve: Callable[[FloatArray, FloatArray], Decisions],
        powers: Callable[[Decisions], tuple[FloatArray, FloatArray]],
    ) -> None:
        self.fields = {
            "balance": ArrayField((agents,), low=-1.0, high=1.0),
            "local_share": ArrayField((agents,), low=0.0, high=1.0),
        }
        self._device = device
        self._service = service
        self._serve = serve
        self._powers = powers

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """The two powers; what exceeds one's limit goes to the other."""
        device, balance = self._device, values["balance"]
        green_w, full_w = self._green_w(observation), self._full_w
        below = np.clip((balance + 1.0) / (1.0 - self.KINK), 0.0, 1.0)
        above = np.clip((balance - self.KINK) / (1.0 - self.KINK), 0.0, 1.0)
        power = below * green_w + above * (full_w - green_w)
        local_w = np.minimum(values["local_share"] * power, device.local_max_w)
        offload_w = np.minimum(power - local_w, device.offload_max_w)
        return self._serve(power - offload_w, offload_w)

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """The middle of the range where power is green power; without any power an even share."""
        local_w, offload_w = self._powers(decisions)
        green_w, full_w = self._green_w(observation), self._full_w
        power = local_w + offload_w
        below = np.divide(power, green_w, out=np.ones_like(power), where=green_w > 0)
        room = full_w - green_w
        above = np.divide(power - green_w, room, out=np.zeros_like(power), where=room > 0)
        span, exact = 1.0 - self.KINK, 1e-9 * full_w
        balance = np.where(power < green_w - exact, below * span - 1.0, self.KINK + above * span)
        balance = np.where(np.abs(power - green_w) <= exact, 0.0, balance)
        share = np.divide(local_w, power, out=np.full_like(power, 0.5), where=power > 0)
        return {"balance": np.clip(balance, -1.0, 1.0), "local_share": share}

    def allowed(self, observation: Observation) -> Allowed:
        """Everything."""
        return {}

    @property
    def _full_w(self) -> float:
        return self._device.local_max_w + self._device.offload_max_w

    def _green_w(self, observation: Observation) -> FloatArray:
        """Power ``[count, agents]`` that uses up the green energy, if the device can draw it."""
        return np.minimum(self._service(observation).green_j / self._device.slot_s, self._full_w)
