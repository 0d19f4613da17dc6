"""Damage to files, from seeds: bytes, values of JSON, arrays, digests that are renewed, and files of other kinds.

Each ``change(rng, path)`` changes one file and describes what it did. `fault` makes a thing in a folder, damages
a file of it, reads it, and names what must not come out: anything but a refusal in one line, or the truth.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import random
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

import offloadopt
from offloadopt import files, registry
from offloadopt.core import Budget, Problem
from offloadopt.datasets.demonstrations import collect, read
from offloadopt.errors import MAX_MESSAGE, OffloadError
from offloadopt.formats import parquet
from offloadopt.formats.reading import digest, read_bytes
from offloadopt.learners.common.checkpoint import Index
from offloadopt.learners.common.saved_policy import Description, load_policy
from offloadopt.reproduce.runner import reproduce
from offloadopt.traces.locations import read_coordinates
from offloadopt.traces.requests import read_requests

from toys import slow_paper

NUMBERS = (0, -1, 1, 7, 1e308, -1e308, 1e-308, 10**30, 2**63, 0.5, True)
ODD: tuple[Any, ...] = (*NUMBERS, None, "", "x", "../x", "=1+1", "\x1b[2J", [], {}, [[]], "x" * 3000, [1] * 2000)
DTYPES = ("f8", "f4", "f2", "i8", "i4", "u1", "?")

# ------------------------------------------------------------------------------------------------------------- damage


def change_bytes(rng: random.Random, path: Path) -> str:
    """Flip, cut, repeat, insert or blank some bytes."""
    data = bytearray(path.read_bytes())
    place, length = rng.randrange(len(data) + 1), rng.choice((1, 1, 1, 4, 100))
    kind = rng.choice(("flip", "flip", "flip", "cut", "repeat", "insert", "blank", "append"))
    if kind == "flip" and place < len(data):
        data[place] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[place:]
    elif kind == "repeat":
        data[place:place] = data[place : place + length]
    elif kind == "insert":
        data[place:place] = rng.randbytes(length)
    elif kind == "blank":
        data[place : place + length] = bytes(len(data[place : place + length]))
    else:
        data += rng.randbytes(length)
    path.write_bytes(data)
    return f"{kind} of {length} bytes at {place} of {path.name}"


def change_json(rng: random.Random, path: Path) -> str:
    """Replace, remove, add or double a value of a JSON file, wherever it stands."""
    root: dict[Any, Any] = {"": json.loads(path.read_bytes())}
    held, place = root, ""
    for _ in range(rng.randint(0, 6)):
        below = held[place]
        if not isinstance(below, dict | list) or not below:
            break
        held, place = below, rng.choice(list(below)) if isinstance(below, dict) else rng.randrange(len(below))
    kind = rng.choice(("replace", "replace", "replace", "remove", "add", "deepen", "double"))
    value = copy.deepcopy(rng.choice(ODD))
    if kind == "remove" and held is not root:
        del held[place]
    elif kind == "add" and isinstance(held, dict):
        held[rng.choice(("more", "x" * 500, "\x1b[2J"))] = value
    elif kind == "deepen":
        for _ in range(rng.choice((3, 100, 300))):
            held[place] = [held[place]]
    elif kind == "replace":
        held[place] = value
    text = json.dumps(root[""])
    if kind == "double" and isinstance(root[""], dict) and root[""]:
        text = f"{{{json.dumps(next(iter(root[''])))}: 0, {text[1:]}"
    path.write_text(text)
    return f"{kind} {place!r} of {path.name} with {value!r:.40}"


def change_arrays(rng: random.Random, arrays: dict[str, Any]) -> str:
    """Change an array: entries, shape, type, name, or its presence."""
    name = rng.choice(list(arrays))
    array = np.array(arrays[name])
    kind = rng.choice(("entry", "entry", "entry", "shape", "dtype", "rename", "remove", "add", "rows"))
    value: Any = rng.choice((np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 1e6, -(2**40), 7.0))
    with np.errstate(all="ignore"):
        if kind == "entry" and array.size:
            array.flat[rng.randrange(array.size)] = np.float64(value).astype(array.dtype)
            arrays[name] = array
        elif kind == "shape":
            arrays[name] = rng.choice((array[None], array.reshape(-1), np.stack([array, array])))
        elif kind == "rows" and array.ndim:
            arrays[name] = array[:-1]
        elif kind == "remove":
            del arrays[name]
        elif kind == "dtype":
            arrays[name] = array.astype(rng.choice(DTYPES))
        else:
            arrays[rng.choice(("more", f"{name}.x", name.upper()))] = arrays.pop(name) if kind == "rename" else array
    return f"{kind} of {name} with {value}"


def change_safetensors(rng: random.Random, path: Path) -> str:
    """Change an array of a safetensors file."""
    arrays = dict(load(path.read_bytes()))
    what = change_arrays(rng, arrays)
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    return f"{what} in {path.name}"


def change_parquet(rng: random.Random, path: Path) -> str:
    """Change an array or a note of a Parquet file, whose own digest is renewed."""
    arrays, notes = parquet.decode(path.read_bytes(), 1 << 30)
    if notes and rng.random() < 0.2:
        what = f"note {(name := rng.choice(list(notes)))} with {(value := rng.choice(ODD))!r:.40}"
        notes[name] = value
    else:
        what = change_arrays(rng, arrays)
    try:
        path.write_bytes(parquet.encode(arrays, notes))
    except Exception:  # no such file can be written
        return "nothing"
    return f"{what} in {path.name}"


def change_cells(rng: random.Random, path: Path) -> str:
    """Change a cell of a CSV file, or the number of cells of a line."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    row = rng.choice(lines)
    odd = rng.choice(("nan", "inf", "-1", "1e999", "", "=1", "\x00", '"', "x" * 200_000, "9999-99-99", "1_0"))
    what = rng.choice(("replace", "drop", "add", "double"))
    if what == "replace":
        row[rng.randrange(len(row))] = odd
    elif what == "drop":
        row.pop()
    elif what == "add":
        row.append(odd)
    else:
        lines[0].append(rng.choice(lines[0]))
    path.write_text("\n".join(",".join(line) for line in lines))
    return f"{what} a cell with {odd!r:.40}"


