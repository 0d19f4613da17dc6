"""Classes of tries that take a folder: damaged files, kills before file-system calls and by signal, interrupts."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from fuzz.judge import fault_of
from fuzz.tries import DONE, FAILED, NO_SOLUTION, WRONG_USAGE, Try
from fuzz.worker import perform

from toys import crashes, signals

SIZE = ("--set", "users=3", "--set", "servers=2")
POINTS = 4
"""Points of one work at which it is killed or the disk is full, in one try."""


@cache
def originals() -> Path:
    """A folder with demonstrations, a policy and instances of every format, which is made once."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-originals-"))
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    problem = ("multi_server", *SIZE)
    perform(Try((("demos", *problem, "--count", "8", "--solver", "local", "--out", str(folder / "demos")),)))
    train = ("train", *problem, "--learner", "prices", "--steps", "24", "--out", str(folder / "policy"))
    perform(Try(((*train, *(word for o in crashes.OPTIONS["prices"] for word in ("--option", o))),)))
    import offloadopt
    from offloadopt import files

    drawn = offloadopt.problem("multi_server", users=3, servers=2).sample(3, seed=0)
    for suffix in ("json", "npz", "parquet"):
        files.save_batch(drawn, folder / f"mine.{suffix}")
    return folder


COMMANDS = {
    "demos": ("demos", "--count", "8", "--solver", "local", "--out", "demos"),
    "policy": ("compare", "--json", "--count", "2", "--method", "policy", "--method", "local"),
    "mine.json": ("solve", "--json", "--solver", "local", "--input", "mine.json"),
    "mine.npz": ("solve", "--json", "--solver", "local", "--input", "mine.npz"),
    "mine.parquet": ("solve", "--json", "--solver", "local", "--input", "mine.parquet"),
}
"""What reads each of the originals."""


def damaged(rng: random.Random) -> Try:
    """A file of a policy, of demonstrations or of instances with some bytes changed, cut, doubled or gone."""
    what, seed = rng.choice(list(COMMANDS)), rng.random()
    originals()

    def check(folder: Path) -> str | None:
        own = random.Random(seed)
        source = originals() / what
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / what)
        paths = [path for path in sorted((folder / what).rglob("*")) if path.is_file()] or [folder / what]
        done = _damage(own, own.choice(paths))
        name, *rest = COMMANDS[what]
        made = Try(((name, "multi_server", *SIZE, *rest),), statuses=(DONE, FAILED, WRONG_USAGE, NO_SOLUTION))
        fault = fault_of(made, perform(made))
        return None if fault is None else f"{fault} ({done}; {made.command})"

    return Try(check=check)


def _damage(rng: random.Random, path: Path) -> str:
    """Damage a file, and say how."""
    data, kind = bytearray(path.read_bytes()), rng.randrange(7)
    at = rng.randrange(max(len(data), 1))
    if kind == 0:
        path.unlink()
        return f"{path.name} removed"
    if kind <= 3 and data:
        data[at] = rng.randrange(256)
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        data[at:at] = data[: rng.randrange(1, 200)]
    else:
        data += rng.randbytes(rng.randrange(1, 100))
    path.write_bytes(bytes(data))
    return f"{path.name}: damage {kind} at {at}"


def kills(rng: random.Random) -> Try:
    """A command that is killed before some of its file-system calls, or finds the disk full, and is run again."""
    learners = [name for name in crashes.OPTIONS if not name.endswith("-sb3")]
    name, seed, full, real = rng.choice(["demos", "compare", *learners]), rng.random(), rng.random(), rng.random()

    def check(folder: Path) -> str | None:
        own = random.Random(seed)
        works = {"demos": crashes.DEMONSTRATIONS, "compare": crashes.COMPARISON}
        work = works.get(name) or crashes.training(name, folder / "demonstrations")
        points, whole = crashes.undisturbed(work)
        if real < 0.2:
            moment = own.uniform(0.5, 6.0)
            fault = crashes.really_killed(work, moment, whole)
            return None if fault is None else f"{fault} ({name} killed after {moment:.2f} s)"
        test = crashes.full_disk_at if full < 0.25 else crashes.killed_at
        for point in own.sample(range(points), min(points, POINTS)):
            fault = test(work, point, whole)
            if fault is not None:
                return f"{fault} ({name}, {test.__name__} {point})"
        return None

    return Try(check=check, limit_s=300.0)


def interrupts(rng: random.Random) -> Try:
    """A command of any kind that gets Ctrl-C or SIGTERM at any moment."""
    seed = rng.randrange(2**32)

    def check(folder: Path) -> str | None:
        found = signals.interrupt_try(np.random.default_rng(seed))
        told = f"{' '.join(found.command)}, signal {found.number} after {found.moment_s:.2f} s"
        return None if found.fault is None else f"{found.fault} ({told})"

    return Try(check=check, limit_s=300.0)
