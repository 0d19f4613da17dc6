"""Structure of problems whose agents decide by themselves, each from its own view."""

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
    """Agents that decide for themselves: every array of a slot's observation and decision leads with the agents.

    What agent i may know is row i of the observation, so that whoever reads rows alone decides without a centre.
    """

    views: ClassVar[Mapping[str, tuple[str, ...]]]
    """What an agent's policy may read, as names of `features`; the first view is the paper's."""

    @abstractmethod
    def features(self, observation: Observation) -> Mapping[str, FloatArray]:
        """Numbers of order one, each from the agent's own row of the observation.

        A feature is one number ``[count, agents]`` or several ``[count, agents, numbers]``.
        """

    @cached_property
    def controls(self) -> Mapping[str, Controls]:
        """In what terms an agent's policy may decide; the first is the decision itself."""
        return {"decision": DirectControls(self.decision_fields, self.allowed)}

    def allowed(self, observation: Observation) -> Allowed:
        """Which options ``[count, agents, options]`` of the decision's whole numbers can be chosen; here all.

        A problem still says what an option costs that is chosen all the same.
        """
        return {}

    def view(self, observation: Observation, name: str) -> FloatArray:
        """[count, agents, numbers] of a view."""
        features = self.features(observation)
        seen = [features[feature] for feature in self.view_features(name)]
        return np.concatenate([part if part.ndim == 3 else part[..., None] for part in seen], axis=-1)

    def view_size(self, name: str) -> int:
        """Numbers in a view."""
        return int(self.view(self.empty_observation(), name).shape[-1])

    def global_view(self, observation: Observation, name: str) -> FloatArray:
        """[count, numbers] what a centre sees that sees all agents' views; here these in a row."""
        view = self.view(observation, name)
        return view.reshape(len(view), -1)

    def empty_observation(self) -> Observation:
        """An observation of zeros, to see what views look like."""
        return Observation({name: np.zeros((1, *field.shape)) for name, field in self.observation_fields.items()})

    def controls_named(self, name: str | None) -> Controls:
        """The controls of a name, the decision itself for none; an unknown one is refused with the nearest known."""
        if name is None:
            return next(iter(self.controls.values()))
        if name not in self.controls:
            raise UnknownName(f"no controls {name!r} of {self.name}; {nearest(name, self.controls)}")
        return self.controls[name]

    def view_features(self, name: str) -> tuple[str, ...]:
        """The features of a view; an unknown one is refused with the nearest known one."""
        if name not in self.views:
            raise UnknownName(f"no view {name!r} of {self.name}; {nearest(name, self.views)}")
        return self.views[name]
