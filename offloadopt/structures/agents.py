"""Structure of decentralised problems: each agent decides from its own observation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np

from offloadopt.core import FloatArray, Observation, Problem, ScenarioT
from offloadopt.errors import UnknownName, nearest
from offloadopt.structures.actions import Allowed, Controls, DirectControls


class AgentProblem(Problem[ScenarioT]):
    """Decentralised decisions: every array of a slot's observation and decision has the agents as its first axis.

    Agent i observes row i of the observation, so that a policy that reads single rows needs no central controller.
    """

    views: ClassVar[Mapping[str, tuple[str, ...]]]
    """Inputs of an agent's policy by name, as names of `features`; the first view is the default."""

    @abstractmethod
    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Compute features of order one, each from the agent's own row of the observation.

        A feature is one number ``[count, agents]`` or several ``[count, agents, numbers]``.
        """

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """Controls in which an agent's policy may act, by name; the first are the decision's own arrays."""
        return {"decision": DirectControls(self.decision_fields, self.allowed)}

    def allowed(self, observation: Observation) -> Allowed:
        """Return masks ``[count, agents, options]`` of options allowed for the decision's integers; by default none.

        The cost of an option that is not allowed is defined nevertheless.
        """
        return {}

    def view(self, observation: Observation, name: str) -> FloatArray:
        """Return the inputs of a view, ``[count, agents, numbers]``."""
        features = self.features(observation)
        parts = [features[feature] for feature in self.view_features(name)]
        return np.concatenate([part if part.ndim == 3 else part[..., None] for part in parts], axis=-1)

    def view_size(self, name: str) -> int:
        """Return the number of inputs in a view."""
        return int(self.view(self.empty_observation(), name).shape[-1])

    def global_view(self, observation: Observation, name: str) -> FloatArray:
        """Return the inputs ``[count, numbers]`` of a central controller; by default all views, concatenated."""
        view = self.view(observation, name)
        return view.reshape(len(view), -1)

    def empty_observation(self) -> Observation:
        """Return one observation of zeros, from which sizes of views follow."""
        return Observation({name: np.zeros((1, *field.shape)) for name, field in self.observation_fields.items()})

    def controls_named(self, name: str | None) -> Controls:
        """Return controls by name, the first for none; an unknown name is refused with the nearest known one."""
        if name is None:
            return next(iter(self.controls.values()))
        if name not in self.controls:
            raise UnknownName(f"no controls {name!r} of {self.name}; {nearest(name, self.controls)}")
        return self.controls[name]

    def view_features(self, name: str) -> tuple[str, ...]:
        """Return the features of a view; an unknown view is refused with the nearest known one."""
        if name not in self.views:
            raise UnknownName(f"no view {name!r} of {self.name}; {nearest(name, self.views)}")
        return self.views[name]
