"""Clock of run times, and deadlines: wall-clock time without just-in-time compilation by numba, and Ctrl-C.

A kernel is compiled, or loaded from numba's cache on disk, when it is first called with given types. That may take many
seconds, once per process. Charged to the first instance, it would distort its run time and use up its time limit.
`clock` therefore stops during compilation. It listens to the events of numba's compiler lock (`numba.core.event`),
which cover every kernel of a solver, a policy or the physics, whenever it is first called.

A search has one `Deadline`, which each of its phases checks. Within `interruptible` the first Ctrl-C makes all
deadlines pass, so that a search ends as at its time limit: with the best decision and the bound found until then. On
the command line SIGTERM does the same (`command_signals`). Only compilation, which checks no deadline, is broken off.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol


class _CompileTime(Protocol):
    """Total time of compilation in s, and the begin of a compilation in progress (`time.perf_counter`) or None."""

    seconds: float
    began: float | None


SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a search: Ctrl-C, and what ``kill`` and cluster schedulers send."""

_compile_time: _CompileTime | None = None
_interrupted: bool | None = None
"""Whether Ctrl-C was pressed within `interruptible`; None outside."""
_signalled = False
"""Whether a signal has come within `command_signals`."""


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


class Deadline:
    """The end of a search: its time limit, or the first Ctrl-C within `interruptible`.

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
        return 0.0 if _interrupted else max(self._end - clock(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left_s == 0.0

    def part(self, fraction: float) -> Deadline:
        """Deadline of the next part of the search, which gets this fraction of the time left."""
        return Deadline(self.left_s, fraction)


def _raise_interrupt(*_: object) -> NoReturn:
    """Raise `KeyboardInterrupt`, as Python's own handler does, and remember it."""
    global _signalled
    _signalled = True
    raise KeyboardInterrupt


@contextmanager
def command_signals() -> Iterator[Callable[[], bool]]:
    """Within this context SIGTERM raises `KeyboardInterrupt` as Ctrl-C does, unless the program handles or ignores it.

    Yields a function that tells whether a signal has come: some libraries turn the exception into one of their own.
    """
    global _signalled
    _signalled = False
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    with _handled(_raise_interrupt, lambda number, handler: handler == usual[number]):
        yield lambda: _signalled


@contextmanager
def interruptible() -> Iterator[None]:
    """Within this context the first Ctrl-C makes all deadlines pass; only the second raises `KeyboardInterrupt`.

    During compilation the first one raises it too. An inner context adds nothing to an outer one. Ctrl-C stays as it is
    outside the main thread, and where the program handles it itself.
    """
    global _interrupted
    usual = (signal.default_int_handler, _raise_interrupt)
    if _interrupted is not None:
        yield
        return

    def pass_deadlines(number: int, frame: Any) -> None:
        for known, handler in before.items():
            signal.signal(known, handler)
        interrupt()
        if _compile_time is not None and _compile_time.began is not None:
            before[number](number, frame)

    with _handled(pass_deadlines, lambda _, handler: handler in usual) as before:
        if not before:
            yield
            return
        _interrupted = False
        try:
            yield
        finally:
            _interrupted = None


@contextmanager
def signals_deferred(received: list[Any]) -> Iterator[None]:
    """Collect Ctrl-C and SIGTERM in a list while a library's own code runs, and call their handlers at the end."""
    received.clear()
    collected = _handled(lambda *arguments: received.append(arguments), lambda _, handler: callable(handler))
    with collected as before:
        yield
    if received:
        number, frame = received.pop(0)
        before[number](number, frame)


@contextmanager
def _handled(handler: Callable[..., Any], wanted: Callable[[int, Any], bool]) -> Iterator[dict[int, Any]]:
    """Handle the signals whose handlers are ``wanted``, in the main thread, which alone receives them; yield those."""
    before = dict[int, Any]()
    if threading.current_thread() is threading.main_thread():
        before = {number: found for number in SIGNALS if wanted(number, found := signal.getsignal(number))}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def continued_by_the_same_call() -> Iterator[None]:
    """Say at Ctrl-C that finished work is kept, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished work is kept, and the same call continues") from None


def interrupt() -> None:
    """Do what the first Ctrl-C does, for searches by a program that handles the signal itself."""
    global _interrupted
    if _interrupted is None:
        raise KeyboardInterrupt
    _interrupted = True


def interrupted() -> bool:
    """Whether Ctrl-C was pressed within `interruptible`."""
    return bool(_interrupted)
