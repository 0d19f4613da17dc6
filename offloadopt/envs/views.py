"""Views: translations from a problem's observations and to its decisions, in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gymnasium import spaces

from offloadopt.core import Decisions, FloatArray, Observation, Problem
from offloadopt.errors import InvalidInput, UnknownName, nearest


class View(Protocol):
    """Translation of observations and actions between a problem and a learner.

    Spaces are those of one instance in one slot.
    """

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Space of one observation."""

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Space of one action."""

    def observe(self, observation: Observation) -> Any:
        """Convert an observation to new arrays ``[count, ...]`` (or a mapping of such) of the observation space."""

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """Convert actions ``[count, ...]`` to decisions; actions outside their space are refused."""


class ControlView(View, Protocol):
    """A `View` with flat vectors: actions are numbers in [-1, 1], or one option for each entry."""

    @property
    def observation_space(self) -> spaces.Box:
        """Space of flat vectors."""

    @property
    def action_space(self) -> spaces.Box | spaces.MultiDiscrete:
        """Numbers in [-1, 1], or one of several options for each entry, counted from 0."""

    @property
    def statistics(self) -> Mapping[str, FloatArray]:
        """Arrays that, besides the problem, determine the view: they are saved with a policy."""

    def encode(self, observation: Observation, decisions: Decisions) -> Any:
        """Convert decisions to the nearest actions ``[count, ...]``."""

    def with_statistics(self, statistics: Mapping[str, FloatArray]) -> ControlView:
        """Create the same view with other statistics, for example those that a policy was trained with."""


class FieldView:
    """View with the problem's own observation and decision arrays, as dictionaries."""

    def __init__(self, problem: Problem[Any]) -> None:
        self._fields = problem.decision_fields
        self.observation_space = problem.observation_space
        self.action_space = problem.decision_space

    def observe(self, observation: Observation) -> dict[str, Any]:
        """Return copies of all observation arrays."""
        by_name = self.observation_space.spaces
        return {name: observation[name].astype(space.dtype) for name, space in by_name.items()}

    def decode(self, observation: Observation, action: Any) -> Decisions:
        """Check the action's arrays by name, shape and limits, and return them as decisions."""
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
    """Refuse a batch whose number of actions is not that of instances."""
    if actions != instances:
        raise InvalidInput(f"actions for {actions} instances; allowed: {instances}, one for each")


def map_arrays(function: Callable[[Any], Any], values: Any) -> Any:
    """Apply a function to an array, or to each array of a mapping."""
    if isinstance(values, Mapping):
        return {name: function(value) for name, value in values.items()}
    return function(values)
