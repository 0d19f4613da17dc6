"""The runner of ``make fuzz`` sees every kind of fault, makes it small, and repeats it from its seed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from fuzz.__main__ import Tally, table
from fuzz.classes import make
from fuzz.judge import Result, fault_of
from fuzz.shrink import shrink
from fuzz.tries import Try, decoded, encoded
from fuzz.worker import Worker


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (Result(2, "", "error: users = 0; allowed: at least 1\n"), None),
        (Result(0, '{"results": [{"bound": 1.0, "objective": 1.0}]}', ""), None),
        (Result(0, '{"results": [{"bound": null, "objective": 1.0}]}', ""), None),
        (Result(0, '{"results": [{"bound": 2.0, "objective": 1.0}]}', ""), "bound 2.0 above objective 1.0"),
        (Result(0, '{"results": [{"bound": NaN, "objective": 1.0}]}', ""), "stdout is no JSON: NaN in the JSON"),
        (Result(1, "", "error: unexpected KeyError: 'x'\n"), "stderr holds unexpected"),
        (Result(7, "", ""), "status 7"),
        (Result(2, "", "error: a\nerror: b\n"), "2 error lines"),
        (Result(2, "", f"error: {'x' * 301}\n"), "a line of 308 characters"),
        (Result(0, '{"results": []}', "", ("RuntimeWarning: overflow",)), "warning RuntimeWarning: overflow"),
        (Result(0, "", "", (), "KeyError: x"), "escaped KeyError: x"),
    ],
)
def test_what_is_not_promised_is_a_fault(result: Result, fault: str | None) -> None:
    found = fault_of(Try((("solve", "multi_server", "--json"),)), result)
    assert found == fault if fault is None else (found or "").startswith(fault)


def test_a_crash_a_hang_and_an_error_are_seen_and_the_next_try_runs(worker: Worker) -> None:
    assert worker.run(Try(code="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")) == "died: SIGSEGV"
    assert worker.run(Try(code="while True: pass", limit_s=0.1)) == "hangs: no end after 0.1 s"
    assert worker.run(Try(code="1 / 0")) == "escaped ZeroDivisionError: division by zero"
    assert worker.run(Try(code="from offloadopt.errors import InvalidInput; raise InvalidInput('no')")) is None


def test_a_function_is_tried_in_a_folder_of_its_own(worker: Worker) -> None:
    assert worker.run(Try(check=lambda folder: f"{len(os.listdir(folder))} files")) == "0 files"
    assert worker.run(Try(check=lambda folder: os.kill(os.getpid(), signal.SIGABRT))) == "died: SIGABRT"


def test_what_a_fault_does_not_need_is_dropped() -> None:
    groups = (("solve",), ("--set", "a=1"), ("--set", "b=123456789.123"), ("--set", "c=3"))

    def run(made: Try) -> str | None:
        return "status 1" if any("b=" in word for word in made.words) else None

    small = shrink(Try(groups), "status 1: whatever", run)
    assert small.command == "offloadopt solve --set b=1e+08"


@pytest.mark.parametrize("name", ["calls", "counts"])
def test_a_seed_gives_the_same_tries_and_commands_show_them(name: str) -> None:
    tries = [make(name, 3, number) for number in range(5)]
    assert [made.command for made in tries] == [make(name, 3, number).command for number in range(5)]
    assert len({made.command for made in tries}) > 1
    assert decoded(encoded(tries[0])).command == tries[0].command


def test_the_table_sums_the_classes() -> None:
    assert table({"a": Tally(1200, 5.0, 0), "b": Tally(1, 5.0, 2)}, 10.4, 0).splitlines()[2:] == [
        "| a | 1,200 | 5 | 0 |",
        "| b | 1 | 5 | 2 |",
        "| all, seed 0 | 1,201 | 10 | 2 |",
    ]