def other_kind(rng: random.Random, path: Path) -> str:
    """Put something in a file's place that is no regular file."""
    kind = rng.choice(("pipe", "folder", "endless", "nothing", "empty", "circle"))
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "circle":
        path.symlink_to(path.name)
    elif kind == "empty":
        path.write_bytes(b"")
    return f"{kind} in place of {path.name}"


def renew_digests(folder: Path) -> None:
    """Renew all digests in a folder, as anybody can who edits its files."""
    for path in folder.rglob("*.json"):
        try:
            content = json.loads(read_bytes(path))
            if path.name == "policy.json":
                content["weights_sha256"] = digest(read_bytes(folder / "weights.safetensors"))
                arrays = load(read_bytes(folder / "weights.safetensors"))
                content["shapes"] = {name: list(array.shape) for name, array in arrays.items()}
            elif path.name == "checkpoint.json":
                for stored in (content["state"], *content["kept"].values()):
                    stored["sha256"] = digest(read_bytes(path.parent / stored["file"]))
            elif path.name == "manifest.json":
                for name, shard in content["shards"].items():
                    shard["sha256"] = digest(read_bytes(path.parent / name))
                path.write_text(json.dumps(content))
                continue
            content.pop("sha256", None)
            kind = {"policy.json": Description, "checkpoint.json": Index}[path.name]
            files.write_sealed(path, kind(**content))
        except Exception:  # it cannot be renewed: left as it is
            continue


# ------------------------------------------------------------------------------------------------------------- things


@dataclass(frozen=True)
class Thing:
    """What is damaged.

    Attributes
    ----------
    make : callable
        Writes it into a folder.
    use : callable
        Reads it and does what a user would; raises `AssertionError` where what comes out is not the truth.
    damages : tuple of callable
        By the suffix of a file.
    """

    make: Callable[[Path], Any]
    use: Callable[[Path], Any]
    damages: Mapping[str, tuple[Callable[[random.Random, Path], str], ...]]


@functools.cache
def _problem() -> Problem[Any]:
    return offloadopt.problem("multi_server", users=3)


@functools.cache
def _agents() -> Problem[Any]:
    return offloadopt.problem("partial_mobile", users=2, horizon=3)


def _run_policy(folder: Path, problem: Problem[Any]) -> None:
    solutions = load_policy(folder, problem).run(problem, problem.sample(2, 5))
    assert not np.isnan(solutions.objective).any(), "a cost is no number"


def _learner(name: str) -> Any:
    small: dict[str, Any] = {"hidden": (4,)}
    if name != "dirs":
        small |= {"num_envs": 2, "buffer_size": 60, "batch_size": 4, "warm_up": 3, "steps": 300}
    return registry.learner(name, **small)


def _train(name: str, problem: Problem[Any], checkpoint: Path, steps: int) -> Any:
    return _learner(name).fit(problem, budget=Budget(steps), seed=1, checkpoint=checkpoint)


def _continue(name: str, problem: Callable[[], Problem[Any]], steps: int) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        policy = _train(name, problem(), folder / "checkpoint", steps)
        solutions = policy.run(problem(), problem().sample(2, 5))
        assert not np.isnan(solutions.objective).any(), "a cost is no number"

    return run


def _interrupted(name: str, problem: Callable[[], Problem[Any]], steps: int) -> Callable[[Path], None]:
    """Train, and keep the checkpoint."""

    def run(folder: Path) -> None:
        _train(name, problem(), folder / "checkpoint", steps)

    return run


