"""Saved policies: arrays in ``weights.safetensors``, everything else in ``policy.json``; loading executes no code.

Any policy, a plugin's too, that is written by `save` and whose class reads it with `read` can be loaded by its
folder's name alone: `load_policy` finds the class through the learner that ``policy.json`` names.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from offloadopt import files, folders, registry
from offloadopt.core import Instances, Learner, Policy, Problem, Progress, Settings, Solutions
from offloadopt.errors import DamagedFile, InvalidInput, UnknownName, Unsupported
from offloadopt.formats.reading import digest, refuse_damage
from offloadopt.learners.common.torch_utils import Arrays, encode_arrays, read_arrays
from offloadopt.version import __version__

FORMAT = 3
DESCRIPTION = "policy.json"
WEIGHTS = "weights.safetensors"
LIBRARIES = ("numpy", "safetensors", "torch")
"""Libraries whose versions are stored, since weights may depend on them."""


class Origin(Settings):
    """Learner, problem and training of a policy."""

    learner: str
    settings: Mapping[str, Any]
    """The learner's hyper-parameters."""
    problem: str
    scenario: Mapping[str, Any]
    training: Mapping[str, int | float | None]
    """What was spent: ``seed``, ``steps`` done, number of ``demonstrations``; certified gaps of their expert."""

    @model_validator(mode="after")
    def _nothing_is_negative(self) -> Self:
        for name, value in self.training.items():
            if value is not None and value < 0:
                raise ValueError(f"training.{name} = {value}; allowed: 0 or more")
        return self

    @classmethod
    def of(cls, learner: Learner, problem: Problem[Any], **training: float | None) -> Self:
        """Create the origin of a policy that ``learner`` trained for ``problem``."""
        return cls(
            learner=learner.name,
            settings=learner.model_dump(mode="json"),
            problem=problem.name,
            scenario=problem.scenario.model_dump(mode="json"),
            training=training,
        )


class Description(Settings):
    """Contents of ``policy.json``, which is stored together with the SHA-256 of these fields."""

    format_version: int
    origin: Origin
    shapes: Mapping[str, tuple[int, ...]]
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    versions: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's description; raise an error if it is damaged, foreign or of another format."""
        path = folder / DESCRIPTION
        if not path.is_file():
            raise InvalidInput(f"{folder} holds no saved policy: there is no {DESCRIPTION} in it")
        return files.read_sealed(path, FORMAT, cls, what="does not describe a policy", remedy="train the policy again")


