"""The clock of run times and limits leaves compilation out, in one process and where a solver starts with no cache."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numba
import pytest

from offloadopt import clock as clock_module
from offloadopt.clock import Deadline, clock
from offloadopt.interrupts import ending_command, held, interrupted, interruptible


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
solver = offloadopt.solver("local-search", problem, time_limit_s=10)
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


def test_an_enforced_deadline_ends_code_that_never_checks_it() -> None:
    ended = False
    begin = time.monotonic()
    with Deadline(0.05).enforced():
        while time.monotonic() < begin + 10.0:
            pass
        ended = True
    assert not ended
    with Deadline().enforced():
        ended = True
    assert ended


def test_ctrl_c_ends_a_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import event

    monkeypatch.setattr(clock_module, "AFTER_CTRL_C_S", 0.0)
    clock()
    step = partial(event.trigger_event, "numba:compiler_lock")
    with interruptible():
        with pytest.raises(KeyboardInterrupt), step(), step():  # noqa: PT012 - at the end of a step
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
        assert interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_compilation_in_a_step_of_a_command_does_not_wait_for_the_end_of_the_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from numba.core import event

    monkeypatch.setattr(clock_module, "AFTER_CTRL_C_S", 0.0)
    clock()
    went_on = False
    with pytest.raises(KeyboardInterrupt), ending_command(), held(10.0):  # noqa: PT012 - compilation raises
        with event.trigger_event("numba:compiler_lock"):
            signal.raise_signal(signal.SIGINT)
        went_on = True
    assert not went_on


def test_steps_between_two_looks_at_a_deadline_follow_from_the_time_of_the_last_ones() -> None:
    assert clock_module.steps_until_look(1, 0.0) == 4  # grows slowly: the next step may be a long one
    assert clock_module.steps_until_look(100, clock_module.LOOK_S) == 100
    assert clock_module.steps_until_look(100, 10.0 * clock_module.LOOK_S) == 10
    assert clock_module.steps_until_look(1, 1e3) == 1
