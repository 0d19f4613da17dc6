"""Controls of agents: coordinates in which a policy acts, with their mapping to and from decisions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import ArrayField, Decisions, FloatArray, Observation

if TYPE_CHECKING:
    from offloadopt.structures.backlog import BacklogProblem

Allowed = Mapping[str, NDArray[np.bool_]]
"""Masks ``[count, agents, options]`` of the options allowed for integer controls; a control without mask is free."""


class Controls(ABC):
    """Controls that agents set, and the decisions that follow from them.

    Attributes
    ----------
    fields : mapping of str to ArrayField
        Every array leads with the agents.
    """

    fields: Mapping[str, ArrayField]

    @abstractmethod
    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Compute one slot's decisions from values ``[count, agents, ...]``; row i depends on agent i's rows only."""

    @abstractmethod
    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Compute values that `decode` maps to the decisions."""

    def allowed(self, observation: Observation) -> Allowed:
        """Return the masks of the options that are allowed now; by default all values are."""
        return {}

    @property
    def entries(self) -> Mapping[str, int]:
        """Number of entries of each field for an agent."""
        return {name: math.prod(field.shape[1:]) for name, field in self.fields.items()}

    def flat(self, values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Join the fields' values to entries ``[count, agents, entries]``; inverts `by_field`."""
        return np.concatenate([values[name].reshape(*values[name].shape[:2], -1) for name in self.fields], axis=-1)

    def by_field(self, flat: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Split agents' entries ``[count, agents, entries]``, field after field, into the fields' values."""
        parts = np.split(flat, np.cumsum(list(self.entries.values()))[:-1], axis=-1)
        columns = zip(self.fields.items(), parts, strict=True)
        return {name: part.reshape(len(flat), *field.shape) for (name, field), part in columns}


class DirectControls(Controls):
    """Controls that are the decision's arrays themselves.

    Parameters
    ----------
    fields : mapping of str to ArrayField
    allowed : callable
        Masks of allowed options, given an observation.
    """

    def __init__(self, fields: Mapping[str, ArrayField], allowed: Callable[[Observation], Allowed]) -> None:
        self.fields = fields
        self._allowed = allowed

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Return the values."""
        return Decisions(values)

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Return the decisions."""
        return dict(decisions)

    def allowed(self, observation: Observation) -> Allowed:
        """Return the problem's masks."""
        return self._allowed(observation)


class EnergyControls(Controls):
    """Controls of buffers: total power relative to the green power, and its division between CPU and transmitter.

    Where both unused green energy and grid energy are charged, the optimum nearly always draws exactly the green power:
    the cost has a kink there, a line in the plane of the two powers. A network that sets the powers directly has to
    meet this line within a percent of its length in every state; ``balance`` has a whole interval for it. The power
    grows from 0 at -1 to the green power at ``-KINK``, stays constant until ``KINK``, and grows to full power at 1.

    Parameters
    ----------
    problem : BacklogProblem
    """

    KINK = 0.15
    """Half the width of the interval in which power equals the green power."""

    def __init__(self, problem: BacklogProblem[Any]) -> None:
        self._problem = problem
        agents = (problem.num_agents,)
        self.fields = {
            "balance": ArrayField(agents, low=-1.0, high=1.0),
            "local_share": ArrayField(agents, low=0.0, high=1.0),
        }

    def decode(self, observation: Observation, values: Mapping[str, NDArray[Any]]) -> Decisions:
        """Compute the two powers; power above the limit of one is given to the other."""
        device, balance = self._problem.device, values["balance"]
        green_w, full_w = self._green_w(observation), self._full_w
        below = np.clip((balance + 1.0) / (1.0 - self.KINK), 0.0, 1.0)
        above = np.clip((balance - self.KINK) / (1.0 - self.KINK), 0.0, 1.0)
        power = below * green_w + above * (full_w - green_w)
        local_w = np.minimum(values["local_share"] * power, device.local_max_w)
        offload_w = np.minimum(power - local_w, device.offload_max_w)
        return self._problem.serve(power - offload_w, offload_w)

    def encode(self, observation: Observation, decisions: Decisions) -> Mapping[str, NDArray[Any]]:
        """Compute balance and share; the middle of the interval at green power, an even share without any power."""
        local_w, offload_w = self._problem.powers(decisions)
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

    @property
    def _full_w(self) -> float:
        return self._problem.device.local_max_w + self._problem.device.offload_max_w

    def _green_w(self, observation: Observation) -> FloatArray:
        """Compute the power ``[count, agents]`` that uses the green energy, at most full power."""
        return np.minimum(self._problem.service(observation).green_j / self._problem.device.slot_s, self._full_w)
