"""Actor exported from Stable-Baselines3: a multi-layer perceptron in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from offloadopt.core import Decisions, Observation, Policy, Problem
from offloadopt.envs.control import control_view
from offloadopt.envs.views import ControlView
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.learners.common import saved_policy as policies

Float32Array = NDArray[np.float32]
Layer = tuple[Float32Array, Float32Array]
"""Weights ``[out, in]`` and biases ``[out]``."""


class Actor(Policy):
    """Exported network from all measurements to actions, decoded by its view.

    Where the view's actions are choices, the network has an output for each option of each choice, and the largest is
    taken.

    It is central: its input is every server's measurements, or every agent's view.

    Parameters
    ----------
    problem : Problem
    view : ControlView
        With the statistics that the network was trained with.
    layers : sequence of (weights [out, in], biases [out])
    origin : Origin

    Attributes
    ----------
    continuous : bool
        Whether it decides whole numbers by shares too.
    activation : function
        Activation of the hidden layers.
    squash : function
        Converts the last layer's outputs to numbers in [-1, 1].
    """

    name = "actor"
    continuous: ClassVar[bool] = False
    activation: ClassVar[staticmethod[[Float32Array], Float32Array]]
    squash: ClassVar[staticmethod[[Float32Array], Float32Array]]

    def __init__(
        self, problem: Problem[Any], view: ControlView, layers: Sequence[Layer], origin: policies.Origin
    ) -> None:
        self.problem = problem
        self.view = view
        self.layers = list(layers)
        self.origin = origin

    def actions(self, observation: Observation) -> NDArray[Any]:
        """Actions ``[count, ...]`` of the view's action space: scores, shares of decisions' ranges, or options."""
        space, outputs = (
            self.view.action_space,
            perceptron(self.layers, self.activation, self.view.observe(observation)),
        )
        if isinstance(space, spaces.MultiDiscrete):
            by_choice = np.split(outputs, np.cumsum(space.nvec)[:-1], axis=1)
            return np.stack([options.argmax(axis=1) for options in by_choice], axis=1)
        return self.squash(outputs).reshape(len(outputs), *space.shape)

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Decode the actions."""
        return self.view.decode(observation, self.actions(observation)), memory

    def save(self, folder: Path) -> None:
        """Write the network and the view's statistics as safetensors + JSON."""
        policies.save(folder, self.origin, {**self.view.statistics, **layer_arrays(self.layers)})

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a network that fits what is measured and decided; another scenario of that shape is allowed."""
        origin, arrays = policies.read(folder, problem)
        view = control_view(problem, origin.settings.get("view"), continuous=cls.continuous)
        layers = read_layers(folder, arrays, view.statistics)
        inputs, outputs = layers[0][0].shape[1], len(layers[-1][1])
        measured, decided = spaces.flatdim(view.observation_space), spaces.flatdim(view.action_space)
        alike = all(
            (arrays[name].shape, arrays[name].dtype) == (now.shape, now.dtype) for name, now in view.statistics.items()
        )
        if not alike or (inputs, outputs) != (measured, decided):
            raise InvalidInput(
                f"{folder} holds a policy with {inputs} inputs and {outputs} outputs; this {problem.name} has "
                f"{measured} and {decided}"
            )
        return cls(problem, view.with_statistics(arrays), layers, origin)


def perceptron(
    layers: Sequence[Layer], activation: Callable[[Float32Array], Float32Array], signal: Float32Array
) -> Float32Array:
    """The last layer's weighted sums ``[..., out]`` for signals ``[..., in]``."""
    for weights, biases in layers[:-1]:
        signal = activation(signal @ weights.T + biases)
    weights, biases = layers[-1]
    return signal @ weights.T + biases


def layer_arrays(layers: Sequence[Layer]) -> dict[str, NDArray[Any]]:
    """The layers by name, as they are saved."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, (weights, biases) in enumerate(layers):
        arrays |= {f"weights.{number}": weights, f"biases.{number}": biases}
    return arrays


def read_layers(folder: Path, arrays: Mapping[str, NDArray[Any]], statistics: Mapping[str, Any]) -> list[Layer]:
    """The layers that were saved beside the statistics, each fitting the one before."""
    try:
        for name in statistics:
            arrays[name]
        width = arrays["weights.0"].shape[1]
        layers = []
        for number in range((len(arrays) - len(statistics)) // 2):
            weights, biases = arrays[f"weights.{number}"], arrays[f"biases.{number}"]
            if weights.shape != (len(biases), width) or {weights.dtype, biases.dtype} != {np.dtype(np.float32)}:
                raise ValueError(f"layer {number} does not fit the one before")
            layers.append((weights, biases))
            width = len(biases)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DamagedFile(f"{folder} holds no network of an actor: {error}") from None
    return layers
