"""Commands that are killed before each of their file-system calls, or find the disk full there, and are then run again.

A *work* is a command line without its ``--out``, or a function of the output folder. It runs in a forked child, whose
clock counts calls, so that measured seconds are the same in every run. Its *points* are the calls that change something
below its folder: opening a file to write it, half of it written, all of it written, renaming, removing, making a
folder, and synchronising one. `crash_points` counts them; `killed_at`, `full_disk_at` and `really_killed` say in one
line what is wrong afterwards, or return None.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from offloadopt import clock
from offloadopt.cli import main
from offloadopt.cli.terminal import fail
from offloadopt.errors import OffloadError

Work = Sequence[str] | Callable[[Path], object]

TICK_S = 2.0**-10
"""Time between two readings of the clock of a child; a binary fraction, so that differences are exact."""
DEMONSTRATIONS = ("demos", "multi_server", "--set", "users=3", "--set", "servers=2", "--count", "260")
COMPARISON = ("compare", "multi_server", "--set", "users=3", "--count", "4", "--method", "local", "--method", "greedy")
ONE_SLOT = ("multi_server", "--set", "users=3", "--set", "servers=2")
EPISODES = ("carbon_mimo", "--set", "users=2", "--set", "horizon=3")
REPLAY = ("num_envs=2", "batch_size=4", "buffer_size=40", "hidden=[4]")
ROLLOUT = ("num_envs=2", "hidden=[4]", "epochs=1")
OPTIONS: dict[str, tuple[str, ...]] = {
    "imitation": ("batch_size=8", "hidden=[4]"),
    "prices": ("batch_size=4", "width=2", "gradient_steps=3", "instances=8", "batches=2", "rounds=1", "sweeps=2"),
    "dirs": ("batch_size=8", "hidden=[4]", "demonstrations=8", "pretraining=2", "slots=2", "generations=2"),
    "imitation-agents": ("hidden=[4]",),
    "a2c-sb3": ("num_envs=2",),
    "ddpg-sb3": ("num_envs=2", "learning_starts=4", "buffer_size=40"),
    "ppo-sb3": ("num_envs=2",),
    "dqn-sb3": ("num_envs=2", "learning_starts=4", "buffer_size=40", "batch_size=4"),
    **dict.fromkeys(("ppo", "caddto-ppo", "rmappo"), ROLLOUT),
    **dict.fromkeys(("ddpg", "dqn", "maddpg", "ddpg-vdn", "dqn-vdn"), (*REPLAY, "warm_up=6")),
    "maddpg-cgan": (*REPLAY, "warm_up=6", "pretraining_steps=2", "lookahead=1", "lookback=1"),
    "ddpg-discrete": (*REPLAY, "warm_up=6"),
    "federated": ('options={"num_envs":2,"batch_size":4,"buffer_size":40,"hidden":[4],"warm_up":6}', "every=2"),
}
"""Options with which every learner's training is short."""
DEMONSTRATED = {"imitation": ONE_SLOT, "imitation-agents": EPISODES}
"""Learners that need demonstrations, and of what."""
RENAMES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")


def training(learner: str, demonstrations: Path) -> tuple[str, ...]:
    """A short training; a learner that needs demonstrations collects them in a folder before."""
    problem = ONE_SLOT if learner in ("imitation", "prices", "dirs") else EPISODES
    given: tuple[str, ...] = ()
    if learner in DEMONSTRATED:
        given = ("--demos", str(demonstrations))
        if not demonstrations.exists():
            solver = "exhaustive" if problem is ONE_SLOT else "lyapunov"
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                assert run(("demos", *problem, "--solver", solver, "--count", "16"), demonstrations) == 0
    options = [word for option in OPTIONS[learner] for word in ("--option", option)]
    return ("train", *problem, "--learner", learner, "--steps", "24", *options, *given)


def crash_points(work: Work) -> int:
    """Count the points of a work."""
    return undisturbed(work)[0]


def undisturbed(work: Work) -> tuple[int, dict[str, bytes]]:
    """Count the points of a work, and return all files of an undisturbed run by name.

    It is run once before in this process, so that children find it imported and compiled.
    """
    with _folder() as folder:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings(action="ignore"):
            assert run(work, folder / "warm") == 0
        read, write = os.pipe()
        status, said = _child(work, folder / "out", _Counter(write))
        os.close(write)
        assert status == 0, said
        with os.fdopen(read, "rb") as pipe:
            return len(pipe.read()), contents(folder / "out")


def killed_at(work: Work, point: int, whole: dict[str, bytes] | None = None) -> str | None:
    """Kill the work before a point and run it again: it ends as an undisturbed one, ``whole``, does."""
    with _folder() as folder:
        _child(work, folder / "out", _Killer(point))
        return _continued(work, folder / "out", whole or undisturbed(work)[1])


