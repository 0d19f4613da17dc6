"""Clock of run times, and deadlines: wall-clock time without just-in-time compilation by numba.

A kernel is compiled, or loaded from numba's cache on disk, when it is first called with given types. That may take many
seconds, once per process. Charged to the first instance, it would distort its run time and use up its time limit.
`clock` therefore stops during compilation. It listens to the events of numba's compiler lock (`numba.core.event`),
which cover every kernel of a solver, a policy or the physics, whenever it is first called.

A search has one `Deadline`, which each of its phases checks. Within `interrupts.interruptible` the first Ctrl-C makes
all deadlines pass, so that a search ends as at its time limit: with the best decision and the bound found until then.
Compilation cannot go on then: Ctrl-C ends it between two of its steps by `KeyboardInterrupt`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol

from offloadopt import interrupts
from offloadopt.interrupts import interrupted


class _CompileTime(Protocol):
    """Total time of compilation in s, and the begin of a compilation in progress (`time.perf_counter`) or None."""

    seconds: float
    began: float | None


CHECK_S = 0.05
"""Pause in s between checks of a deadline that is enforced."""
LOOK_S = 0.02
"""Time in s that a compiled search may take between two looks at its deadline, see `steps_until_look`."""
AFTER_CTRL_C_S = 1.0
"""Time in s for which kernels are still loaded, or compiled, after Ctrl-C."""
_compile_time: _CompileTime | None = None


def clock() -> float:
    """Wall-clock time in s, less the time that numba has spent on compiling and loading kernels.

    As with `time.perf_counter`, only differences of readings in one process are meaningful. Compilation in one thread
    stops the clock for all threads.
    """
    global _compile_time
    if _compile_time is None:
        if "numba" not in sys.modules:  # nothing has been compiled yet, and importing numba is slow
            return time.perf_counter()
        _compile_time = _listen_to_numba()
    now = time.perf_counter() if _compile_time.began is None else _compile_time.began
    return now - _compile_time.seconds


def compiling() -> bool:
    """Tell whether a kernel is being compiled or loaded right now, as far as `clock` has listened."""
    return _compile_time is not None and _compile_time.began is not None


def _listen_to_numba() -> _CompileTime:
    from numba.core import event

    class CompileTime(event.Listener):
        def __init__(self) -> None:
            self.seconds = 0.0
            self.began: float | None = None
            self._depth = 0
            self._signals: AbstractContextManager[Any] | None = None

        def on_start(self, event: event.Event) -> None:
            """Start timing at the outermost compilation: kernels that call kernels compile these first."""
            if self._depth == 0:
                self.began = time.perf_counter()
                self._signals = interrupts.held()  # callbacks of LLVM would swallow them
                self._received = self._signals.__enter__()
            self._depth += 1

        def on_end(self, event: event.Event) -> None:
            if self.began is None:  # it began before this listener was registered, in another thread
                return
            self._depth -= 1
            spent = time.perf_counter() - self.began
            if self._depth == 0:
                self.seconds, self.began = self.seconds + spent, None
            if self._signals is not None and (self._depth == 0 or self._received):
                ended, self._signals = self._signals, None
                ended.__exit__(None, None, None)
            if (interrupted() or interrupts.ending()) and spent > AFTER_CTRL_C_S:
                raise KeyboardInterrupt

    compile_time = CompileTime()
    event.register("numba:compiler_lock", compile_time)  # type: ignore[no-untyped-call]
    return compile_time


def steps_until_look(steps: int, seconds: float) -> int:
    """Number of a search's steps until the next look at the deadline, where the last ``steps`` took ``seconds``.

    For compiled code, whose steps may take a microsecond or a second by the size of the problem. Start with one step.
    """
    return max(1, int(min(4.0, LOOK_S / max(seconds, 1e-6)) * steps))


class TimeIsUp(BaseException):
    """A deadline has passed within `Deadline.enforced`; no exception that libraries catch."""


class Deadline:
    """The end of a search: its time limit, or the first Ctrl-C within `interrupts.interruptible`.

    Parameters
    ----------
    limit_s : float, optional
        Time limit in s from now on, compilation not counted; without it only Ctrl-C ends the search.
    times : float
        Factor of the limit, for example the number of instances that are searched together.
    """

    def __init__(self, limit_s: float | None = None, times: float = 1.0) -> None:
        self._end = math.inf if limit_s is None else clock() + times * limit_s

    @property
    def left_s(self) -> float:
        """Time left in s, at least 0; ``inf`` without a limit."""
        return 0.0 if interrupted() else max(self._end - clock(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left_s == 0.0

    def part(self, fraction: float) -> Deadline:
        """Deadline of the next part of the search, which gets this fraction of the time left."""
        return Deadline(self.left_s, fraction)

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """End this context as soon as the deadline passes, wherever its Python code is.

        For code that cannot check the deadline, such as a library's: what it was making is to be thrown away, so that
        `passed` must be checked afterwards.
        """
        watch = interrupts.RaisedInThread(TimeIsUp)
        with suppress(TimeIsUp):
            try:
                watch.when(lambda: self.passed, CHECK_S)
                yield
            finally:
                watch.stop()
