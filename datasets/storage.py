"""Storage of demonstrations: a folder of Parquet shards and ``manifest.json``.

Columns are named by kind: ``instance.<name>``, ``observation.<name>``, ``decision.<name>``, ``detail.<name>``,
and ``objective``, ``bound``, ``status``, ``seconds``. An observation that equals the instance's array of the same name
is not stored again; the shard's metadata list it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from offloadopt import files
from offloadopt.core import Decisions, Demonstrations, Instances, Observation, Problem, Settings, Solutions, Solver
from offloadopt.datasets.confirmation import require_confirmed, require_solutions
from offloadopt.errors import DamagedFile, InvalidInput
from offloadopt.folders import FolderFormat
from offloadopt.formats import parquet, reading
from offloadopt.version import __version__

FORMAT = 2
MANIFEST = "manifest.json"
FOLDER = FolderFormat({MANIFEST: r'\{\s*"format_version": \d+,\s*"problem": '}, (r"shard-\d{5,}\.parquet",))
MAX_SHARDS = 100_000
"""Most files of a set, which are numbered with five digits."""
PLAIN = ("objective", "bound", "status", "seconds")
"""Columns that belong to no kind."""
LIBRARIES = ("highspy", "numba", "numpy", "pyarrow", "pyscipopt", "scipy")
"""Libraries whose version may affect a solution."""


class Shard(Settings):
    """Rows and SHA-256 of one finished file."""

    rows: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Settings):
    """Description of a set: problem, solver, seeds, versions, and the finished shards."""

    format_version: int = FORMAT
    problem: str
    scenario: Mapping[str, Any]
    scenario_sha256: str
    solver: str
    solver_settings: Mapping[str, Any]
    seed: int = Field(ge=0)
    count: int = Field(ge=1)
    shard_size: int = Field(ge=1)
    finished: bool = False
    versions: Mapping[str, tuple[str, ...]]
    """Versions used, several where an interrupted set was continued after an update."""
    shards: Mapping[str, Shard] = Field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem[Any], solver: Solver, *, count: int, seed: int, shard_size: int) -> Self:
        """Create the manifest of a set without finished shards."""
        return cls(
            problem=problem.name,
            scenario=problem.scenario.model_dump(mode="json"),
            scenario_sha256=problem.scenario.digest(),
            solver=solver.name,
            solver_settings=solver.model_dump(mode="json"),
            seed=seed,
            count=count,
            shard_size=shard_size,
            versions=_versions(),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a folder; a damaged one, or one of another format version, is refused."""
        path = folder / MANIFEST
        what, remedy = "is not the manifest of a demonstration set", "collect the demonstrations again"
        manifest = files.read_versioned(path, FORMAT, lambda values: cls(**values), what=what, remedy=remedy)
        if _digest_of(manifest.scenario) != manifest.scenario_sha256:
            raise DamagedFile(f"{path} is damaged: its scenario does not match its SHA-256")
        rows, finished = manifest.rows, {name: shard.rows for name, shard in manifest.shards.items()}
        if not finished.items() <= rows.items() or manifest.finished != (finished == rows):
            raise DamagedFile(f"{path} is damaged: its shards do not add up to its count of {manifest.count}")
        return manifest

    @model_validator(mode="after")
    def _shards_can_be_listed(self) -> Self:
        if self.count > MAX_SHARDS * self.shard_size:
            raise ValueError(f"count = {self.count}; allowed: at most {MAX_SHARDS} shards of {self.shard_size}")
        return self

    def write(self, folder: Path) -> None:
        """Write the manifest to a folder, atomically."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False)
        files.write_atomic(folder / MANIFEST, text.encode() + b"\n")

    @property
    def rows(self) -> dict[str, int]:
        """Number of rows of every shard of the complete set, by file name."""
        starts = range(0, self.count, self.shard_size)
        return {
            f"shard-{index:05d}.parquet": min(self.shard_size, self.count - start) for index, start in enumerate(starts)
        }

    def with_shards(self, shards: Mapping[str, Shard]) -> Self:
        """Return a copy with more finished shards."""
        rows, recorded = self.rows, {**self.shards, **shards}
        finished = {name: recorded[name] for name in rows if name in recorded}
        return self.model_copy(update={"shards": finished, "finished": len(finished) == len(rows)})

    def with_versions(self, versions: Mapping[str, tuple[str, ...]]) -> Self:
        """Return a copy that also lists the versions of an earlier run."""
        names = sorted({*self.versions, *versions})
        merged = {n: tuple(sorted({*self.versions.get(n, ()), *versions.get(n, ())})) for n in names}
        return self.model_copy(update={"versions": merged})

    def difference(self, other: Manifest) -> str | None:
        """Describe the first field, other than ``count``, in which two sets differ; ``None`` if there is none."""
        return _first_difference(self._identity(), other._identity())

    def _identity(self) -> dict[str, Any]:
        return {
            "problem": self.problem,
            **{f"scenario.{name}": value for name, value in self.scenario.items()},
            "solver": self.solver,
            **{f"{self.solver}.{name}": value for name, value in self.solver_settings.items()},
            "seed": self.seed,
            "shard_size": self.shard_size,
        }


def _first_difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    for name in {**found, **wanted}:
        if found.get(name) != wanted.get(name):
            return f"{name} = {found.get(name)!r}, not {wanted.get(name)!r}"
    return None


def _versions() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {"offloadopt": (__version__,), "python": (python_version(),)}
    for library in LIBRARIES:
        try:
            found[library] = (version(library),)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))  # as where a set is continued


def _digest_of(scenario: Mapping[str, Any]) -> str:
    """Compute ``Settings.digest`` from the stored fields."""
    return hashlib.sha256(json.dumps(dict(scenario), sort_keys=True).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------------ shards


def shard_bytes(demonstrations: Demonstrations) -> bytes:
    """Encode demonstrations as one Parquet file."""
    instances, observations = demonstrations.instances, demonstrations.observations
    solutions = demonstrations.solutions
    shared = [name for name in observations if name in instances and _same_bits(observations[name], instances[name])]
    columns = {
        **_prefixed("instance", instances),
        **_prefixed("observation", {name: observations[name] for name in observations if name not in shared}),
        **_prefixed("decision", solutions.decisions),
        **_prefixed("detail", solutions.details),
        "objective": solutions.objective,
        "bound": solutions.bound,
        "status": solutions.status,
        "seconds": solutions.seconds,
    }
    return parquet.encode(columns, {"observations": list(observations), "observed_instance_arrays": shared})


def _prefixed(kind: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{kind}.{name}": np.asarray(values) for name, values in arrays.items()}


def _same_bits(left: NDArray[Any], right: NDArray[Any]) -> bool:
    same_kind = left.dtype == right.dtype and left.shape == right.shape
    return same_kind and left.tobytes() == right.tobytes()


def _checked(path: Path, manifest: Manifest, problem: Problem[Any] | None) -> dict[str, NDArray[Any]]:
    """Read all arrays of a shard, after checking its SHA-256, its number of rows and what it claims."""
    wanted = manifest.shards[path.name]
    data = reading.read_bytes(path)
    if reading.digest(data) != wanted.sha256:
        raise DamagedFile(f"{path} is damaged (its SHA-256 is not the manifest's); collect again to replace it")
    with reading.refuse_damage(path, "does not hold demonstrations"):
        columns, notes = parquet.decode(data, reading.comfortable_bytes())
        rows = {len(column) for column in columns.values()}
        if rows != {wanted.rows}:
            raise DamagedFile(f"{path} has {max(rows, default=0)} rows; its manifest says {wanted.rows}")
        shared = notes["observed_instance_arrays"]
        observed = {
            f"observation.{n}": columns[f"{'instance' if n in shared else 'observation'}.{n}"]
            for n in notes["observations"]
        }
        columns = {**columns, **observed}
        demonstrations = _demonstrations(columns)
        require_solutions(demonstrations.solutions)
        if problem is not None:
            require_confirmed(problem, demonstrations, float(manifest.solver_settings.get("relative_gap", 0.0)))
    return columns


def _demonstrations(columns: Mapping[str, NDArray[Any]]) -> Demonstrations:
    kinds: dict[str, dict[str, NDArray[Any]]] = {"instance": {}, "observation": {}, "decision": {}, "detail": {}}
    objective, bound, status, seconds = (columns[name] for name in PLAIN)
    for name, column in columns.items():
        if name not in PLAIN:
            kind, _, array = name.partition(".")
            kinds[kind][array] = column
    solutions = Solutions(Decisions(kinds["decision"]), objective, bound, status, seconds, kinds["detail"])
    return Demonstrations(Instances(kinds["instance"]), Observation(kinds["observation"]), solutions)


def intact_shards(folder: Path, manifest: Manifest) -> dict[str, Shard]:
    """Select the recorded shards whose file exists and is unchanged."""
    found = {}
    for name, shard in manifest.shards.items():
        path = folder / name
        if path.is_file() and reading.sha256(path) == shard.sha256:
            found[name] = shard
    return found


# -------------------------------------------------------------------------------------------------------------- sets


def read(folder: Path | str, problem: Problem[Any] | None = None) -> Demonstrations:
    """Read a finished demonstration set, after every shard has been checked.

    Parameters
    ----------
    folder : path
        Folder that ``collect`` wrote.
    problem : Problem, optional
        Refuse a set of any other problem or scenario, and one whose costs, proofs or observations it does not confirm.

    Raises
    ------
    DamagedFile
        If the manifest or a shard is missing or damaged; the message names the file.
    InvalidInput
        If the set is of another problem or scenario, or not finished.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder)
    if problem is not None:
        _require_scenario(folder, manifest, problem)
    if not manifest.finished:
        done = sum(shard.rows for shard in manifest.shards.values())
        raise InvalidInput(
            f"{folder} is not finished: {done} of {manifest.count} demonstrations; collect the rest first"
        )
    return _demonstrations(
        _joined(folder, {name: _checked(folder / name, manifest, problem) for name in manifest.rows})
    )


def _joined(folder: Path, shards: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Concatenate the arrays of all shards."""
    layouts = {
        shard: {name: (column.dtype, column.shape[1:]) for name, column in columns.items()}
        for shard, columns in shards.items()
    }
    first = next(iter(layouts.values()))
    for shard, layout in layouts.items():
        if layout != first:
            raise DamagedFile(f"{folder / shard} holds other arrays than the shards before it")
    return {name: np.concatenate([columns[name] for columns in shards.values()]) for name in first}


def _require_scenario(folder: Path, manifest: Manifest, problem: Problem[Any]) -> None:
    if manifest.problem != problem.name:
        raise InvalidInput(f"{folder} holds demonstrations of problem {manifest.problem!r}, not {problem.name!r}")
    difference = _first_difference(manifest.scenario, problem.scenario.model_dump(mode="json"))
    if difference is not None:
        raise InvalidInput(f"{folder} holds demonstrations of another scenario: {difference}")
