"""Training into a folder: the same call continues a training that was interrupted, and reads one that is finished.

``training.json`` names the inputs of the training and is written first; then the learner keeps its state in
``checkpoint/`` and the policy is saved. Replacing ``training.json`` by one that says so finishes the training, and what
``checkpoint/`` holds of ours is removed. Any learner can be trained so, a plugin's too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from offloadopt import files
from offloadopt.core import Budget, Demonstrations, Learner, Policy, Problem, Progress, Record, Settings
from offloadopt.errors import OutputExists
from offloadopt.folders import FolderFormat
from offloadopt.learners.common import checkpoint, saved_policy
from offloadopt.settings import difference

FORMAT = 1
MARK = "training.json"
CHECKPOINT = "checkpoint"
FOLDER = FolderFormat(
    {
        MARK: r'\{\s*"format_version": \d+,\s*"inputs": ',
        saved_policy.DESCRIPTION: r'\{\s*"format_version": \d+,\s*"origin": ',
    },
    (
        r"weights\.safetensors",
        *(f"{CHECKPOINT}/{name}" for name in (*checkpoint.FOLDER.names, r"checkpoint\.json")),
    ),
)


class TrainingState(Settings):
    """Contents of ``training.json``, which is stored together with the SHA-256 of these fields."""

    format_version: int = FORMAT
    inputs: Mapping[str, Any]
    """All that determines the policy."""
    finished: bool = False


def train(
    learner: Learner,
    problem: Problem[Any],
    folder: Path | str,
    *,
    demonstrations: Demonstrations | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
    record: Record | None = None,
) -> Policy:
    """Train a policy into a folder, or return the policy that the same call has trained there.

    Parameters
    ----------
    learner, problem, demonstrations, budget, seed, progress, record
        As in `offloadopt.core.Learner.fit`.
    folder : path
        New, empty, or with the same training.
    overwrite : bool
        Remove another training or policy that the folder holds.

    Raises
    ------
    OutputExists
        If the folder holds anything else, or another process writes to it.
    """
    digest = None if demonstrations is None else _digest(demonstrations)
    inputs = checkpoint.inputs(learner, problem, budget, seed) | {"demonstrations_sha256": digest}
    wanted = TrainingState(inputs=json.loads(json.dumps(inputs)))
    with FOLDER.opened(folder, overwrite=overwrite) as path:
        found = _begin(path, wanted)
        if found.finished:
            policy = saved_policy.load_policy(path, problem)
        else:
            policy = learner.fit(
                problem,
                demonstrations=demonstrations,
                budget=budget,
                seed=seed,
                progress=progress,
                record=record,
                checkpoint=path / CHECKPOINT,
            )
            policy.save(path)
            files.write_sealed(path / MARK, wanted.replace(finished=True))
        FOLDER.remove(path, below=CHECKPOINT)
    return policy


def _begin(folder: Path, wanted: TrainingState) -> TrainingState:
    """Read how far the same training is in the folder, or begin it there."""
    if not (folder / MARK).exists():
        others = sorted(entry.name for entry in folder.iterdir())
        if others:
            raise OutputExists(f"{folder} is not empty ({others[0]}); choose another folder or overwrite it")
        files.write_sealed(folder / MARK, wanted)
        return wanted
    what, remedy = "does not describe a training", "train again in a new folder"
    found = files.read_sealed(folder / MARK, FORMAT, TrainingState, what=what, remedy=remedy)
    differ = difference(found.inputs, wanted.inputs)
    if differ:
        raise OutputExists(
            f"{folder} is not empty: it holds another training ({differ}); choose another or overwrite it"
        )
    return found


def _digest(demonstrations: Demonstrations) -> str:
    """Compute the SHA-256 of all that can be learned from demonstrations: everything but the expert's time."""
    solutions = demonstrations.solutions
    parts: dict[str, Mapping[str, Any]] = {
        "instance": demonstrations.instances,
        "observation": demonstrations.observations,
        "decision": solutions.decisions,
        "detail": solutions.details,
        "solution": {"objective": solutions.objective, "bound": solutions.bound, "status": solutions.status},
    }
    found = hashlib.sha256()
    for kind, arrays in parts.items():
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            found.update(f"{kind}.{name} {array.dtype.str} {array.shape} ".encode())
            found.update(array.tobytes())
    return found.hexdigest()
