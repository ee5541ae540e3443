"""Ratings of any domain with bad rows, and files that are no ratings."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.storage.sources.generic.generic_support import events, source

from storage.errors import MarqueeError, RatingsSchemaError, RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.generic import ratings as generic_ratings
from storage.sources.generic.ids import stable_id

BAD_ROWS = {
    "u,i,3": "expected 4 fields; found 3",
    "u,i,3,1,9": "expected 4 fields; found 5",
    ",i,3,1": "expected user to be an id; found ''",
    "u,  ,3,1": "expected item to be an id; found ''",
    "u,i,6,1": "expected rating to be one of 1, 2 … 5; found '6'",
    "u,i,3.5,1": "expected rating to be one of 1, 2 … 5; found '3.5'",
    "u,i,nan,1": "expected rating to be one of 1, 2 … 5; found 'nan'",
    "u,i,3,then": "expected timestamp to be unix seconds from 1970 to 2100; found 'then'",
    "u,i,3,-1": "expected timestamp to be unix seconds from 1970 to 2100; found '-1'",
    "u,i,3,978300760000": "expected timestamp to be unix seconds from 1970 to 2100; found '978300760000'",
    'u,"i,3,1': "expected a row with its quotes closed; found: unexpected end of data",
    'u,"i"x,3,1': "expected a row with its quotes closed; found: ',' expected after '\"'",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_bad_rows_are_told_by_line_and_cost_themselves_only(tmp_path: Path, row: str) -> None:
    good = "a,x,1,10\n" * 3
    text = f'user,item,rating,timestamp\n{good}"a\nb",x,2,20\n\n{row}\n{good}'
    params = source(tmp_path / "r.csv", text)
    with pytest.raises((RatingsSchemaError, RatingsValueError)) as told:
        events(params, known=np.array([stable_id("x")]))
    assert f"r.csv, line 8: {BAD_ROWS[row]}" in str(told.value)
    bad = BadRows("quarantine")
    found, facts = events(params, bad)
    assert found.code.tolist() == [1, 1, 1, 2, 1, 1, 1]
    assert facts["rows"] == 8
    assert [(entry.file, entry.line) for entry in bad.rows] == [("r.csv", 8)]


def test_bad_encoding_byte_order_mark_crlf_and_a_cut_off_last_line(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfuser,item,rating,timestamp\r\nu,i,3,1\r\nu\xff,i,3,1\r\nu,i,4,2\r\nu,i,5"
    bad = BadRows("quarantine")
    found, _ = events(source(tmp_path / "r.csv", text), bad)
    assert found.code.tolist() == [3, 4]
    assert [(row.line, row.reason) for row in bad.rows] == [
        (3, "expected utf-8 text; found other bytes"),
        (5, "expected 4 fields; found 3"),
    ]


def test_a_bad_row_at_the_end_of_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generic_ratings, "BLOCK_BYTES", 1000)
    rows = [
        f'u{n % 7},"i\n{n % 5}",{n % 5 + 1},{n}\n' if n % 3 else f"u{n % 7},i,{n % 5 + 1},{n}\n" for n in range(2000)
    ]
    text = "user,item,rating,timestamp\n" + "".join(rows)
    whole, facts = events(source(tmp_path / "r.csv", text))
    assert whole.timestamp.tolist() == list(range(2000))
    assert facts["rows"] == 2000
    with gzip.open(tmp_path / "r.csv.gz", "wt") as stream:
        stream.write(text + "u,i,9,9")
    with pytest.raises(RatingsValueError, match=rf"r.csv, line {text.count(chr(10)) + 1}: expected rating"):
        events(source(tmp_path / "r.csv.gz"), known=np.array([stable_id("i")]))


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("", SourceError, "the file is empty"),
        ("user,item,rating,timestamp\n", SourceError, "expected ratings; found none"),
        (
            "user,item,stars\n1,1,4\n",
            RatingsSchemaError,
            "expected columns user, item, rating, timestamp, each once; found user",
        ),
        ("<!DOCTYPE html><html>404</html>", SourceError, "found a web page"),
        (b"PK\x03\x04aaaaaaaa", SourceError, "found an archive"),
        (
            "user,item,rating,timestamp\n" + "u,i,99,1\n" * 9,
            SourceError,
            "found 9 bad rows in 9, as line 10: expected rating",
        ),
    ],
)
def test_what_is_no_ratings_table_is_refused(
    tmp_path: Path, text: str | bytes, error: type[Exception], expected: str
) -> None:
    with pytest.raises(error, match=expected):
        events(source(tmp_path / "r.csv", text), BadRows("quarantine"))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(("r.csv", "r.csv.gz", "r.parquet")), noise=st.binary(max_size=20), place=st.integers(0, 2500),
    drop=st.integers(0, 12),
)  # fmt: skip
def test_random_damage_gives_only_typed_errors(tmp_path: Path, kind: str, noise: bytes, place: int, drop: int) -> None:
    path = tmp_path / kind
    text = "user,item,rating,timestamp\n" + '"u1",i1,5,100\nu2,i1,3,50\n' * 3
    if kind == "r.parquet":
        rows = [{"user": "u1", "item": "i1", "rating": 5, "timestamp": 100}] * 3
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    data = path.read_bytes()
    at = min(place, len(data))
    path.write_bytes(data[:at] + noise + data[at + drop :])
    try:
        found, _ = events(source(path), BadRows("quarantine"), known=np.array([stable_id("i1")]))
        assert ((found.code >= 1) & (found.code <= 5) & (found.item == 0)).all()
    except MarqueeError as error:
        assert "expected" in str(error)


@pytest.mark.parametrize(("last", "unit"), [("847434", "s"), ("847434962", "ms"), ("8", "s"), ("8", "ms")], ids=str)
def test_a_last_line_that_is_torn_in_its_timestamp_is_a_bad_row(tmp_path: Path, last: str, unit: str) -> None:
    time = "847434962" + "000" * (unit == "ms")
    text = f"user,item,rating,timestamp\n60,1,4,{time}\n60,2,3,{time}\n60,3,3,"
    bad = BadRows("quarantine")
    found, facts = events(source(tmp_path / "r.csv", text + last, timestamp_unit=unit), bad, known=np.array([1, 2, 3]))
    assert (len(found.item), facts["rows"]) == (2, 3)
    assert [(row.line, row.text) for row in bad.rows] == [(4, f"60,3,3,{last}")]
    assert "timestamp: expected a line end, or a timestamp of at least 9 digits" in bad.rows[0].reason


@pytest.mark.parametrize(
    "rows",
    ["60,1,4,847434962\n60,2,3,847434963", "u,a,4,0\nu,b,4,10\nv,a,3,7", "u,a,4,5", 'u,a,4,100\n"u","b",4,"7"'],
)
def test_a_whole_last_line_needs_no_line_end(tmp_path: Path, rows: str) -> None:
    text = "user,item,rating,timestamp\n" + rows
    assert len(events(source(tmp_path / "r.csv", text))[0].item) == text.count("\n")
