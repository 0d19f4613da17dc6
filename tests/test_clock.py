"""The clock of run times and limits leaves compilation out, in one process and where a solver starts with no cache."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest

from offloadopt import clock as clock_module
from offloadopt.clock import (
    Deadline,
    clock,
    command_signals,
    continued_by_the_same_call,
    interrupt,
    interrupted,
    interruptible,
    signals_deferred,
)


def test_it_stands_still_while_a_kernel_compiles_that_calls_another() -> None:
    @numba.njit
    def inner(x: float) -> float:
        return x + 1.0

    @numba.njit
    def outer(x: float) -> float:
        return 2.0 * inner(x)

    clock()
    begin, wall = clock(), time.perf_counter()
    assert outer(1.0) == 4.0
    spent, wall = clock() - begin, time.perf_counter() - wall
    assert 0.0 < spent < 0.2 * wall


def test_it_runs_as_the_wall_clock_where_nothing_compiles() -> None:
    begin, wall = clock(), time.perf_counter()
    time.sleep(0.05)
    assert clock() - begin == pytest.approx(time.perf_counter() - wall, abs=0.01)


def test_an_end_without_a_beginning_does_not_disturb_it() -> None:
    from numba.core import event

    clock()
    event.end_event("numba:compiler_lock")
    begin = clock()
    with event.trigger_event("numba:compiler_lock"):
        held = clock()
        time.sleep(0.02)
        assert clock() == held
    assert begin <= held <= clock() < begin + 0.02


def test_it_imports_no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "_compile_time", None)
    monkeypatch.delitem(sys.modules, "numba")
    assert clock() == pytest.approx(time.perf_counter(), abs=0.1)
    assert "numba" not in sys.modules


FIRST_RUN = """
import json, time
import offloadopt

problem = offloadopt.problem("multi_server", "heterogeneous", users=8, servers=2)
instances = problem.sample(2, seed=0)
solver = offloadopt.solver("local-search", time_limit_s=10)
begin = time.perf_counter()
solutions = solver.run(problem, instances)
print(json.dumps([solutions.seconds.tolist(), time.perf_counter() - begin]))
"""


@pytest.mark.slow
def test_without_a_cache_the_first_instance_is_not_charged_for_compilation(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", FIRST_RUN], capture_output=True, text=True, check=True, env=environment)
    seconds, wall = json.loads(ran.stdout)
    assert any(tmp_path.rglob("*.nbc"))  # it was compiled
    assert seconds[0] < 0.1 * wall


def test_a_deadline_passes_after_its_limit_and_gives_parts_of_the_time_left() -> None:
    endless, past, soon = Deadline(), Deadline(0.0), Deadline(50.0, times=2.0)
    assert endless.left_s == endless.part(0.5).left_s == math.inf
    assert (endless.passed, past.passed, soon.passed) == (False, True, False)
    assert 99.0 < soon.left_s <= 100.0
    assert 24.0 < soon.part(0.25).left_s <= 25.0


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_the_command_line_sigterm_is_ctrl_c(number: signal.Signals) -> None:
    deadline = Deadline(100.0)
    with command_signals() as signalled:
        assert not signalled()
        with interruptible():
            signal.raise_signal(number)
            assert interrupted()
            assert deadline.passed
        assert not signalled()  # the search has ended as asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert signalled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_program_that_ignores_signals_is_not_interrupted() -> None:
    ours = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with command_signals() as signalled, interruptible():
            signal.raise_signal(signal.SIGTERM)
            assert not interrupted()
        assert not signalled()
    finally:
        signal.signal(signal.SIGTERM, ours)


def test_compilation_is_broken_off() -> None:
    from numba.core import event

    clock()
    with interruptible():
        with pytest.raises(KeyboardInterrupt), event.trigger_event("numba:compiler_lock"):
            signal.raise_signal(signal.SIGINT)
        assert interrupted()


def test_signals_wait_until_a_library_returns() -> None:
    received = list[object]()
    with interruptible(), signals_deferred(received):
        signal.raise_signal(signal.SIGINT)
        assert received
        assert not interrupted()
    with pytest.raises(KeyboardInterrupt), signals_deferred(received):
        signal.raise_signal(signal.SIGINT)


def test_what_continues_says_so() -> None:
    with pytest.raises(KeyboardInterrupt, match="the same call continues"), continued_by_the_same_call():
        raise KeyboardInterrupt
