"""Ctrl-C and SIGTERM: searches end with what they have found, commands end soon, and nothing is torn apart.

Where the program leaves a signal to Python, the first one

* within `interruptible` makes all deadlines pass, so that a search ends as at its time limit;
* within `held` waits for the end of a step that must be whole;
* anywhere else raises `KeyboardInterrupt`.

`ending_command` is the command line's: SIGTERM does what Ctrl-C does, and the second signal ends the process at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
INSIST_S = 1.5
"""Pause until `KeyboardInterrupt` is raised again: libraries swallow one that hits a callback or a bare except."""

_steps = 0
"""Steps in progress that must be whole."""
_interrupted: bool | None = None
"""Whether a signal came within `interruptible`; None outside."""


def interrupt() -> None:
    """Do what the first Ctrl-C does, for searches by a program that handles the signal itself."""
    global _interrupted
    if _interrupted is None:
        raise KeyboardInterrupt
    _interrupted = True


def interrupted() -> bool:
    """Whether a signal came within `interruptible`."""
    return bool(_interrupted)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within this context the first signal makes all deadlines pass; only the second raises `KeyboardInterrupt`.

    An inner context adds nothing to an outer one. Signals stay as they are outside the main thread, and where the
    program handles them itself.
    """
    global _interrupted
    usual = _handlers(lambda handler: handler in (signal.default_int_handler, _end_command))
    if _interrupted is not None or not usual:
        yield
        return

    def pass_deadlines(*_: object) -> None:
        _restore(usual)
        _end_at_the_next()
        interrupt()

    _interrupted = False
    for number in usual:
        signal.signal(number, pass_deadlines)
    try:
        yield
    finally:
        _restore(usual)
        if _interrupted:
            _end_at_the_next()
        _interrupted = None


@contextmanager
def held(limit_s: float | None = None) -> Iterator[list[Any]]:
    """Collect signals within this context, and call the handler of the first one at the end.

    Parameters
    ----------
    limit_s : float, optional
        Time in s after a signal at which `KeyboardInterrupt` ends this context; without it a signal waits for its end.

    Yields
    ------
    list
        Not empty once a signal has come: what runs here should end soon.
    """
    received: list[Any] = []
    usual = _handlers(callable)
    late = RaisedInThread(KeyboardInterrupt)

    def collect(*signal_and_frame: Any) -> None:
        if limit_s is not None and not received:
            late.when(lambda: True, limit_s)
        received.append(signal_and_frame)
        _end_at_the_next()

    for number in usual:
        signal.signal(number, collect)
    try:
        with _whole() if limit_s is None else nullcontext():
            try:
                yield received
            finally:
                late.stop()
    finally:
        _restore(usual)
        if received:
            usual[received[0][0]](*received[0])


@contextmanager
def _whole() -> Iterator[None]:
    """Within this context no `KeyboardInterrupt` is raised again."""
    global _steps
    _steps += 1
    try:
        yield
    finally:
        _steps -= 1


def _handlers(wanted: Callable[[Any], bool]) -> dict[int, Any]:
    """The signals' handlers that are ``wanted``; none outside the main thread, which alone may change them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: handler for number in SIGNALS if wanted(handler := signal.getsignal(number))}


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def blocked() -> Iterator[None]:
    """Let Ctrl-C wait until the end of this context; processes and threads started within never see it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def continued_by_the_same_call() -> Iterator[None]:
    """Say at Ctrl-C that finished work is kept, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished work is kept, and the same call continues") from None


class RaisedInThread:
    """Raise an exception in the thread that made this object, again and again until `stop`.

    Only Python code can be interrupted in this way, in any thread.
    """

    def __init__(self, exception: type[BaseException]) -> None:
        self._exception, self._thread, self._raised = exception, threading.get_ident(), False
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def when(self, condition: Callable[[], bool], every_s: float) -> None:
        """Raise it whenever the condition holds, which another thread checks every so many seconds."""

        def watch() -> None:
            while not self._stopped.wait(every_s):
                with self._lock:
                    if condition() and not self._stopped.is_set():
                        self._raise()

        threading.Thread(target=watch, daemon=True).start()

    def stop(self) -> None:
        """Stop; an exception that was raised just before comes to nothing within this call."""
        self._stopped.set()
        with self._lock:
            if not self._raised:
                return
        # Withdrawn by NULL, it would leave a flag by which Python 3.11 looks for exceptions before every instruction of
        # this thread, and traced code, as in a debugger, never goes on: so it is raised, in place of a pending one.
        with suppress(self._exception):
            self._raise()
            while True:
                pass

    def _raise(self) -> None:
        self._raised = True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(self._exception))


# ---------------------------------------------------------------------------------------------- the command line's own

_insisting: RaisedInThread | None = None
_ending: bool | None = None
"""Whether a signal is ending the command; None outside `ending_command`."""


@contextmanager
def ending_command() -> Iterator[None]:
    """Within this context Ctrl-C and SIGTERM raise `KeyboardInterrupt`; the second one ends the process at once."""
    global _ending, _insisting
    usual = _handlers(lambda handler: handler in (signal.default_int_handler, signal.SIG_DFL))
    if not usual:
        yield
        return
    hook = sys.unraisablehook

    def show_no_interrupt(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, Exception):
            hook(unraisable)

    _ending, sys.unraisablehook = False, show_no_interrupt
    for number in usual:
        signal.signal(number, _end_command)
    try:
        yield
    finally:
        try:
            if _insisting is not None:
                _insisting.stop()
        finally:
            _restore(usual)
            if _ending:  # Python kills itself at its end where KeyboardInterrupt has left any of C's PyRun functions
                ctypes.pythonapi.PyRun_SimpleString(b"")
            _ending, _insisting, sys.unraisablehook = None, None, hook


def ending() -> bool:
    """Whether a signal is ending the command: every error that follows is its consequence."""
    return bool(_ending)


def _end_command(*_: int | FrameType | None) -> None:
    global _insisting
    _end_at_the_next()
    if _insisting is None:
        _insisting = RaisedInThread(KeyboardInterrupt)
        _insisting.when(lambda: _steps == 0, INSIST_S)
    raise KeyboardInterrupt


def _end_at_the_next() -> None:
    """Let the next signal end the process of a command, whatever library code it is in."""
    global _ending
    if _ending is None:
        return
    _ending = True
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # a progress bar hides the cursor
