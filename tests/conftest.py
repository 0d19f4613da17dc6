"""What several tests share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType

import pytest

# A shell's background jobs ignore Ctrl-C, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

ENTRY_POINTS = """
[offloadopt.problems]
queues = toy_plugin:Queues

[offloadopt.solvers]
foresight = toy_plugin:Foresight
exact = toy_plugin:Foresight
missing = toy_plugin:NoSuchClass

[offloadopt.learners]
threshold-search = toy_plugin:ThresholdSearch
"""


PLAIN_LIMIT_S = 20.0
"""CPU time of a test whose kernels run as plain Python: by then coverage has seen what it reaches."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Without compilation, which `make coverage` turns off to see into kernels, end tests that would take minutes."""
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        return (yield)

    def end(*_: object) -> None:
        pytest.skip("takes too long where kernels run as plain Python")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, PLAIN_LIMIT_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The plugin of `toys/plugin.py`, installed as pip would install it: a module and its metadata on the path."""
    site = tmp_path / "site"
    metadata = site / "toy_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("toys") / "plugin.py", site / "toy_plugin.py")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(site)
    import toy_plugin

    yield toy_plugin
    del sys.modules["toy_plugin"]


@pytest.fixture
def real_places() -> tuple[Path, Path]:
    """Real users and base-station sites of Melbourne, where the files are present: they are not ours to ship."""
    data = Path(__file__).parents[2] / "shared" / "data"
    users, sites = data / "eua-users-melbcbd.csv", data / "eua-sites-melbcbd.csv"
    if not (users.is_file() and sites.is_file()):
        pytest.skip("the EUA files are not here")
    return users, sites
