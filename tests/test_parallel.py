"""Tasks in worker processes: each result once, failures in one line, and no worker that outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import ModuleType

import pytest

from offloadopt import parallel
from offloadopt.errors import InvalidInput, OffloadError, Unsupported
from offloadopt.interrupts import ending_command

from toys.parallel_tasks import die, fail_at_three, process_and_threads, square


def collect(function: Callable[[int], object], count: int, workers: int = 2) -> list[object]:
    results: list[object] = []
    parallel.for_each(function, range(count), results.append, workers=workers, backend="loky")
    return results


def test_every_result_is_handled_once() -> None:
    assert sorted(collect(square, 7)) == [0, 1, 4, 9, 16, 25, 36]  # type: ignore[type-var]


def test_workers_are_processes_of_one_thread_each() -> None:
    for process, threads in collect(process_and_threads, 4):  # type: ignore[misc]
        assert process != os.getpid()
        assert threads == "1"


def test_an_error_in_a_task_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="three"):
        collect(fail_at_three, 5)


def test_a_worker_that_dies_is_one_line() -> None:
    with pytest.raises(OffloadError, match=r"^a worker process died, perhaps out of memory; finished work is kept$"):
        collect(die, 2)
    assert sorted(collect(square, 3)) == [0, 1, 4]  # type: ignore[type-var]


def test_it_works_in_a_thread_which_may_set_no_handlers() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(collect(square, 3)))
    thread.start()
    thread.join()
    assert sorted(found) == [0, 1, 4]  # type: ignore[type-var]


def test_an_error_while_a_result_is_handled_ends_the_call() -> None:
    def handle(result: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.for_each(square, range(4), handle, workers=2, backend="loky")
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


@pytest.mark.parametrize(
    ("workers", "backend", "message"),
    [
        (0, "loky", "^workers = 0; allowed: a whole number of at least 1$"),
        (1, "locky", "^backend = 'locky'; did you mean 'loky'"),
    ],
)
def test_a_wrong_request_is_refused(workers: int, backend: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parallel.check(workers, backend)


class FakeRay(ModuleType):
    """Begins as Ray does: with a handler of its own, and perhaps a signal at once."""

    class RayError(Exception):
        pass

    def __init__(self, begin: Callable[[], None] = lambda: None) -> None:
        super().__init__("ray")
        self.begin, self.ended = begin, 0

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
        self.begin()

    def shutdown(self) -> None:
        self.ended += 1

    @contextmanager
    def Pool(self, workers: int) -> Iterator[ThreadPool]:
        with ThreadPool(workers) as pool:
            yield pool


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRay]:
    def make(begin: Callable[[], None] = lambda: None) -> FakeRay:
        fake = FakeRay(begin)
        for name in ("ray", "ray.exceptions", "ray.util", "ray.util.multiprocessing"):
            monkeypatch.setitem(sys.modules, name, fake)
        return fake

    return make


def test_sigterm_ends_the_command_as_before_once_ray_has_begun(fake_ray: Callable[..., FakeRay]) -> None:
    fake, found = fake_ray(), list[int]()
    with ending_command():
        usual = signal.getsignal(signal.SIGTERM)
        parallel.for_each(
            square, [1, 2], lambda _: found.append(signal.getsignal(signal.SIGTERM) == usual), workers=2, backend="ray"
        )
    assert (found, fake.ended) == ([True, True], 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_ray_begins_ends_it_too(fake_ray: Callable[..., FakeRay], number: int) -> None:
    fake = fake_ray(lambda: signal.raise_signal(number))
    with pytest.raises(KeyboardInterrupt), ending_command():
        parallel.for_each(square, [1, 2], print, workers=2, backend="ray")
    assert fake.ended == 1


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unsupported, match=r"pip install 'offloadopt\[ray\]'"):
        parallel.check(1, "ray")


SCRIPT = """
import os, pathlib, sys, time
from offloadopt import parallel

def work(number):
    (pathlib.Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(60)

parallel.for_each(work, range(2), print, workers=2, backend="loky")
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the processes from /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], start_new_session=True)
    try:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        process.kill()
        process.wait()
    workers = [Path("/proc") / path.name for path in tmp_path.iterdir()]
    wait_until(lambda: not any(map(runs, workers)))


def runs(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
