"""Columns are found by name, damaged rows are named, and no cell is a formula."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from offloadopt.errors import DamagedFile
from offloadopt.formats import csv_tables


def test_columns_are_read_in_any_case_and_order(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('\ufeffB, a ,c\n1,"x, y",3\n\n4,5,6\n', encoding="utf-8")
    assert csv_tables.read_columns(path, ("A", "b")) == [["x, y", "1"], ["5", "4"]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no column 'a'"),
        (b"a,b,A\n1,2,3\n", "2 columns 'a'"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1\n", "line 2: 1 cells; allowed: 2"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 cells; allowed: 2"),
        (b'a,b\n"1,2\n', "line 2 is no CSV"),
        (b'a,b\n"1"x,2\n', "line 2 is no CSV"),
        (b"a,b\n" + b"1" * 200_000, "line 2 is no CSV"),
        (b"a,b\n\xff,1\n", "UTF-8"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DamagedFile, match=reason) as error:
        csv_tables.read_columns(tmp_path / "t.csv", ("a", "b"))
    assert str(tmp_path) in str(error.value)
    assert str(error.value).isprintable()


def test_texts_that_begin_like_formulas_are_written_as_texts_and_numbers_as_they_are() -> None:
    frame = pd.DataFrame({"=x": ["=1+1", "+2", "-3", "@f", "a\x1b[31m\tb"], "n": [-1.5, 2.0, -3.0, 4.0, 5.0]})
    text = csv_tables.encode(frame).decode()
    assert text == "'=x,n\n'=1+1,-1.5\n'+2,2.0\n'-3,-3.0\n'@f,4.0\na[31mb,5.0\n"
    plain = pd.DataFrame({"name": ["exact", "greedy"], "x": [-1.0, 2.0], "flag": [True, None]})
    assert csv_tables.encode(plain) == plain.to_csv(index=False).encode()


def test_numbers_are_read_by_column_and_anything_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("User, Bits\n0,1e3\n1,2.5\n", encoding="utf-8")
    found = csv_tables.read_numbers(path)
    assert {name: column.tolist() for name, column in found.items()} == {"user": [0.0, 1.0], "bits": [1000.0, 2.5]}
    path.write_text("user,bits\n0,1\n1,\n", encoding="utf-8")
    with pytest.raises(DamagedFile, match="row 2: bits is ''; allowed: a number"):
        csv_tables.read_numbers(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(DamagedFile, match="no rows"):
        csv_tables.read_numbers(path)
