"""Classes of tries that take a folder: damaged files, kills before file-system calls and by signal, interrupts."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from fuzz.tries import Try

from toys import crashes, damage, signals

WORK = ("set", "policy", "maddpg", "dqn-vdn", "dirs", "dirs", "reproduction", "reproduction")
"""Results of long work, which somebody might edit."""
POINTS = 4
"""Points of one work at which it is killed or the disk is full, in one try."""


def damaged(rng: random.Random) -> Try:
    """A file of a policy, a training, demonstrations, instances or a table that is damaged or edited, and then read."""
    name, seed = rng.choice(list(damage.THINGS)), rng.random()
    damage.made(name)  # in this process, so that workers find it made

    def check(folder: Path) -> str | None:
        (folder / name).mkdir()
        found = damage.fault(random.Random(seed), folder / name, name)
        return None if found is None else f"{name}: {found}"

    return Try(check=check, limit_s=60.0)


def tampered(rng: random.Random) -> Try:
    """Work of ours whose file somebody edited, mostly with renewed digests: refused, or it tells the truth."""
    name, seed = rng.choice(WORK), rng.random()
    damage.made(name)

    def check(folder: Path) -> str | None:
        (folder / "thing").mkdir()
        return damage.fault(random.Random(seed), folder / "thing", name)

    return Try(check=check, limit_s=60.0)


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

    return Try(check=check, limit_s=60.0)


def interrupts(rng: random.Random) -> Try:
    """A command of any kind that gets Ctrl-C or SIGTERM at any moment."""
    seed = rng.randrange(2**32)

    def check(folder: Path) -> str | None:
        found = signals.interrupt_try(np.random.default_rng(seed))
        told = f"{' '.join(found.command)}, signal {found.number} after {found.moment_s:.2f} s"
        return None if found.fault is None else f"{found.fault} ({told})"

    return Try(check=check, limit_s=60.0)
