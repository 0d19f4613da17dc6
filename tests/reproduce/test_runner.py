"""Finished work is never done again, unfinished work never counts, and nothing foreign is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from offloadopt.errors import OutputExists, UnknownName
from offloadopt.reproduce.artefact import distinct_units
from offloadopt.reproduce.claims import Interval
from offloadopt.reproduce.runner import reproduce

from toys import slow_paper

SOURCE = Path(slow_paper.__file__)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module `slow_paper`, with a log of what was done."""
    monkeypatch.setenv(slow_paper.LOG, str(tmp_path / "log"))
    return slow_paper


def done(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def test_every_artefact_gets_its_files_and_shared_work_is_done_once(slow: ModuleType, tmp_path: Path) -> None:
    finished: list[int] = []
    written: list[str] = []
    folder = tmp_path / "out"
    claims = reproduce(slow.paper(), [], folder, workers=1, progress=finished.append, written=written.append)
    assert sorted(done(tmp_path)) == [f"{point} {seed}" for point in (1, 2, 3) for seed in (1, 2, 3)]
    assert sum(finished) == len(distinct_units(slow.paper().artefacts)) == 9
    assert written == ["fig-1", "fig-2"]
    assert (folder / "fig-1.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(folder / "fig-1.csv")
    expected = Interval.of([21.0, 22.0, 23.0])
    assert table[table["point"] == 2].iloc[0][["number", "number_low", "number_high"]].tolist() == pytest.approx(
        [expected.mean, expected.low, expected.high]
    )
    assert len(pd.read_csv(folder / "fig-1-replicates.csv")) == 6
    assert json.loads((folder / "claims.json").read_bytes()) == [claim.row() for claim in claims]
    assert [claim.holds for claim in claims] == [True, True]


def test_an_interrupted_run_is_continued_where_it_stopped(slow: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def stop(finished: int) -> None:
        if len(done(tmp_path)) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(slow.paper(), [], folder, workers=1, progress=stop)
    assert len(done(tmp_path)) == 4
    reproduce(slow.paper(), [], folder, workers=1)
    assert len(done(tmp_path)) == len(set(done(tmp_path))) == 9
    reproduce(slow.paper(), [], folder, workers=1)
    assert len(done(tmp_path)) == 9


def test_a_run_that_was_killed_is_continued_and_ends_with_the_same_tables(slow: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, str(SOURCE), str(folder)]
    process = subprocess.Popen([*command, "0.4"], start_new_session=True)
    try:
        end = time.monotonic() + 60
        while len(list(folder.glob("work/measure-*.json"))) < 2:
            assert time.monotonic() < end, "nothing was ever finished"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    kept = {path.name for path in folder.glob("work/measure-*.json")}
    assert 2 <= len(kept) < 9
    before = len(done(tmp_path))
    reproduce(slow.paper(), [], folder, workers=1)
    # A key holds the function's module, which was imported under the same name there and here.
    assert len(done(tmp_path)) == before + 9 - len(kept)
    reproduce(slow.paper(), [], tmp_path / "whole", workers=1)
    for table in ("fig-1.csv", "fig-2-replicates.csv", "claims.json"):
        assert (folder / table).read_bytes() == (tmp_path / "whole" / table).read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda unit: b"",
        lambda unit: b'{"result"',
        lambda unit: b"[1]",
        lambda unit: b'{"function": "measure"}',
        lambda unit: json.dumps({**unit, "result": {}}).encode(),
        lambda unit: json.dumps({**unit, "result": dict.fromkeys(unit["result"], "text")}).encode(),
        lambda unit: json.dumps({**unit, "result": dict.fromkeys(unit["result"], float("nan"))}).encode(),
        lambda unit: json.dumps({**unit, "parameters": {**unit["parameters"], "another": 1}}).encode(),
        lambda unit: json.dumps({**unit, "version": "0"}).encode(),
    ],
)
def test_a_damaged_or_foreign_unit_is_done_again(
    slow: ModuleType, tmp_path: Path, damage: Callable[[dict[str, Any]], bytes]
) -> None:
    folder = tmp_path / "out"
    reproduce(slow.paper(), ["fig-1"], folder, workers=1)
    victim = sorted(folder.glob("work/*.json"))[0]
    whole = json.loads(victim.read_bytes())
    unsealed = {name: value for name, value in whole.items() if name != "sha256"}
    victim.write_bytes(damage(unsealed))
    reproduce(slow.paper(), ["fig-1"], folder, workers=1)
    assert len(done(tmp_path)) == 7
    assert json.loads(victim.read_bytes())["result"] == whole["result"]


def test_a_unit_with_another_number_than_was_written_is_done_again(slow: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    reproduce(slow.paper(), ["fig-1"], folder, workers=1)
    victim = sorted(folder.glob("work/*.json"))[0]
    whole = victim.read_bytes()
    number = json.loads(whole)["result"]["number"]
    victim.write_bytes(whole.replace(json.dumps({"number": number}).encode(), b'{"number": 99.0}'))
    assert victim.read_bytes() != whole
    reproduce(slow.paper(), ["fig-1"], folder, workers=1)
    assert json.loads(victim.read_bytes())["result"]["number"] == number


def test_later_artefacts_join_earlier_ones_and_their_claims(slow: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert [claim.claim for claim in reproduce(slow.paper(), ["fig-2"], folder, workers=1)] == ["fig-2 is above 0"]
    claims = reproduce(slow.paper(), ["fig-1"], folder, workers=1)
    assert [claim.claim for claim in claims] == ["fig-1 is above 0", "fig-2 is above 0"]
    assert len(done(tmp_path)) == 9


@pytest.mark.parametrize(("size", "settings"), [("full", {}), ("quick", {"more": 1})])
def test_another_reproduction_is_refused_and_replaced_only_if_asked(
    slow: ModuleType, tmp_path: Path, size: str, settings: dict[str, Any]
) -> None:
    folder = tmp_path / "out"
    reproduce(slow.paper(), [], folder, workers=1)
    with pytest.raises(OutputExists, match="another reproduction"):
        reproduce(slow.paper(size, **settings), ["fig-1"], folder, workers=1)
    assert len(done(tmp_path)) == 9
    reproduce(slow.paper(size, **settings), ["fig-1"], folder, workers=1, overwrite=True)
    assert len(done(tmp_path)) == 9 + 6
    assert not (folder / "fig-2.csv").exists()


def test_a_folder_of_somebody_else_is_never_touched(slow: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "thesis.json").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputExists, match="work"):
            reproduce(slow.paper(), [], folder, workers=1, overwrite=overwrite)
    assert (folder / "work" / "thesis.json").read_text() == "mine"
    assert done(tmp_path) == []


@pytest.mark.parametrize("name", ["thesis.csv", "thesis.png", "work/thesis.json"])
def test_a_file_of_somebody_else_among_ours_is_not_overwritten(slow: ModuleType, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    reproduce(slow.paper(), ["fig-1"], folder, workers=1)
    (folder / name).write_text("mine")
    held = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(OutputExists, match=r"thesis\."):
        reproduce(slow.paper("full"), ["fig-1"], folder, workers=1, overwrite=True)
    assert sorted(path.name for path in folder.rglob("*")) == held


def test_an_unknown_artefact_is_refused_with_the_nearest_one(slow: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"'fig-11'.*did you mean 'fig-1'"):
        reproduce(slow.paper(), ["fig-11"], tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()
