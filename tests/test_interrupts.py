"""Ctrl-C and SIGTERM pass deadlines, wait for the end of a step, or end the command."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from offloadopt import interrupts
from offloadopt.clock import Deadline
from offloadopt.interrupts import (
    blocked,
    continued_by_the_same_call,
    ending_command,
    held,
    interrupt,
    interrupted,
    interruptible,
)

from toys.signals import interrupt_command, interrupt_try


def test_the_first_ctrl_c_passes_all_deadlines_and_the_second_raises() -> None:
    deadline = Deadline(100.0)
    with interruptible(), interruptible():
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        assert deadline.passed
        assert Deadline().passed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not interrupted()
    assert not deadline.passed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_stays_as_it_is_where_the_program_handles_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt()
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, ours)


def test_a_held_signal_waits_for_the_end_of_the_step() -> None:
    with pytest.raises(KeyboardInterrupt), held() as signals:  # noqa: PT012 - the end of the context raises
        assert not signals
        signal.raise_signal(signal.SIGINT)
        assert signals
        step_is_whole = True
    assert step_is_whole
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_held_signal_passes_the_deadlines_of_a_search_around_it() -> None:
    with interruptible():
        with held():
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
        assert interrupted()


TRACED_AFTERWARDS = """
import sys, time
from offloadopt.interrupts import RaisedInThread, held

with held(1.0):
    pass
late = RaisedInThread(ValueError)
try:
    late.when(lambda: True, 0.01)
    time.sleep(10.0)
except ValueError:
    late.stop()
sys.settrace(lambda *_: None)
(lambda: None)()
print("goes on")
"""


def test_code_can_be_traced_after_an_exception_was_raised_in_its_thread_or_could_have_been() -> None:
    ran = subprocess.run([sys.executable, "-c", TRACED_AFTERWARDS], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "goes on\n"


def test_a_blocked_ctrl_c_comes_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), blocked():  # noqa: PT012 - the end of the context raises
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        still_here = True
    assert still_here


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_in_a_command_sigterm_does_what_ctrl_c_does_and_the_next_signal_kills(number: signal.Signals) -> None:
    with ending_command():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert interrupts.ending()
        assert {signal.getsignal(each) for each in interrupts.SIGNALS} == {signal.SIG_DFL}
    assert not interrupts.ending()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_in_a_search_of_a_command_the_first_signal_passes_deadlines_and_the_next_kills() -> None:
    with ending_command():
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
            assert interrupted()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # while its result is printed
        assert interrupts.ending()


def test_an_interrupt_that_a_library_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "INSIST_S", 0.05)
    with pytest.raises(KeyboardInterrupt), ending_command():  # noqa: PT012 - the second one is raised in the loop
        with suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        end = time.monotonic() + 10.0
        while time.monotonic() < end:
            pass


def test_it_does_not_come_again_within_a_step_that_must_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "INSIST_S", 0.02)
    whole = False
    with pytest.raises(KeyboardInterrupt), ending_command():  # noqa: PT012 - what is tested comes after the signal
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            with held():
                end = time.monotonic() + 0.2
                while time.monotonic() < end:
                    pass
                whole = True
    assert whole


def test_signals_stay_as_they_are_in_other_threads_and_where_they_are_ignored() -> None:
    seen = []

    def enter_all() -> None:
        with ending_command(), interruptible(), held():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter_all)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        enter_all()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen[1] is signal.SIG_IGN


def test_what_continues_says_so() -> None:
    with pytest.raises(KeyboardInterrupt, match="the same call continues"), continued_by_the_same_call():
        raise KeyboardInterrupt


def test_a_step_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(KeyboardInterrupt), held(0.05):  # noqa: PT012 - it is raised in the loop
        signal.raise_signal(signal.SIGINT)
        end = time.monotonic() + 10.0
        while time.monotonic() < end:
            pass
        raise AssertionError


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGTERM, ("solve", "multi_server", "--count", "20000")),
        (signal.SIGINT, ("solve", "multi_server", "--solver", "milp", "--set", "users=1000", "--set", "servers=10")),
    ],
)
def test_a_real_command_ends_at_a_signal(number: int, arguments: tuple[str, ...]) -> None:
    ended = interrupt_command(arguments, 1.5, number)
    assert (ended.fault, ended.status) == (None, 130), ended


@pytest.mark.slow
def test_a_random_command_ends_at_a_random_moment() -> None:
    ended = interrupt_try(np.random.default_rng(0))
    assert ended.fault is None, ended