def full_disk_at(work: Work, point: int, whole: dict[str, bytes] | None = None) -> str | None:
    """Let the disk be full from a point on: one line says so, and with space the same call goes on."""
    with _folder() as folder:
        status, said = _child(work, folder / "out", _FullDisk(point))
        refused = status == 1 and said.count("\n") == 1 and os.strerror(errno.ENOSPC) in said
        if status != 0 and not refused:  # 0 where all is written and only removing is left
            return f"a full disk at {point} ended with status {status} and {said!r}"
        return _continued(work, folder / "out", whole or undisturbed(work)[1])


def really_killed(work: Sequence[str], seconds: float, whole: dict[str, bytes] | None = None) -> str | None:
    """Kill the command in a process of its own after some seconds, as ``kill -9`` does, and run it again.

    ``whole`` is only compared by the names of its files: the clock of a process is the real one.
    """
    with _folder() as folder:
        command = [sys.executable, "-m", "offloadopt", *work, "--out", str(folder / "out")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
        again = subprocess.run(command, capture_output=True, text=True)
        names = contents(folder / "out").keys()
        if again.returncode != 0:
            return f"after a kill: status {again.returncode}, {again.stderr[-300:]!r}"
        return None if names == (whole or undisturbed(work)[1]).keys() else f"after a kill it holds {sorted(names)}"


def run(work: Work, out: Path) -> int:
    """Run a work in this process."""
    if not callable(work):
        return main([*work, "--out", str(out)])
    try:
        work(out)
    except OffloadError as error:
        return fail(str(error), error.exit_status)
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _continued(work: Work, out: Path, whole: dict[str, bytes]) -> str | None:
    status, said = _child(work, out, lambda _: None)
    if status != 0:
        return f"the same call ends with status {status} and {said[-300:]!r}"
    found = contents(out)
    differ = [name for name in sorted(found.keys() | whole.keys()) if found.get(name) != whole.get(name)]
    return f"the same call ends with another {differ[0]}" if differ else None


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="crashes-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# ------------------------------------------------------------------------------------------------ in the forked child


class _Counter:
    """Writes a byte for every point."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def __call__(self, halve: Callable[[], None] | None) -> None:
        os.write(self._pipe, b".")


class _Killer:
    """Kills the process before a point; what is half written is cut."""

    def __init__(self, point: int) -> None:
        self._left = point

    def __call__(self, halve: Callable[[], None] | None) -> None:
        if self._left == 0:
            if halve is not None:
                halve()
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


class _FullDisk(_Killer):
    """Refuses to write from a point on; removing is possible."""

    def __call__(self, halve: Callable[[], None] | None) -> None:
        if self._left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._left -= 1


def _child(work: Work, out: Path, at_point: Callable[[Callable[[], None] | None], None]) -> tuple[int, str]:
    """Run a work in a forked child; return its exit status, or minus its signal, and what it said on stderr."""
    said = out.parent / "stderr"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _run_and_exit(work, out, said, at_point)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8")


def _run_and_exit(work: Work, out: Path, said: Path, at_point: Callable[[Callable[[], None] | None], None]) -> NoReturn:
    status = 99
    try:
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        _count_time()
        _watch(str(out), at_point)
        status = run(work, out)
        sys.stderr.flush()
    finally:
        os._exit(status)


def _count_time() -> None:
    readings = itertools.count()
    for name in ("perf_counter", "monotonic", "process_time"):
        setattr(time, name, lambda: next(readings) * TICK_S)
    clock._compile_time = None  # its seconds are real ones
    if "offloadopt.learners.common.training" in sys.modules:
        sys.modules["offloadopt.learners.common.training"].SAVE_EVERY_S = 0.0  # type: ignore[attr-defined]


def _watch(folder: str, at_point: Callable[[Callable[[], None] | None], None]) -> None:
    """Call ``at_point`` before every change below a folder, of the folder itself too."""

    def below(path: object) -> bool:
        return isinstance(path, str | os.PathLike) and (os.fspath(path) + "/").startswith(folder + "/")

    def before(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if below(path) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                at_point(None)
        elif event in RENAMES and below(arguments[0]):
            if event in ("os.remove", "os.rmdir") and isinstance(at_point, _FullDisk):
                return
            at_point(None)

    def fsync(handle: int) -> None:
        if below(os.readlink(f"/proc/self/fd/{handle}")):
            size = os.fstat(handle).st_size
            if not os.path.isdir(f"/proc/self/fd/{handle}"):
                at_point(lambda: os.truncate(handle, size // 2))
            at_point(None)

    os.fsync = fsync  # as fast as no disk is, and a point
    sys.addaudithook(before)
