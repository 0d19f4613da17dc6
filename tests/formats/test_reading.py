"""Only regular files of a bounded size are read, and none can block."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from offloadopt.errors import DamagedFile
from offloadopt.formats import reading


def one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    text = str(error.value)
    assert text.isprintable()
    assert len(text) <= 300
    for part in parts:
        assert part in text


def test_sha256_is_hashlibs(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert reading.sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    with pytest.raises(DamagedFile) as error:
        reading.sha256(tmp_path / "missing")
    one_line(error, "missing")


@pytest.mark.skipif(os.name != "posix", reason="this system has no such files")
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        place = os.getcwd()
        os.chdir(tmp_path)  # the name of a socket is short
        try:
            server.bind("socket")
        finally:
            os.chdir(place)
        for path in (tmp_path / "pipe", tmp_path / "socket", tmp_path, Path("/dev/zero"), Path("/dev/stdin")):
            for read in (reading.read_bytes, reading.read_text, reading.sha256):
                with pytest.raises(DamagedFile) as error:
                    read(path)
                one_line(error, str(path), "not a regular file")


def test_a_file_that_does_not_fit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "comfortable_bytes", lambda: 800)
    path = tmp_path / "large"
    path.write_bytes(bytes(801))
    with pytest.raises(DamagedFile) as error:
        reading.read_bytes(path)
    one_line(error, str(path), "801 bytes", "at most 800")
    path.write_bytes(bytes(101))
    assert reading.read_bytes(path) == bytes(101)
    with pytest.raises(DamagedFile) as error:
        reading.read_text(path)
    one_line(error, "101 bytes", "at most 100")
    with path.open("wb") as sparse:  # a file of 1 TB that takes no room
        sparse.truncate(1 << 40)
    with pytest.raises(DamagedFile) as error:
        reading.read_bytes(path)
    one_line(error, "1,099,511,627,776 bytes")


def test_the_limit_is_a_part_of_the_memory() -> None:
    assert 1 << 26 < reading.comfortable_bytes() < 1 << 44


def test_a_missing_file_and_an_impossible_name_are_named(tmp_path: Path) -> None:
    for name, reason in (("none", "No such file"), ("a\0b", "null"), ("x" * 300, "too long")):
        with pytest.raises(DamagedFile) as error:
            reading.read_bytes(tmp_path / name)
        one_line(error, "cannot read", reason)


def test_text_is_utf8(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("\ufeffä\r\n".encode())
    assert reading.read_text(tmp_path / "text") == "ä\r\n"
    (tmp_path / "text").write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedFile) as error:
        reading.read_text(tmp_path / "text")
    one_line(error, "UTF-8")


def test_any_exception_of_a_parser_becomes_one_line() -> None:
    for fault in (KeyError("x"), RecursionError("deep\n\x1b[2J"), MemoryError(), RuntimeError("y" * 5000)):
        with pytest.raises(DamagedFile) as error, reading.refuse_damage("a.bin", "is no file of ours"):
            raise fault
        one_line(error, "a.bin is no file of ours: ")
    with pytest.raises(KeyboardInterrupt), reading.refuse_damage("a.bin", "is no file of ours"):
        raise KeyboardInterrupt
