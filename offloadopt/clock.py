"""Clock of run times and time limits: wall-clock time without just-in-time compilation by numba.

A kernel is compiled, or loaded from numba's cache on disk, when it is first called with given types. That may take many
seconds, once per process. Charged to the first instance, it would distort its run time and use up its time limit.
`clock` therefore stops during compilation. It listens to the events of numba's compiler lock (`numba.core.event`),
which cover every kernel of a solver, a policy or the physics, whenever it is first called.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol


class _CompileTime(Protocol):
    """Total time of compilation in s, and the begin of a compilation in progress (`time.perf_counter`) or None."""

    seconds: float
    began: float | None


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


def _listen_to_numba() -> _CompileTime:
    from numba.core import event

    class CompileTime(event.Listener):
        def __init__(self) -> None:
            self.seconds = 0.0
            self.began: float | None = None
            self._depth = 0

        def on_start(self, event: event.Event) -> None:
            """Start timing at the outermost compilation: kernels that call kernels compile these first."""
            if self._depth == 0:
                self.began = time.perf_counter()
            self._depth += 1

        def on_end(self, event: event.Event) -> None:
            if self.began is None:  # it began before this listener was registered, in another thread
                return
            self._depth -= 1
            if self._depth == 0:
                self.seconds, self.began = self.seconds + time.perf_counter() - self.began, None

    compile_time = CompileTime()
    event.register("numba:compiler_lock", compile_time)  # type: ignore[no-untyped-call]
    return compile_time
