"""Decisions of single agents as entries of a menu, for learners of discrete actions."""

from __future__ import annotations

import itertools
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, FloatArray, IntArray, Observation, Policy, Problem
from offloadopt.errors import InvalidInput, Unsupported
from offloadopt.learners.common import saved_policy as policies
from offloadopt.learners.independent.action_menu import MAX_COMBINATIONS, ActionScaling
from offloadopt.learners.independent.policy import view_name
from offloadopt.learners.sb3.exported_actor import Float32Array, Layer, layer_arrays, perceptron, read_layers
from offloadopt.structures.agents import AgentProblem
from offloadopt.structures.joint import JointProblem


class MenuProblem(ABC):  # noqa: B024
    """An `AgentProblem` or a `JointProblem`: each agent's decision is a few numbers with limits."""


MenuProblem.register(AgentProblem)  # type: ignore[type-abstract]
MenuProblem.register(JointProblem)  # type: ignore[type-abstract]


class AgentEncoding(Protocol):
    """Encoding of single agents: observations to network inputs, menu entries to decisions."""

    @property
    def features(self) -> int:
        """Numbers in an agent's observation."""

    @property
    def menu(self) -> FloatArray:
        """[entries, numbers] shares in [0, 1]: everything that an agent can decide."""

    def encode(self, observation: Observation) -> Float32Array:
        """[count, agents, features] Inputs of each agent."""

    def decode(self, entries: IntArray) -> Decisions:
        """The decisions of entries ``[count, agents]``."""


class ViewEncoding:
    """Encode agents by their own view; an entry is a combination of levels and of whole numbers.

    Parameters
    ----------
    problem : AgentProblem
    levels : int
        Even steps of each number; of whole numbers all count.
    view : str, optional
        The problem's first unless given.
    """

    def __init__(self, problem: AgentProblem[Any], levels: int, view: str | None) -> None:
        self.problem = problem
        self._view = view_name(problem, view)
        self._scaling = ActionScaling(problem)
        self.features = problem.view_size(self._view)
        self.menu = self._scaling.menu(levels)

    def encode(self, observation: Observation) -> Float32Array:
        """The problem's view."""
        return self.problem.view(observation, self._view).astype(np.float32)

    def decode(self, entries: IntArray) -> Decisions:
        """Decode menu entries within the decisions' limits."""
        return self._scaling.decode(self.menu[entries])


class StateEncoding:
    """Encode agents by their own part of a joint state and what they have in common, scaled by its factors.

    Parameters
    ----------
    problem : JointProblem
    levels : int
        Even steps of each quantity; of choices all options count.
    """

    def __init__(self, problem: JointProblem[Any], levels: int) -> None:
        self.problem = problem
        self.features = len(problem.user_factors) + len(problem.common_factors)
        grids = [np.linspace(0.0, 1.0, levels if options is None else options) for options in problem.choices]
        entries = int(np.prod([len(grid) for grid in grids]))
        if entries > MAX_COMBINATIONS:
            raise Unsupported(f"{entries} combinations of an agent's decisions; allowed: at most {MAX_COMBINATIONS}")
        self.menu = np.array(list(itertools.product(*grids)))

    def encode(self, observation: Observation) -> Float32Array:
        """The agent's numbers, then the common ones."""
        own = self.problem.user_state(observation) * self.problem.user_factors
        common = (self.problem.common_state(observation) * self.problem.common_factors)[:, None]
        shared = np.broadcast_to(common, (*own.shape[:2], common.shape[-1]))
        return np.concatenate([own, shared], axis=-1).astype(np.float32)

    def decode(self, entries: IntArray) -> Decisions:
        """Decode menu entries as coordinates."""
        return self.problem.decode(self.menu[entries])


def agent_encoding(problem: Problem[Any], levels: int, view: str | None = None) -> AgentEncoding:
    """Encoding of a `MenuProblem`'s agents, refused where decisions have no limits or too many combinations."""
    if isinstance(problem, AgentProblem):
        return ViewEncoding(problem, levels, view)
    if not isinstance(problem, JointProblem):
        raise Unsupported(f"problem {problem.name!r} has no agents with decisions of their own; it needs a MenuProblem")
    if view is not None:
        raise Unsupported(f"view = {view!r}: the agents of {problem.name!r} have one view; allowed: none")
    return StateEncoding(problem, levels)


class MenuPolicy(Policy):
    """One network, the same for every agent: each takes the entry of the largest predicted value.

    Parameters
    ----------
    problem : MenuProblem
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
        return self.encoding.decode(self.entries(observation)), memory

    def save(self, folder: Path) -> None:
        """Write the network and the menu as safetensors + JSON."""
        policies.save(folder, self.origin, {"menu": self.encoding.menu, **layer_arrays(self.layers)})

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a network that fits an agent's observation and menu; any number of agents is allowed."""
        origin, arrays = policies.read(folder, problem)
        encoding = agent_encoding(problem, *menu_settings(origin.settings))
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


def menu_settings(settings: Mapping[str, Any]) -> tuple[int, str | None]:
    """Levels and view among a learner's settings."""
    return int(settings["levels"]), settings.get("view")


def _relu(signal: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(signal, 0.0)