def _read_set(folder: Path) -> None:
    found = read(folder, _problem())
    outcome = _problem().evaluate(found.instances, found.solutions.decisions)
    assert np.allclose(outcome.cost, found.solutions.objective, rtol=1e-9, atol=0), "an objective is not the cost"
    assert (found.solutions.bound <= found.solutions.objective).all(), "a bound above its objective"


def _same_instances(name: str) -> Callable[[Path], None]:
    def use(folder: Path) -> None:
        wanted, found = _problem().sample(3, 1), _problem().check_instances(files.load_arrays(folder / name))
        if not name.endswith(".json"):  # without a checksum
            assert all(found[key].tobytes() == wanted[key].tobytes() for key in wanted), "other numbers"

    return use


def _saved(name: str) -> Callable[[Path], None]:
    return lambda folder: files.save_batch(_problem().sample(3, 1), folder / name)


def _reproduce(folder: Path) -> dict[str, bytes]:
    os.environ[slow_paper.LOG] = os.devnull
    reproduce(slow_paper.paper(), ["fig-1"], folder, workers=1)
    return {name: (folder / name).read_bytes() for name in ("fig-1.csv", "fig-1-replicates.csv")}


def _reproduce_again(folder: Path) -> None:
    truth = made("reproduction")
    for name, data in _reproduce(folder).items():
        assert data == truth[name], f"another {name}"


PLACES = "latitude,longitude\n-37.5,144.25\n10,20\n1.5,2\n"
TRACE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n2023-11-16 18:15:50.9,396,109\n"
ANY = (change_bytes, other_kind)
JSON, TENSORS, TABLE = (*ANY, change_json), (*ANY, change_safetensors), (*ANY, change_parquet)
STORED = {
    ".json": (*JSON, change_json, change_json),
    ".safetensors": (*TENSORS, change_safetensors, change_safetensors),
}
THINGS: Mapping[str, Thing] = {
    "npz": Thing(_saved("i.npz"), _same_instances("i.npz"), {".npz": ANY}),
    "json": Thing(_saved("i.json"), _same_instances("i.json"), {".json": JSON}),
    "parquet": Thing(_saved("i.parquet"), _same_instances("i.parquet"), {".parquet": ANY}),
    "places": Thing(
        lambda folder: (folder / "p.csv").write_text(PLACES),
        lambda folder: read_coordinates(folder / "p.csv"),
        {".csv": (*ANY, change_cells, change_cells)},
    ),
    "requests": Thing(
        lambda folder: (folder / "r.csv").write_text(TRACE),
        lambda folder: read_requests(folder / "r.csv"),
        {".csv": (*ANY, change_cells, change_cells)},
    ),
    "set": Thing(
        lambda folder: collect(
            _problem(), offloadopt.solver("exact", _problem()), count=5, seed=1, folder=folder, shard_size=3
        ),
        _read_set,
        {".json": JSON, ".parquet": (*TABLE, change_parquet, change_parquet)},
    ),
    "policy": Thing(
        lambda folder: _train("ddpg", _agents(), folder / "c", 100).save(folder),
        lambda folder: _run_policy(folder, _agents()),
        STORED,
    ),
    "maddpg": Thing(_interrupted("maddpg", _agents, 300), _continue("maddpg", _agents, 300), STORED),
    "dqn-vdn": Thing(_interrupted("dqn-vdn", _agents, 300), _continue("dqn-vdn", _agents, 300), STORED),
    "reproduction": Thing(
        _reproduce, _reproduce_again, {".json": (*JSON, change_json, change_json), ".csv": ANY, ".png": ANY}
    ),
    "dirs": Thing(_interrupted("dirs", _problem, 300), _continue("dirs", _problem, 300), STORED),
}


@functools.cache
def made(name: str) -> dict[str, bytes]:
    """The files of a thing."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        THINGS[name].make(folder)
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.parts[-2] != "c"
        }


def damage(rng: random.Random, folder: Path, name: str) -> str:
    """Make a thing in an empty folder and damage a file of it, mostly with renewed digests; tells what was done."""
    for place, data in made(name).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    path = folder / rng.choice([place for place in made(name) if Path(place).suffix in THINGS[name].damages])
    what = rng.choice(THINGS[name].damages[path.suffix])(rng, path)
    if rng.random() < 0.8:
        renew_digests(folder)
        what += ", digests renewed"
    return what


def fault(rng: random.Random, folder: Path, name: str) -> str | None:
    """Damage a thing, use it, and name what went wrong; ``None`` for a refusal in one line or the truth."""
    what = damage(rng, folder, name)
    before = set(folder.parent.iterdir())
    try:
        THINGS[name].use(folder)
    except OffloadError as error:
        text = str(error)
        wrong = not text.isprintable() or len(text) > MAX_MESSAGE or "unexpected" in text
        return f"{what}: {text}" if wrong else None
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    return None if set(folder.parent.iterdir()) == before else f"{what}: something was written beside the folder"
