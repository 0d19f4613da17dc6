"""Tables of recorded requests: what is read, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offloadopt.errors import DamagedFile
from offloadopt.traces.requests import read_requests

TRACE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:00:00.0000000,1000,10
2023-11-16 18:00:00.5000000,2000,20
2023-11-16 18:00:01.5000000,3000,30
2023-11-16 18:00:02.0000001,4000,40
2023-11-16 18:00:03.0000000,5000,50
2023-11-16 18:00:04.0000000,6000,60
"""


def trace_file(folder: Path, text: str = TRACE) -> Path:
    path = folder / "requests.csv"
    path.write_text(text)
    return path


def test_arrivals_are_seconds_after_the_first_request_in_order(tmp_path: Path) -> None:
    header, *rows = TRACE.splitlines()
    requests = read_requests(trace_file(tmp_path, "\n".join([header, *reversed(rows)])))
    np.testing.assert_allclose(requests.second, [0.0, 0.5, 1.5, 2.0, 3.0, 4.0], atol=1e-6)
    np.testing.assert_array_equal(requests.context, 1000.0 * np.arange(1, 7))
    np.testing.assert_array_equal(requests.generated, 10.0 * np.arange(1, 7))


def test_other_columns_and_a_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_bytes(b"\xef\xbb\xbfTIMESTAMP,Region,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,x,7,0\n")
    requests = read_requests(path)
    assert (requests.second.tolist(), requests.context.tolist(), requests.generated.tolist()) == ([0.0], [7.0], [0.0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"cannot read .*none\.csv"):
        read_requests(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TIMESTAMP,ContextTokens\n", "no column 'GeneratedTokens'"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "no rows"),
        (TRACE + "yesterday,1,1\n", "not a table"),
        (TRACE + "2023-11-16 18:00:05,1\n", "line 8: 2 cells; allowed: 3"),
        (TRACE + "2023-11-16 18:00:05,-1,1\n", "data row 7"),
        (TRACE + "2023-11-16 18:00:05,nan,1\n", "data row 7"),
        (TRACE + "2023-11-16 18:00:05+00:00,1,1\n", "not a table"),
    ],
)
def test_a_damaged_trace_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DamagedFile, match=message):
        read_requests(trace_file(tmp_path, text))
