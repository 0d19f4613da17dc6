"""The clock of run times and time limits: wall-clock time during which numba compiles nothing.

A kernel is compiled, or loaded from numba's cache on disk, when it is first called with its types. That may take many
seconds, once per process. It is no part of what an instance takes to solve: charged to the first instance, it would
spoil its time and use up its limit. `clock` therefore stands still meanwhile. It listens to numba's compiler lock
(`numba.core.event`), so that every kernel counts, of a solver, a policy or the physics, whenever it is first called.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol


class _CompileTime(Protocol):
    """Seconds that compilation has taken so far, and when the one that is going on began."""

    seconds: float
    began: float | None


_compile_time: _CompileTime | None = None


def clock() -> float:
    """Read the wall clock in s, less the time that numba has spent on compiling and loading kernels.

    Only differences of two readings in one process have a meaning, as with `time.perf_counter`. While another thread
    compiles, the clock stands still for all.
    """
    global _compile_time
    if _compile_time is None:
        if "numba" not in sys.modules:  # nothing has been compiled; importing numba takes long and may not be needed
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
            """Kernels call kernels: only the outermost compilation is timed."""
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
