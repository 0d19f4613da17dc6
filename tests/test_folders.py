"""Output folders: only what we wrote is removed, whatever else is there is kept, and one process writes at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from offloadopt import folders
from offloadopt.errors import OffloadError, OutputExists
from offloadopt.files import UNFINISHED, write_atomic
from offloadopt.folders import FolderFormat

FORMAT = FolderFormat({"index.json": r'\{"ours": '}, (r"part-\d\.bin", r"state/part-\d\.bin"))
OURS = ("index.json", "part-1.bin", "part-2.bin", "state/part-1.bin", f".part-3.bin.77{UNFINISHED}")
FOREIGN = (
    "thesis.txt",
    "part-10.bin",
    "my part-1.bin",
    "state/thesis.txt",
    f".thesis.txt.77{UNFINISHED}",
    f"thesis{UNFINISHED}",
    "part-4.bin/thesis.txt",
    "other/part-1.bin",
)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"ours": 1}', encoding="utf-8")
    return folder


def held(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


def test_a_new_or_empty_folder_is_ready(tmp_path: Path) -> None:
    new = tmp_path / "a" / "b"
    for _ in range(2):
        with FORMAT.opened(new) as folder:
            assert folder == new
            assert folder.is_dir()


def test_a_folder_without_our_mark_is_refused_even_if_its_names_are_like_ours(tmp_path: Path) -> None:
    fill(tmp_path, "part-1.bin")
    for overwrite in (False, True):
        with pytest.raises(OutputExists) as error, FORMAT.opened(tmp_path, overwrite=overwrite):
            pass
        one_line(error, str(tmp_path), "not empty (part-1.bin)", "index.json")
    (tmp_path / "index.json").write_text('{"name": "a web page"}', encoding="utf-8")
    with pytest.raises(OutputExists), FORMAT.opened(tmp_path, overwrite=True):
        pass
    assert held(tmp_path) == ["index.json", "part-1.bin"]


def test_ours_is_kept_until_it_is_overwritten_but_for_what_a_killed_writer_left(tmp_path: Path) -> None:
    fill(tmp_path, *OURS)
    with FORMAT.opened(tmp_path, alone=True):
        assert held(tmp_path) == sorted(OURS[:-1])
    with FORMAT.opened(tmp_path, overwrite=True):
        assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_alone_does_not_count(tmp_path: Path) -> None:
    fill(tmp_path, f".index.json.77{UNFINISHED}")
    with FORMAT.opened(tmp_path):
        assert held(tmp_path) == []


@pytest.mark.parametrize("name", FOREIGN)
def test_nothing_of_somebody_elses_is_removed(tmp_path: Path, name: str) -> None:
    fill(tmp_path, *OURS[:-1], name)
    before = held(tmp_path)
    with pytest.raises(OutputExists) as error, FORMAT.opened(tmp_path, overwrite=True):
        pass
    one_line(error, name.split("/")[0], "not ours")
    with FORMAT.opened(tmp_path):
        assert held(tmp_path) == before
    FORMAT.remove(tmp_path)
    assert held(tmp_path) == [name]


def test_a_link_is_not_ours_and_leads_nowhere(tmp_path: Path) -> None:
    elsewhere = fill(tmp_path / "elsewhere", "part-1.bin")
    folder = fill(tmp_path / "out", "index.json")
    (folder / "state").symlink_to(elsewhere)
    with pytest.raises(OutputExists), FORMAT.opened(folder, overwrite=True):
        pass
    FORMAT.remove(folder)
    assert held(elsewhere) == ["part-1.bin"]


def test_marks_go_last_so_that_a_folder_half_removed_is_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, *OURS)
    removed: list[str] = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **given: (removed.append(path.name), unlink(path, **given))[1])
    FORMAT.remove(tmp_path)
    assert removed[-1] == "index.json"
    assert len(removed) == len(OURS)


def test_one_subfolder_can_be_removed(tmp_path: Path) -> None:
    fill(tmp_path, *OURS)
    FORMAT.remove(tmp_path, below="state")
    assert held(tmp_path) == sorted(name for name in OURS if name != "state/part-1.bin")
    assert not (tmp_path / "state").exists()


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    for path in (tmp_path / "f", tmp_path / "f" / "below"):
        with pytest.raises(OutputExists) as error, FORMAT.opened(path):
            pass
        one_line(error, str(path))


def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(OffloadError, match=r"^cannot create the folder .*xx: File name too long$"):
        folders.make_folder(tmp_path / ("x" * 300))


def test_where_folders_cannot_be_locked_files_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "fcntl", None)
    with folders.folder_lock(tmp_path), folders.folder_lock(tmp_path):
        write_atomic(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.skipif(os.name != "posix", reason="this system has no such locks")
def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from offloadopt import folders\n"
        "with folders.folder_lock(pathlib.Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "in\n"
        with pytest.raises(OutputExists) as error, folders.folder_lock(tmp_path):
            pass
        one_line(error, str(tmp_path), "another process")
    finally:
        first.kill()
        first.communicate()
    with folders.folder_lock(tmp_path):
        pass
    assert os.listdir(tmp_path) == []
