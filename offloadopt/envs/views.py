"""What an agent sees of a problem and how its actions are read, in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gymnasium import spaces

from offloadopt.core import Decisions, FloatArray, Observation, Problem
from offloadopt.errors import InvalidInput, UnknownName, nearest


class View(Protocol):
    """The two translations between a problem and an agent. Spaces are those of one instance in one slot."""

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """What an observation looks like."""

    @property
    def action_space(self) -> spaces.Space[Any]:
        """What an action looks like."""

    def observe(self, observation: Observation) -> Any:
        """What the agents see: new arrays ``[count, ...]`` (or a mapping of such) of the observation space."""

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """The decisions that actions ``[count, ...]`` stand for; actions outside their space are refused."""


class ControlView(View, Protocol):
    """A `View` as the libraries want it: a flat vector in, numbers in [-1, 1] or choices out."""

    @property
    def observation_space(self) -> spaces.Box:
        """A vector."""

    @property
    def action_space(self) -> spaces.Box | spaces.MultiDiscrete:
        """From -1 to 1, or one of several options for each entry, counted from 0."""

    @property
    def statistics(self) -> Mapping[str, FloatArray]:
        """What besides the problem is needed to see the same again."""

    def restored(self, statistics: Mapping[str, FloatArray]) -> ControlView:
        """The same view with the statistics that a policy was trained with."""


class FieldView:
    """The problem's own arrays: nothing is hidden, nothing is translated."""

    def __init__(self, problem: Problem[Any]) -> None:
        self._fields = problem.decision_fields
        self.observation_space = problem.observation_space
        self.action_space = problem.decision_space

    def observe(self, observation: Observation) -> dict[str, Any]:
        """Copies of all arrays that may be observed."""
        spaces_of = self.observation_space.spaces
        return {name: observation[name].astype(space.dtype) for name, space in spaces_of.items()}

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """The action's arrays, checked by name, shape and limits."""
        if not isinstance(action, Mapping):
            raise InvalidInput(f"action is a {type(action).__name__}; allowed: a dict of {', '.join(self._fields)}")
        for name in action:
            if name not in self._fields:
                raise UnknownName(f"unknown action array {name!r}; {nearest(name, self._fields)}")
        for name in self._fields:
            if name not in action:
                raise InvalidInput(f"action array {name!r} is missing; needed: {', '.join(self._fields)}")
        checked = {name: spec.check(name, action[name], 1) for name, spec in self._fields.items()}
        for values in checked.values():
            check_count(len(values), observation.count)
        return Decisions(checked)


def check_count(actions: int, instances: int) -> None:
    """Refuse a batch of actions that is not one for each instance."""
    if actions != instances:
        raise InvalidInput(f"actions for {actions} instances; allowed: {instances}, one for each")


def each(function: Callable[[Any], Any], values: Any) -> Any:
    """A function of arrays, applied to an array or to each of several named ones."""
    if isinstance(values, Mapping):
        return {name: function(value) for name, value in values.items()}
    return function(values)
