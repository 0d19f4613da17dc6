"""Commands that a signal ends: how long they take to end, with what status, what they print, and whom they leave."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

COMMAND = (sys.executable, "-m", "offloadopt")
LOADED_S = 60.0
"""Time after which a process that has not ended is killed."""


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes
    ----------
    command : tuple of str
    moment_s : float
        Time from its start to the signal.
    number : int
        The signal.
    reached : bool
        Whether the command was still running when the signal came.
    ended_s, cpu_s : float
        Wall-clock time from the signal to the end, and CPU time in it: on a loaded machine only this one is its own.
    status : int
        Exit status; minus a signal's number if that has killed it.
    out, err : str
    left : int
        Processes of its group 1.5 s after its end.
    """

    command: tuple[str, ...]
    moment_s: float
    number: int
    reached: bool
    ended_s: float
    cpu_s: float
    status: int
    out: str
    err: str
    left: int

    @property
    def fault(self) -> str | None:
        """What is wrong with it, if anything."""
        if not self.reached:
            return None if self.status in (0, 3) else f"it failed before the signal: {self.err[-200:]}"
        if self.left:
            return f"{self.left} processes were left"
        if min(self.ended_s, self.cpu_s) > 2.0:
            return f"it took {self.ended_s:.1f} s, {self.cpu_s:.1f} s of them its own"
        if "Traceback" in self.err and "init_import_site" not in self.err:  # Python's own, before any code of ours
            return "it printed a traceback"
        # Python itself has no handler in its first moments, and none is needed in its last ones.
        early_or_late = self.moment_s < 0.3 or "error: interrupted" not in self.err
        if self.status != 130 and not (early_or_late and self.status in (0, 1, -self.number)):
            return f"it ended with {self.status}"
        return None


def interrupt_command(
    arguments: Sequence[str],
    when: float | Callable[[], bool],
    number: int = signal.SIGINT,
    *,
    whole_group: bool = False,
    limit_s: float = LOADED_S,
) -> Outcome:
    """Start a command in a process group of its own, and send it a signal.

    Parameters
    ----------
    when : float or callable
        Seconds after its start; or a condition that is checked every 10 ms.
    number : int
        The signal.
    whole_group : bool
        Whether all its processes get the signal, as from a terminal, or only the command.
    limit_s : float
        Time after which it is killed; its status is then that of SIGKILL.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job: it would be inherited
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begin = time.monotonic()
        process = subprocess.Popen([*COMMAND, *arguments], stdout=out, stderr=err, start_new_session=True)
        try:
            while process.poll() is None and not (
                when() if callable(when) else time.monotonic() - begin >= when
            ):  # fmt: skip
                time.sleep(0.01)
                if time.monotonic() - begin > limit_s:
                    break
            moment_s, reached, before_s = time.monotonic() - begin, process.poll() is None, cpu_s(process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number) if whole_group else process.send_signal(number)
            used_s = before_s
            while process.poll() is None and time.monotonic() - begin - moment_s < limit_s:
                used_s = max(used_s, cpu_s(process.pid))
                time.sleep(0.02)
            ended_s = time.monotonic() - begin - moment_s
            left = _left(process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0), err.seek(0)
        return Outcome(
            tuple(arguments), moment_s, number, reached, ended_s, used_s - before_s, process.returncode,
            out.read(), err.read(), left,
        )  # fmt: skip


def cpu_s(pid: int) -> float:
    """CPU time of a process so far; 0 where that is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _left(group: int) -> int:
    """Number of processes of a group that are still there after a while, less its leader."""
    end = time.monotonic() + 1.5
    while True:
        members = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
                members += int(its_group) == group and state not in "ZX" and int(stat.parent.name) != group
        if members == 0 or time.monotonic() > end:
            return members
        time.sleep(0.05)


TRIES: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("solve", "multi_server", "--count", "20000"),
    ("solve", "multi_server", "--set", "users=1000", "--set", "servers=10", "--count", "50"),
    ("solve", "multi_server", "--solver", "milp", "--set", "users=100", "--count", "50"),
    ("solve", "multi_server", "--solver", "milp", "--set", "users=1000", "--set", "servers=10"),
    ("solve", "multi_server", "--solver", "minlp", "--set", "users=100", "--set", "servers=5", "--count", "50"),
    ("solve", "multi_server", "--solver", "levy", "--set", "users=200", "--count", "500"),
    ("solve", "multi_server", "--solver", "greedy", "--count", "50000"),
    ("solve", "multi_server", "--set", "users=1000", "--set", "servers=10", "--export", "{out}.lp"),
    ("solve", "carbon_mimo", "--count", "20"),
    ("solve", "carbon_mimo", "--solver", "lyapunov"),
    ("solve", "carbon_mimo", "--solver", "levy", "--count", "50"),
    ("solve", "partial_mobile", "--count", "200"),
    ("solve", "partial_mobile", "--solver", "grid-milp", "--count", "20"),
    ("solve", "partial_mobile", "--solver", "levy", "--count", "200"),
    ("solve", "battery_d2d", "--count", "20"),
    ("solve", "battery_d2d", "--solver", "lyapunov"),
    ("solve", "battery_d2d", "--solver", "levy", "--count", "5"),
    ("solve", "twin_inference", "--count", "5"),
    ("solve", "twin_inference", "--solver", "lyapunov"),
    ("solve", "twin_inference", "--solver", "levy", "--count", "5"),
    ("demos", "multi_server", "--count", "100000", "--out", "{out}"),
    ("demos", "multi_server", "--count", "100000", "--workers", "2", "--out", "{out}"),
    ("demos", "carbon_mimo", "--count", "512", "--workers", "2", "--out", "{out}"),
    ("train", "multi_server", "--learner", "dirs", "--out", "{out}"),
    ("train", "multi_server", "--learner", "prices", "--out", "{out}"),
    ("train", "multi_server", "--learner", "ppo-sb3", "--out", "{out}"),
    ("train", "carbon_mimo", "--learner", "ppo", "--out", "{out}"),
    ("train", "carbon_mimo", "--learner", "maddpg", "--out", "{out}"),
    ("train", "battery_d2d", "--learner", "dqn", "--out", "{out}"),
    ("train", "twin_inference", "--learner", "ddpg-discrete", "--out", "{out}"),
    ("train", "carbon_mimo", "--learner", "federated", "--out", "{out}"),
    ("compare", "multi_server", "--count", "5000", "--out", "{out}"),
    ("compare", "carbon_mimo", "--count", "20"),
    ("reproduce", "multi_server", "--out", "{out}"),
    ("reproduce", "battery_d2d", "--workers", "1", "--out", "{out}"),
)
"""Commands that run for a while, of every kind."""


def interrupt_try(rng: np.random.Generator, *, latest_s: float = 8.0) -> Outcome:
    """Interrupt a random command at a random moment by a random signal; `Outcome.fault` says what is wrong with it."""
    command: Any = TRIES[int(rng.integers(len(TRIES)))]
    moment_s, number = float(rng.uniform(0.0, latest_s)), (signal.SIGINT, signal.SIGTERM)[int(rng.integers(2))]
    whole_group = number == signal.SIGINT and bool(rng.integers(2))
    folder = Path(tempfile.mkdtemp(prefix="offloadopt-interrupt-"))
    try:
        arguments = [part.replace("{out}", str(folder / "out")) for part in command]
        return interrupt_command(arguments, moment_s, number, whole_group=whole_group)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
