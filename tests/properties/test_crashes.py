"""Killed before any file-system call, or with a full disk there, a command goes on to the same bytes when run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offloadopt.cli import main
from offloadopt.folders import folder_lock
from offloadopt.reproduce.runner import reproduce

from toys import crashes, slow_paper

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:stable_baselines3")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slow_paper.LOG, "/dev/null")


def small_paper(out: Path) -> None:
    reproduce(slow_paper.paper(), ["fig-1"], out, workers=1)


def faults(work: Any, kills: slice, full: slice = slice(0)) -> Iterator[str]:
    """What is wrong after kills at some points, and with a full disk at others."""
    count, whole = crashes.undisturbed(work)
    points = range(count)
    for point in points[kills]:
        yield from filter(None, [crashes.killed_at(work, point, whole)])
    for point in points[full]:
        yield from filter(None, [crashes.full_disk_at(work, point, whole)])


@pytest.mark.parametrize(
    ("work", "kills", "full"),
    [
        (crashes.DEMONSTRATIONS, slice(2, None, 4), slice(1, None, 16)),
        (crashes.COMPARISON, slice(-17, None, 16), slice(9, 10)),
        (small_paper, slice(1, None, 15), slice(5, 6)),
    ],
    ids=["demos", "compare", "reproduce"],
)
def test_killed_at_any_moment_or_with_a_full_disk_a_command_goes_on_to_the_same_bytes(
    work: Any, kills: slice, full: slice
) -> None:
    assert list(faults(work, kills, full)) == []


@pytest.mark.parametrize("learner", crashes.OPTIONS)
def test_so_does_the_training_of_every_learner(learner: str, shared: Path) -> None:
    """Each at a moment of its own, every second one while it finishes."""
    number = list(crashes.OPTIONS).index(learner)
    moment = slice(number, number + 1) if number % 2 else slice(-2 - number, -1 - number)
    assert list(faults(crashes.training(learner, shared / learner), moment)) == []


@pytest.mark.parametrize(
    "work",
    [crashes.DEMONSTRATIONS, crashes.COMPARISON, ("train", *crashes.ONE_SLOT, "--learner", "prices", "--steps", "9")],
    ids=["demos", "compare", "train"],
)
def test_a_second_writer_is_refused_in_one_line(work: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with folder_lock(tmp_path):
        assert main([*work, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path} is being written by another process\n"
    assert list(tmp_path.iterdir()) == []