def save(folder: Path | str, origin: Origin, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write a policy. The description comes last, so that an interrupted save is never read as a policy."""
    data = encode_arrays(weights)
    folder = folders.make_folder(folder)
    files.write_atomic(folder / WEIGHTS, data)
    description = Description(
        format_version=FORMAT,
        origin=origin,
        shapes={name: weights[name].shape for name in sorted(weights)},
        weights_sha256=digest(data),
        versions=_versions(),
    )
    files.write_sealed(folder / DESCRIPTION, description)


def read(folder: Path | str, problem: Problem[Any]) -> tuple[Origin, Arrays]:
    """Read a saved policy's origin and weights after checking their SHA-256.

    A policy for another scenario is accepted: its class checks whether its shape fits.

    Raises
    ------
    DamagedFile
        If a file is missing, changed or cut short.
    InvalidInput
        If the folder holds no policy, or one for another problem.
    """
    folder = Path(folder)
    description = Description.read(folder)
    if description.origin.problem != problem.name:
        made_for = description.origin.problem
        raise InvalidInput(f"{folder} holds a policy for problem {made_for!r}, not {problem.name!r}")
    return description.origin, _checked_weights(folder / WEIGHTS, description)


class TrainedPolicy(Policy):
    """Policy that decides by a network, its actor, whose weights are all that training changes.

    Attributes
    ----------
    serves : class
        Structure of the problems that it decides.
    problem : Problem
    actor : Module
    origin : Origin
    """

    serves: ClassVar[type[Problem[Any]]]

    def __init__(self, problem: Any, actor: Any, origin: Origin) -> None:
        self.problem = problem
        self.actor = actor.eval()
        self.origin = origin

    def run(
        self, problem: Problem[Any], instances: Instances, *, seed: int = 0, progress: Progress | None = None
    ) -> Solutions:
        """Run the policy over the horizon and score its decisions; instances of another shape are refused."""
        own, given = self.problem.observation_fields, problem.observation_fields
        if {name: field.shape for name, field in own.items()} != {name: field.shape for name, field in given.items()}:
            raise InvalidInput(f"the policy was loaded for {self.problem!r}, not {problem!r}; load it for that problem")
        return super().run(problem, instances, seed=seed, progress=progress)

    @classmethod
    @abstractmethod
    def untrained(cls, problem: Any, origin: Origin) -> Self:
        """Create a policy of this origin for a problem, with any weights."""

    def save(self, folder: Path) -> None:
        """Write the actor's weights as safetensors, and the policy's origin as JSON."""
        save(folder, self.origin, {name: value.numpy() for name, value in self.actor.state_dict().items()})

    @classmethod
    def load(cls, folder: Path, problem: Problem[Any]) -> Self:
        """Read a saved policy for any problem that its actor fits.

        Raises
        ------
        DamagedFile, InvalidInput
            As `read`; also if the weights have other names or shapes than this problem's actor.
        Unsupported
            If the problem has not the structure that the policy serves.
        """
        origin, weights = read(folder, problem)
        if not isinstance(problem, cls.serves):
            serves = cls.serves.__name__
            raise Unsupported(f"{folder} holds a policy for a {serves}; problem {problem.name!r} is none")
        with torch.device("meta"):  # networks without memory, whose sizes an edited file may have made huge
            _require_fit(cls.untrained(problem, origin).actor, weights, folder, problem)
        policy = cls.untrained(problem, origin)
        policy.actor.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        return policy


def _require_fit(actor: nn.Module, weights: Arrays, folder: Path, problem: Problem[Any]) -> None:
    """Refuse weights of other names, shapes or types than those of an actor."""
    wanted = actor.state_dict()
    if wanted.keys() != weights.keys():
        raise DamagedFile(f"{folder}: arrays {', '.join(sorted(weights))} are not those of its learner's policies")
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            raise InvalidInput(
                f"{folder} holds a policy with {name} {list(weights[name].shape)}; this {problem.name} needs "
                f"{list(value.shape)}"
            )
        found = torch.from_numpy(weights[name]).dtype
        if value.dtype != found:
            raise DamagedFile(f"{folder / WEIGHTS} holds {name} as {found}; allowed: {value.dtype}")


def load_policy(folder: Path | str, problem: Problem[Any]) -> Policy:
    """Load a policy of any learner from a folder, for instances of ``problem``.

    Raises
    ------
    DamagedFile, InvalidInput
        As `read`; also if the learner that made it is not installed, or the policy does not fit the problem's shape.
    """
    folder = Path(folder)
    origin = Description.read(folder).origin
    try:
        learner: type[Learner] = registry.get("learners", origin.learner)
    except UnknownName as error:
        raise UnknownName(f"{folder} holds a policy of a learner that is not installed: {error}") from None
    with refuse_damage(folder / DESCRIPTION, "does not describe a policy"):
        settings = dict(origin.settings)
        if learner(**settings).model_dump(mode="json") != settings:
            raise InvalidInput(f"its settings are not all those of {learner.__name__}")
    return learner.policy_type.load(folder, problem)


def _checked_weights(path: Path, description: Description) -> Arrays:
    weights = read_arrays(path, description.weights_sha256, DESCRIPTION)
    shapes = {name: array.shape for name, array in weights.items()}
    if shapes != dict(description.shapes):
        raise DamagedFile(f"{path} holds other arrays than {DESCRIPTION} says")
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise DamagedFile(f"{path} holds NaN or infinite values in {name!r}")
    return weights


def _versions() -> dict[str, str]:
    found = {"offloadopt": __version__, "python": python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
