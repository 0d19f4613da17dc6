"""Collection of demonstrations: an expert's solutions of sampled instances, stored in shards.

Every shard has its own seeds and can be computed independently: neither the number of workers, nor the order in which
they finish, nor an interruption changes the contents of a set (except for ``seconds``, which are measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from offloadopt import files, parallel
from offloadopt.core import Demonstrations, Problem, Progress, Solver
from offloadopt.datasets.confirmation import observations_along
from offloadopt.datasets.storage import FOLDER, MANIFEST, Manifest, Shard, intact_shards, read, shard_bytes
from offloadopt.errors import OutputExists
from offloadopt.formats.reading import digest
from offloadopt.interrupts import continued_by_the_same_call

__all__ = ["Manifest", "collect", "observations_along", "read"]


def collect(
    problem: Problem[Any],
    solver: Solver,
    *,
    count: int,
    seed: int,
    folder: Path | str,
    shard_size: int = 256,
    workers: int = 1,
    backend: str = "loky",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demonstrations:
    """Solve ``count`` sampled instances and store the solutions; continue a call that was interrupted.

    Parameters
    ----------
    problem : Problem
        Its instances are sampled, and its observations stored.
    solver : Solver
        The expert.
    count : int
        Number of demonstrations. A larger number than before extends a set.
    seed : int
        Seed of instances and expert.
    folder : path
        New, empty, or with the same set: missing and damaged shards are computed.
    shard_size : int
        Demonstrations per file; a killed call loses at most one file per worker. The seeds depend on it.
    workers : int
        Number of processes; with 1 the calling process computes.
    backend : {"loky", "ray"}
        Processes on this machine, or a Ray cluster (the connected one, else ``RAY_ADDRESS``, else one started here).
    overwrite : bool
        Delete the demonstration set that the folder holds.
    progress : callable, optional
        Called with the number of demonstrations finished since the last call.

    Returns
    -------
    Demonstrations
        The whole set, as ``read`` gives it.

    Raises
    ------
    OutputExists
        If the folder holds anything else, or another process writes to it.
    """
    parallel.check(workers, backend)
    solver.require(problem)
    problem.check_sample(count, seed)
    wanted = Manifest.of(problem, solver, count=count, seed=seed, shard_size=shard_size)
    with FOLDER.opened(folder, overwrite=overwrite) as folder, continued_by_the_same_call():
        manifest = _prepare(folder, wanted)
        if not manifest.finished:
            _compute_missing(problem, solver, folder, manifest, workers, backend, progress or _no_progress)
    return read(folder, problem)


def _no_progress(finished: int) -> None:
    """Ignore progress."""


def _prepare(folder: Path, wanted: Manifest) -> Manifest:
    """Return the manifest of a new set, or of the same set with its intact shards."""
    if not (folder / MANIFEST).exists():
        return wanted
    found = Manifest.read(folder)
    difference = found.difference(wanted)
    if difference is None and found.count > wanted.count:
        difference = f"count = {found.count}, not {wanted.count}"
    if difference is not None:
        raise OutputExists(f"{folder} holds another demonstration set: {difference}")
    # The last shard of a set that is extended is too short, and is computed again.
    kept = {name: shard for name, shard in intact_shards(folder, found).items() if shard.rows == wanted.rows[name]}
    return wanted.with_versions(found.versions).with_shards(kept)


def _compute_missing(
    problem: Problem[Any],
    solver: Solver,
    folder: Path,
    manifest: Manifest,
    workers: int,
    backend: str,
    progress: Progress,
) -> None:
    """Compute the missing shards. Only this process writes; a shard is valid once the manifest lists it."""
    manifest.write(folder)
    if manifest.shards:
        progress(sum(shard.rows for shard in manifest.shards.values()))
    tasks = [
        _Task(name, index, rows, manifest.seed)
        for index, (name, rows) in enumerate(manifest.rows.items())
        if name not in manifest.shards
    ]

    def record(result: tuple[_Task, bytes]) -> None:
        nonlocal manifest
        task, data = result
        files.write_atomic(folder / task.name, data)
        manifest = manifest.with_shards({task.name: Shard(rows=task.rows, sha256=digest(data))})
        manifest.write(folder)

    def record_and_report(result: tuple[_Task, bytes]) -> None:
        record(result)
        progress(result[0].rows)

    if min(workers, len(tasks)) == 1:
        for task in tasks:
            record(_compute_shard(problem, solver, task, progress))
    else:
        compute = partial(_compute_shard, problem, solver)
        parallel.for_each(compute, tasks, record_and_report, workers=workers, backend=backend)


@dataclass(frozen=True)
class _Task:
    """A shard to be computed: everything that it depends on, besides the problem and the solver."""

    name: str
    index: int
    rows: int
    seed: int


def _compute_shard(
    problem: Problem[Any], solver: Solver, task: _Task, progress: Progress | None = None
) -> tuple[_Task, bytes]:
    """Sample, solve and observe one shard."""
    streams = np.random.SeedSequence(task.seed, spawn_key=(task.index,))
    instance_seed, solver_seed = streams.generate_state(2, np.uint64).tolist()
    instances = problem.sample(task.rows, instance_seed)
    solutions = solver.run(problem, instances, seed=solver_seed, progress=progress)
    observations = observations_along(problem, instances, solutions.decisions)
    return task, shard_bytes(Demonstrations(instances, observations, solutions))
