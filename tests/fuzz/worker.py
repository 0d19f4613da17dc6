"""Runs tries in a forked process, so that a crash, a hang or spoiled state of one try is seen and harms no other."""

from __future__ import annotations

import faulthandler
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fuzz.judge import Result, fault_of
from fuzz.tries import Try, decoded, encoded

from toys import signals
from toys.small_problems import small_problems

MEMORY = 12 * 2**30
"""Address space of a worker: what would need more is to be refused, or ends in a line about memory."""
LOADED = 6.0
"""How much longer a try may take on a loaded machine than its limit."""
TRIES = 1000
"""Tries of one process."""
ROOT = Path(__file__).parents[2].resolve()
OURS = ("offloadopt", "solvers", "learners", "datasets")


SLOW = ("milp", "minlp", "grid-milp")
"""Solvers without kernels of their own."""
UNTHREADED = ("random", "greedy", "local", "lyapunov", "levy", "greedy-local", "all-edge", "round-robin")
"""Solvers that start no threads, which would not survive a fork."""


def warm_up() -> None:
    """Import everything and load the kernels before forking, so that workers start warm."""
    from offloadopt import registry

    for group in ("solvers", "learners"):
        for name in registry.names(group):
            registry.implementations(group, name)
    compiling = multiprocessing.get_context("fork").Process(target=_solve_by_all, args=(registry.names("solvers"),))
    compiling.start()
    compiling.join()
    _solve_by_all(UNTHREADED)


def _solve_by_all(solvers: Iterable[str]) -> None:
    """Solve a small instance of every problem by solvers; their kernels are then in the cache."""
    from offloadopt import registry

    for problem in small_problems():
        for name in solvers:
            if name not in SLOW and registry.serves("solvers", name, problem):
                registry.solver(name, problem, time_limit_s=5.0).run(problem, problem.sample(1, 0))


class Worker:
    """A process that runs tries one after the other; it is replaced when it dies, hangs, or has run its number.

    Attributes
    ----------
    counts : Counter of str
        What the last try has counted.
    """

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Connection
        self._left = 0
        self.counts: Counter[str] = Counter()

    def run(self, made: Try) -> str | None:
        """Run a try: its fault in one line, or None."""
        if self._left <= 0:
            self.close()
            self._start()
        self._left -= 1
        self.counts = Counter()
        if made.check is None:
            self._connection.send(encoded(made))
        else:  # functions travel by forking
            self.close()
            self._start(made)
        if not self._answers(made.limit_s):
            self.close()
            return f"hangs: no end after {made.limit_s:g} s"
        try:
            answer: str | None
            answer, self.counts = self._connection.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self.close()
            return f"died: {signal.Signals(-code).name if code < 0 else f'exit {code}'}"
        return answer

    def _answers(self, limit_s: float) -> bool:
        """Wait for an answer: so much time of the processor, or `LOADED` times as long on a loaded machine."""
        begin, used_s = time.monotonic(), signals.cpu_s(self._process.pid)
        while not self._connection.poll(0.05):
            waited_s = time.monotonic() - begin
            if waited_s > LOADED * limit_s or signals.cpu_s(self._process.pid) - used_s > limit_s:
                return False
        return True

    def close(self) -> None:
        """End the process with all that it started."""
        self._left = 0
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process = None

    def _start(self, first: Try | None = None) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(theirs, self._connection, first)
        )
        self._process.start()
        with suppress(OSError):  # the process does it too: whoever comes first
            os.setpgid(self._process.pid, self._process.pid)
        theirs.close()
        self._left = 0 if first is not None else TRIES


def _serve(connection: Connection, others: Connection, first: Try | None) -> None:
    others.close()  # so that the end of the parent is seen
    with suppress(OSError):
        os.setpgid(0, 0)
    faulthandler.disable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what libraries print themselves
        os.dup2(null, stream)
    if first is not None:
        connection.send(_in_a_folder(first))
        return
    while True:
        try:
            made = decoded(connection.recv())
        except EOFError:
            return
        connection.send(_in_a_folder(made))


def _in_a_folder(made: Try) -> tuple[str | None, Counter[str]]:
    """Run a try: its fault, and what it counts."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    before = Path.cwd()
    try:
        os.chdir(folder)
        for name, content in made.files.items():
            (folder / name).write_text(json.dumps(content))
        if made.check is not None:
            return made.check(folder), Counter()
        result = perform(made)
        return fault_of(made, result), result.counts
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def perform(made: Try) -> Result:
    """Run a command or code in this process."""
    out, err, escaped, status = io.StringIO(), io.StringIO(), "", 0
    counts = Counter[str]()
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(out), redirect_stderr(err):
        warnings.simplefilter("always")
        try:
            status = _code(made.code, counts) if made.code else _command(made.words)
        except BaseException as error:
            escaped = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}{_place(error)}"
    ours = [
        f"{one.category.__name__}: {one.message} at {Path(one.filename).name}:{one.lineno}"
        for one in caught
        if _is_ours(one.filename) and not issubclass(one.category, UserWarning)
    ]
    return Result(status, out.getvalue(), err.getvalue(), tuple(ours), escaped, counts)


def _command(words: list[str]) -> int:
    from offloadopt.cli import main

    return main(words)


def _code(code: str, counts: Counter[str]) -> int:
    from offloadopt.errors import OffloadError

    try:
        exec(compile(code, "<try>", "exec"), {"counts": counts})
    except OffloadError as error:
        print("error:", error, file=sys.stderr)
        return error.exit_status
    return 0


def _is_ours(filename: str) -> bool:
    path = Path(filename).resolve()
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS


def _place(error: BaseException) -> str:
    """The last line of our own code that an exception came through."""
    place, step = "", error.__traceback__
    while step is not None:
        if _is_ours(step.tb_frame.f_code.co_filename):
            place = f" at {Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
        step = step.tb_next
    return place
