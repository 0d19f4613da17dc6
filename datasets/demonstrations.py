"""Demonstrations: an expert's solutions of sampled instances, collected in shards and stored.

Every shard has its own seeds, so it can be made by itself: neither the number of workers, nor the order in which they
finish, nor an interruption changes what a set holds (only ``seconds`` are measured anew).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from offloadopt import files
from offloadopt import parallel as pool
from offloadopt.core import Decisions, Demonstrations, Instances, Observation, Problem, Progress, Solver
from offloadopt.datasets.storage import MANIFEST, OURS, Manifest, Shard, intact, read, shard_bytes
from offloadopt.errors import OutputExists

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
    """Solve ``count`` sampled instances and store them; continue where an interrupted call stopped.

    Parameters
    ----------
    problem : Problem
        Gives instances, observations and costs.
    solver : Solver
        The expert.
    count : int
        Number of demonstrations. A larger one than before extends a set.
    seed : int
        Seed of instances and expert.
    folder : path
        New, empty, or with the same set: what is missing or damaged in it is made.
    shard_size : int
        Demonstrations in a file; a killed call loses at most one file per worker. It takes part in the seeds.
    workers : int
        Processes; one works in this process.
    backend : {"loky", "ray"}
        Processes on this machine, or a Ray cluster (the one joined, else ``RAY_ADDRESS``, else one started here).
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
        If the folder holds something else, or is being written.
    """
    pool.check(workers, backend)
    solver.require(problem)
    wanted = Manifest.of(problem, solver, count=count, seed=seed, shard_size=shard_size)
    folder = Path(folder)
    with files.only_writer(files.make_folder(folder)):
        manifest = _start(folder, wanted, overwrite)
        if not manifest.finished:
            _finish(problem, solver, folder, manifest, workers, backend, progress or _silent)
    return read(folder, problem)


def observations_along(problem: Problem[Any], instances: Instances, decisions: Decisions) -> Observation:
    """What could be observed before each decision: ``[count, ...]``, or ``[count, horizon, ...]`` with a horizon."""
    state, seen = problem.reset(instances), []
    for slot in range(problem.horizon):
        seen.append(problem.observe(instances, state))
        if slot + 1 < problem.horizon:
            state, _ = problem.step(instances, state, decisions.at_slot(slot))
    return seen[0] if problem.horizon == 1 else Observation.over_slots(seen)


def _silent(finished: int) -> None:
    """Report to nobody."""


def _start(folder: Path, wanted: Manifest, overwrite: bool) -> Manifest:
    """The manifest to go on from: of a new set, or with what is left of the same one."""
    files.prepare_folder(folder, resumable=True)
    if overwrite or not (folder / MANIFEST).exists():
        files.prepare_folder(folder, overwrite=overwrite, ours=OURS)
        return wanted
    found = Manifest.read(folder)
    difference = found.difference(wanted)
    if difference is None and found.count > wanted.count:
        difference = f"count = {found.count}, not {wanted.count}"
    if difference is not None:
        raise OutputExists(f"{folder} holds another demonstration set: {difference}")
    # The last shard of a set that is extended is too short, and is made anew.
    kept = {name: shard for name, shard in intact(folder, found).items() if shard.rows == wanted.rows[name]}
    return wanted.with_versions(found.versions).with_shards(kept)


def _finish(
    problem: Problem[Any],
    solver: Solver,
    folder: Path,
    manifest: Manifest,
    workers: int,
    backend: str,
    progress: Progress,
) -> None:
    """Make the missing shards. Only this process writes; a shard counts once the manifest names it."""
    manifest.write(folder)
    if manifest.shards:
        progress(sum(shard.rows for shard in manifest.shards.values()))
    tasks = [
        _Task(name, index, rows, manifest.seed)
        for index, (name, rows) in enumerate(manifest.rows.items())
        if name not in manifest.shards
    ]

    def record(made: tuple[_Task, bytes]) -> None:
        nonlocal manifest
        task, data = made
        files.write_atomic(folder / task.name, data)
        manifest = manifest.with_shards({task.name: Shard(rows=task.rows, sha256=files.digest(data))})
        manifest.write(folder)

    def record_and_report(made: tuple[_Task, bytes]) -> None:
        record(made)
        progress(made[0].rows)

    if min(workers, len(tasks)) == 1:
        for task in tasks:
            record(_make_shard(problem, solver, task, progress))
    else:
        make = partial(_make_shard, problem, solver)
        pool.for_each(make, tasks, record_and_report, workers=workers, backend=backend)


@dataclass(frozen=True)
class _Task:
    """A shard to be made: all that takes part in it, besides the problem and the solver."""

    name: str
    index: int
    rows: int
    seed: int


def _make_shard(
    problem: Problem[Any], solver: Solver, task: _Task, progress: Progress | None = None
) -> tuple[_Task, bytes]:
    """Sample, solve and observe one shard."""
    streams = np.random.SeedSequence(task.seed, spawn_key=(task.index,))
    nature, expert = streams.generate_state(2, np.uint64).tolist()
    instances = problem.sample(task.rows, nature)
    solutions = solver.run(problem, instances, seed=expert, progress=progress)
    observations = observations_along(problem, instances, solutions.decisions)
    return task, shard_bytes(Demonstrations(instances, observations, solutions))
