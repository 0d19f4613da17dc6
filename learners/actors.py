"""A trained actor taken out of the library that trained it: a plain multi-layer perceptron in NumPy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offloadopt.core import Decisions, Observation, Policy, Problem
from offloadopt.envs.scores import ScoreView
from offloadopt.errors import DamagedFile, InvalidInput, Unsupported
from offloadopt.learners import policies
from offloadopt.structure import AssignmentProblem

Singles = NDArray[np.float32]
Layer = tuple[Singles, Singles]
"""Weights ``[out, in]`` and biases ``[out]``."""


class Actor(Policy):
    """A network from all servers' measurements to a score for each server and task, read as `ScoreView` says.

    Unlike the agents of an `EnsemblePolicy` it sees every server's measurements at once.

    Parameters
    ----------
    problem : AssignmentProblem
    view : ScoreView
        With the statistics that the network was trained with.
    layers : sequence of (weights [out, in], biases [out])
    origin : Origin
    """

    name = "actor"

    def __init__(
        self, problem: AssignmentProblem[Any], view: ScoreView, layers: Sequence[Layer], origin: policies.Origin
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
        """The last layer's outputs as scores in [-1, 1]."""

    def scores(self, observation: Observation) -> Singles:
        """Scores ``[count, servers, tasks]``."""
        signal = self.view.observe(observation)
        for weights, biases in self.layers[:-1]:
            signal = self.activation(signal @ weights.T + biases)
        weights, biases = self.layers[-1]
        scores = self.squash(signal @ weights.T + biases)
        return scores.reshape(len(scores), self.problem.servers, self.problem.tasks)

    def act(self, observation: Observation, memory: Any = None) -> tuple[Decisions, Any]:
        """Vote by the scores, then allocate."""
        return self.view.decide(observation, self.scores(observation)), memory

    def save(self, folder: Path) -> None:
        """Write the network and the view's statistics as safetensors + JSON."""
        arrays: dict[str, NDArray[Any]] = {"center": self.view.center, "scale": self.view.scale}
        for number, (weights, biases) in enumerate(self.layers):
            arrays |= {f"weights.{number}": weights, f"biases.{number}": biases}
        policies.save(folder, self.origin, arrays)

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a network that fits the problem's tasks and servers; another scenario of that shape is allowed."""
        origin, arrays = policies.read(folder, problem)
        if not isinstance(problem, AssignmentProblem):
            raise Unsupported(f"{folder} scores servers; problem {problem.name!r} is no AssignmentProblem")
        layers = _layers(folder, arrays)
        inputs, outputs = layers[0][0].shape[1], layers[-1][0].shape[0]
        measured = problem.server_view(problem.sample(1, 0)).shape[1:]
        if arrays["center"].shape != measured or outputs != problem.servers * problem.tasks:
            raise InvalidInput(
                f"{folder} holds a policy with {inputs} measurements and {outputs} scores; this {problem.name} has "
                f"{measured[0]} x {measured[1]} and {problem.servers} x {problem.tasks}"
            )
        return cls(problem, ScoreView(problem, arrays["center"], arrays["scale"]), layers, origin)


def _layers(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> list[Layer]:
    """The layers of what `Actor.save` wrote, each fitting the one before."""
    try:
        width = arrays["center"].size
        if arrays["scale"].shape != arrays["center"].shape:
            raise ValueError("center and scale differ in shape")
        layers = []
        for number in range((len(arrays) - 2) // 2):
            weights, biases = arrays[f"weights.{number}"], arrays[f"biases.{number}"]
            if weights.shape != (len(biases), width):
                raise ValueError(f"layer {number} does not fit the one before")
            layers.append((weights, biases))
            width = len(biases)
        if not layers:
            raise ValueError("it has no layers")
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedFile(f"{folder} holds no network of an actor: {error}") from None
    return layers
