"""Checkpoints: the state of a training in a folder, from which it continues as if it had never been interrupted.

``checkpoint.json`` names the training (learner, settings, problem, seed, budget) and the one safetensors file that
holds its latest state. That file is written first and ``checkpoint.json`` replaced after it, so that a process killed
at any moment leaves one complete state. Reading a checkpoint executes no code from it.

The state of an object are some of its attributes, which its class names (`Stateful`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from offloadopt import files
from offloadopt.core import LONGEST_BUDGET, Budget, Learner, Problem, Settings
from offloadopt.errors import OutputExists
from offloadopt.folders import FolderFormat
from offloadopt.formats.reading import digest, refuse_damage
from offloadopt.learners.common.torch_utils import Arrays, encode_arrays, read_arrays, with_prefix
from offloadopt.settings import difference

FORMAT = 3
INDEX = "checkpoint.json"
STATES = ("state-0.safetensors", "state-1.safetensors")
"""Names of the latest state and of the next one, by turns."""
FOLDER = FolderFormat(
    {INDEX: r'\{\s*"format_version": \d+,\s*"training": '},
    (r"state-[01]\.safetensors", r"kept-[a-z0-9-]+\.safetensors"),
)


class Named(Protocol):
    """Object that can be represented by named arrays."""

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Arrays by name."""


