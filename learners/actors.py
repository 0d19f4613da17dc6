"""A trained actor taken out of the library that trained it: a plain multi-layer perceptron in NumPy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, Observation, Policy, Problem
from offloadopt.envs.control import control_view
from offloadopt.envs.views import ControlView
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.learners import policies

Singles = NDArray[np.float32]
Layer = tuple[Singles, Singles]
"""Weights ``[out, in]`` and biases ``[out]``."""


class Actor(Policy):
    """A network from all that is measured to actions in [-1, 1], read as its view says.

    It is a centre: it sees every server's measurements, or every agent's view, at once.

    Parameters
    ----------
    problem : Problem
    view : ControlView
        With the statistics that the network was trained with.
    layers : sequence of (weights [out, in], biases [out])
    origin : Origin
    """

    name = "actor"

    def __init__(
        self, problem: Problem[Any], view: ControlView, layers: Sequence[Layer], origin: policies.Origin
    ) -> None:
        self.problem = problem
        self.view = view
        self.layers = list(layers)
        self.origin = origin

    @staticmethod
    @abstractmethod
    def activation(signal: Singles) -> Singles:
        """What the hidden layers do to their weighted sums."""

    @staticmethod
    @abstractmethod
    def squash(outputs: Singles) -> Singles:
        """The last layer's outputs as actions in [-1, 1]."""

    def actions(self, observation: Observation) -> Singles:
        """Actions ``[count, ...]`` of the view's action space: scores, or shares of decisions' ranges."""
        signal = self.view.observe(observation)
        for weights, biases in self.layers[:-1]:
            signal = self.activation(signal @ weights.T + biases)
        weights, biases = self.layers[-1]
        actions = self.squash(signal @ weights.T + biases)
        return actions.reshape(len(actions), *self.view.action_space.shape)

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """What the actions stand for."""
        return self.view.decide(observation, self.actions(observation)), memory

    def save(self, folder: Path) -> None:
        """Write the network and the view's statistics as safetensors + JSON."""
        arrays: dict[str, NDArray[Any]] = dict(self.view.statistics)
        for number, (weights, biases) in enumerate(self.layers):
            arrays |= {f"weights.{number}": weights, f"biases.{number}": biases}
        policies.save(folder, self.origin, arrays)

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a network that fits what is measured and decided; another scenario of that shape is allowed."""
        origin, arrays = policies.read(folder, problem)
        view = control_view(problem, origin.settings.get("view"))
        layers = _layers(folder, arrays, view.statistics)
        inputs, outputs = layers[0][0].shape[1], len(layers[-1][1])
        measured, decided = view.observation_space.shape, view.action_space.shape
        alike = all(arrays[name].shape == now.shape for name, now in view.statistics.items())
        if not alike or (inputs,) != measured or outputs != np.prod(decided):
            raise InvalidInput(
                f"{folder} holds a policy with {inputs} inputs and {outputs} outputs; this {problem.name} has "
                f"{measured[0]} and {' x '.join(map(str, decided))}"
            )
        return cls(problem, view.restored(arrays), layers, origin)


def _layers(folder: Path, arrays: Mapping[str, NDArray[Any]], statistics: Mapping[str, Any]) -> list[Layer]:
    """The layers of what `Actor.save` wrote beside the statistics, each fitting the one before."""
    try:
        for name in statistics:
            arrays[name]
        width = arrays["weights.0"].shape[1]
        layers = []
        for number in range((len(arrays) - len(statistics)) // 2):
            weights, biases = arrays[f"weights.{number}"], arrays[f"biases.{number}"]
            if weights.shape != (len(biases), width):
                raise ValueError(f"layer {number} does not fit the one before")
            layers.append((weights, biases))
            width = len(biases)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DamagedFile(f"{folder} holds no network of an actor: {error}") from None
    return layers
