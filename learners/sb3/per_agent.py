"""Decisions of single agents as entries of a menu, for learners of discrete actions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, IntArray, Observation, Policy, Problem
from offloadopt.envs.agent_decisions import as_agent_problem
from offloadopt.errors import InvalidInput
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.common.demonstrations import expressed
from offloadopt.learners.independent.policy import view_name
from offloadopt.learners.sb3.exported_actor import Float32Array, Layer, layer_arrays, perceptron, read_layers
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.levels import QuantisedControls


class AgentEncoding:
    """Encoding of single agents: views as network inputs, entries of a menu as decisions.

    Parameters
    ----------
    problem : AgentProblem
    levels : int
        Equidistant levels of each number; of integers all options count.
    view, controls : str, optional
        Names; the problem's first ones unless given.
    """

    def __init__(self, problem: AgentProblem[Any], levels: int, view: str | None = None, controls: str | None = None):
        self.problem = problem
        self._view = view_name(problem, view)
        self._controls = QuantisedControls(problem.controls_named(controls), levels)
        self.features = problem.view_size(self._view)
        self.menu = self._controls.menu

    @classmethod
    def of(cls, problem: Problem[Any], settings: Mapping[str, Any]) -> Self:
        """Create the encoding that a learner with these settings uses for a problem."""
        return cls(as_agent_problem(problem), settings["levels"], settings["view"], settings["controls"])

    def encode(self, observation: Observation) -> Float32Array:
        """Return the agents' views ``[count, agents, features]``."""
        return self.problem.view(observation, self._view).astype(np.float32)

    def entries(self, observation: Observation, decisions: Decisions) -> IntArray:
        """Entries ``[count, agents]`` nearest to decisions; refuse decisions that cannot be expressed."""
        return self._controls.entry(expressed(self._controls, observation, decisions))

    def decode(self, observation: Observation, entries: IntArray) -> Decisions:
        """Compute the decisions of entries ``[count, agents]``."""
        return self._controls.choose(observation, entries)


class MenuPolicy(Policy):
    """One network, the same for every agent: each takes the entry of the largest predicted value.

    Parameters
    ----------
    problem : AgentProblem
    encoding : AgentEncoding
    layers : sequence of (weights [out, in], biases [out])
        From an agent's observation to the value of each entry, with ReLU between them.
    origin : Origin
    """

    name = "menu"

    def __init__(
        self, problem: Problem[Any], encoding: AgentEncoding, layers: list[Layer], origin: policies.Origin
    ) -> None:
        self.problem = problem
        self.encoding = encoding
        self.layers = layers
        self.origin = origin

    def entries(self, observation: Observation) -> IntArray:
        """Entries ``[count, agents]`` of the largest predicted value."""
        return np.asarray(perceptron(self.layers, _relu, self.encoding.encode(observation)).argmax(axis=-1))

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decode the entries."""
        return self.encoding.decode(observation, self.entries(observation)), memory

    def save(self, folder: Path) -> None:
        """Write the network and the menu as safetensors + JSON."""
        policies.save(folder, self.origin, {"menu": self.encoding.menu, **layer_arrays(self.layers)})

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a network that fits an agent's observation and menu; any number of agents is allowed."""
        origin, arrays = policies.read(folder, problem)
        encoding = AgentEncoding.of(problem, origin.settings)
        layers = read_layers(folder, arrays, {"menu": encoding.menu})
        inputs, outputs = layers[0][0].shape[1], len(layers[-1][1])
        if (inputs, outputs) != (encoding.features, len(encoding.menu)) or not np.array_equal(
            arrays["menu"], encoding.menu
        ):
            raise InvalidInput(
                f"{folder} holds a policy of agents with {inputs} features and {outputs} entries on the menu; those of "
                f"this {problem.name} have {encoding.features} and {len(encoding.menu)}"
            )
        return cls(problem, encoding, layers, origin)


def _relu(signal: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(signal, 0.0)