class Stored(Settings):
    """Name of a file of arrays and its SHA-256."""

    file: str = Field(pattern=r"^[a-z0-9-]+\.safetensors$")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def read(self, folder: Path) -> Arrays:
        """Read the arrays after checking the file's SHA-256."""
        return read_arrays(folder / self.file, self.sha256, INDEX)

    @classmethod
    def write(cls, folder: Path, file: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Write arrays atomically."""
        data = encode_arrays(arrays)
        files.write_atomic(folder / file, data)
        return cls(file=file, sha256=digest(data))


class Index(Settings):
    """Contents of ``checkpoint.json``, which is stored together with the SHA-256 of these fields."""

    format_version: int = FORMAT
    training: Mapping[str, Any]
    """All inputs that determine the result."""
    iteration: int = Field(default=0, ge=0, le=LONGEST_BUDGET)
    step: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    state: Stored | None = None
    kept: Mapping[str, Stored] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.state is None and (self.iteration or self.step):
            raise ValueError(f"iteration = {self.iteration}, step = {self.step}; allowed without a state: 0")
        if self.state is not None and self.state.file not in STATES:
            raise ValueError(f"state.file = {self.state.file!r}; allowed: {' or '.join(STATES)}")
        for name, stored in self.kept.items():
            if stored.file != f"kept-{name}.safetensors":
                raise ValueError(f"kept.{name}.file = {stored.file!r}; allowed: kept-{name}.safetensors")
        return self


class Checkpoint:
    """Folder of one training's state.

    Attributes
    ----------
    iteration, step : int
        Iterations and decisions done when the state was written.
    seconds : float
        Seconds spent on them.
    """

    def __init__(self, folder: Path, index: Index) -> None:
        self._folder = folder
        self._index = index

    @classmethod
    def open(cls, folder: Path, training: Mapping[str, Any]) -> Self:
        """Open a new or empty folder, or the folder of the same training.

        Parameters
        ----------
        training : mapping
            JSON values that must be the same for a training to be continued.

        Raises
        ------
        OutputExists
            If the folder holds something else, or another training; the message names what differs.
        DamagedFile
            If ``checkpoint.json`` was changed or cut short.
        """
        training = json.loads(json.dumps(training, sort_keys=True))
        with FOLDER.opened(folder, alone=True):
            if not (folder / INDEX).exists():
                checkpoint = cls(folder, Index(training=training))
                checkpoint._write(checkpoint._index)
                return checkpoint
        what, remedy = "does not describe a training", "train again in a new folder"
        index = files.read_sealed(folder / INDEX, FORMAT, Index, what=what, remedy=remedy)
        differ = difference(index.training, training)
        if differ:
            raise OutputExists(f"{folder} holds another training: {differ}; choose another folder")
        return cls(folder, index)

    @classmethod
    def of(
        cls,
        folder: Path | None,
        learner: Learner,
        problem: Problem[Any],
        budget: Budget | None,
        seed: int,
        examples: Named | None,
    ) -> Self | None:
        """Open the checkpoint of a training with these inputs; return ``None`` without a folder.

        Parameters
        ----------
        examples : with arrays, optional
            Training data.
        """
        if folder is None:
            return None
        data = None if examples is None else digest(encode_arrays(examples.arrays()))
        return cls.open(folder, inputs(learner, problem, budget, seed) | {"examples_sha256": data})

    @property
    def iteration(self) -> int:
        """Iterations done when the state was written, 0 if none was."""
        return self._index.iteration

    @property
    def step(self) -> int:
        """Decisions done when the state was written, 0 if none was."""
        return self._index.step

    @property
    def seconds(self) -> float:
        """Seconds spent on those steps."""
        return self._index.seconds

    def read(self) -> Arrays:
        """Read the latest state; empty if none was written."""
        return {} if self._index.state is None else self._index.state.read(self._folder)

    def restore(self, training: Stateful) -> bool:
        """Restore the latest state of a training, and return whether there was one.

        Raises
        ------
        DamagedFile
            If the arrays are not those that this training writes: others by name, shape or type, not finite, or numbers
            that it cannot have. Their SHA-256 alone says nothing, since who edits them can renew it.
        """
        if self._index.state is None:
            return False
        arrays = self.read()
        with refuse_damage(self._folder / self._index.state.file, "does not hold the state of this training"):
            training.restore(arrays)
            _require_same(training.arrays(), arrays)
        return True

    def write(self, iteration: int, step: int, seconds: float, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Replace the stored state."""
        before = self._index.state
        file = STATES[before is not None and before.file == STATES[0]]
        state = Stored.write(self._folder, file, arrays)
        self._write(self._index.replace(iteration=iteration, step=step, seconds=seconds, state=state))
        if before is not None:
            (self._folder / before.file).unlink(missing_ok=True)

    def once(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Make and store constant arrays at the first call, and read them at later ones."""
        if name not in self._index.kept:
            stored = Stored.write(self._folder, f"kept-{name}.safetensors", make())
            self._write(self._index.replace(kept={**self._index.kept, name: stored}))
        return self._index.kept[name].read(self._folder)

    def _write(self, index: Index) -> None:
        files.write_sealed(self._folder / INDEX, index)
        self._index = index


def inputs(learner: Learner, problem: Problem[Any], budget: Budget | None, seed: int) -> dict[str, Any]:
    """All inputs that determine the result of a training, but for its demonstrations, as JSON values."""
    return {
        "learner": learner.name,
        "settings": learner.model_dump(mode="json"),
        "problem": problem.name,
        "scenario": problem.scenario.model_dump(mode="json"),
        "budget": asdict(budget or Budget()),
        "seed": seed,
    }


def _require_same(held: Mapping[str, NDArray[Any]], stored: Mapping[str, NDArray[Any]]) -> None:
    """Refuse arrays that an object did not take over bit by bit."""
    for name in sorted(held.keys() | stored.keys()):
        if name not in held or name not in stored:
            raise ValueError(f"array {name!r} is {'not known' if name in stored else 'missing'}")
        was, now = stored[name], np.ascontiguousarray(held[name])
        if (was.dtype, was.shape) != (now.dtype, now.shape) or was.tobytes() != now.tobytes():
            raise ValueError(f"{name} is {was.dtype} {list(was.shape)}; allowed: {now.dtype} {list(now.shape)}")


class Stateful:
    """Object whose state is that of some of its attributes: numbers, arrays, generators, networks, or objects like it.

    Attributes
    ----------
    state_fields : tuple of str
        Names of these attributes; those of base classes are added.
    """

    state_fields: ClassVar[tuple[str, ...]] = ()

    def arrays(self) -> Arrays:
        """State by name, for a checkpoint."""
        found: Arrays = {}
        for name in self._state_names():
            found |= named_arrays(name, getattr(self, name))
        return found

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the state that `arrays` returned."""
        for name in self._state_names():
            setattr(self, name, restored(name, getattr(self, name), arrays))

    def _state_names(self) -> list[str]:
        return [name for kind in reversed(type(self).__mro__) for name in vars(kind).get("state_fields", ())]


def named_arrays(name: str, value: Any) -> Arrays:
    """Represent a value by arrays under its name, or under names that begin with it; ``None`` has no arrays."""
    if value is None:
        return {}
    if isinstance(value, bool | int | float | np.ndarray):
        return {name: np.array(value)}
    if isinstance(value, Tensor):
        return {name: value.detach().numpy().copy()}
    if isinstance(value, nn.Module):
        value = value.state_dict()
    parts = value if isinstance(value, Mapping) else value.arrays()
    return {key: array for part, held in parts.items() for key, array in named_arrays(f"{name}.{part}", held).items()}


def restored(name: str, value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the value that `named_arrays` represented; networks and objects are changed in place."""
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        number = like(name, np.array(value), arrays).item()
        if not isinstance(value, float) and number < 0:
            raise ValueError(f"{name} is {number}; allowed: 0 or more")
        return type(value)(number)
    if isinstance(value, np.ndarray):
        return like(name, value, arrays)
    if isinstance(value, Tensor):
        return torch.from_numpy(like(name, value.detach().numpy(), arrays))
    parts = with_prefix(arrays, name)
    if isinstance(value, Mapping):
        return {part: restored(part, held, parts) for part, held in value.items()}
    if isinstance(value, nn.Module):
        state = value.state_dict()
        value.load_state_dict({part: restored(part, held, parts) for part, held in state.items()})
    else:
        value.restore(parts)
    return value


def like(name: str, value: NDArray[Any], arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Copy an array that takes the place of ``value``: of its shape and type, and finite if that is."""
    if name not in arrays:
        raise ValueError(f"array {name!r} is missing")
    array, wanted = map(np.ascontiguousarray, (arrays[name], value))  # a single number is stored as [1]
    if (array.dtype, array.shape) != (wanted.dtype, wanted.shape):
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}; allowed: {wanted.dtype} {list(wanted.shape)}")
    if np.isfinite(value).all() and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values; allowed: finite numbers")
    return array.reshape(value.shape).copy()
