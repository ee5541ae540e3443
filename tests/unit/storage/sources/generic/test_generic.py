import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.dataset.histories import EventBlock
from storage.dataset.scale import RatingScale
from storage.errors import MarqueeError, RatingsSchemaError, RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.generic import ratings as generic_ratings
from storage.sources.generic.declaration import GenericParams
from storage.sources.generic.ids import stable_id
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events
from storage.tables import LATEST_SECOND, MOVIES_SCHEMA

ONE_TO_FIVE = {"lowest": 1, "highest": 5, "step": 1}


def source(path: Path, text: str | bytes | None = None, **changes: Any) -> GenericParams:
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return GenericParams.model_validate({"ratings": path, "scale": ONE_TO_FIVE} | changes)


def events(params: GenericParams, bad: BadRows | None = None, known: Any = None) -> tuple[EventBlock, dict[str, Any]]:
    """All events in one block."""
    bad = bad or BadRows("reject")
    if known is None:
        known = read_generic_items(params, BadRows("quarantine"))[0]["movie_id"].to_numpy()
    facts: dict[str, Any] = {}
    blocks = list(generic_events(params, known, bad, facts))
    return EventBlock(*(np.concatenate(column) for column in zip(*blocks, strict=True))), facts


def test_books_with_isbns_in_semicolons_and_latin_1(tmp_path: Path) -> None:
    ratings = '"User-ID";"ISBN";"Book-Rating"\r\n"276725";"034545104X";"0"\r\n"276726";"0155061224";"10"\r\n"7";"0999";"3"\r\n'
    books = (
        '"ISBN";"Title";"Author";"Year";"Publisher";"Blurb"\n"034545104X";"Flesh; \\"Tones\\"";"Müller";"1996";"B";"Sad"\n'
        '"0155061224";"Rites";"J";"0";"H";""\n"0155061224";"Again";"J";"0";"H";""\nX1;Y\n'
    )
    (tmp_path / "books.csv").write_bytes(books.encode("latin-1"))
    form = {"delimiter": ";", "encoding": "latin-1", "escape": "\\"}
    params = source(
        tmp_path / "r.csv", ratings, user="User-ID", item="ISBN", rating="Book-Rating", timestamp=None, csv=form,
        scale={"lowest": 0, "highest": 10, "step": 1},
        items={"path": tmp_path / "books.csv", "id": "ISBN", "title": "Title", "text": ["Author", "Blurb"], "year": "Year",
               "columns": {"companies": "Publisher"}, "csv": form},
    )  # fmt: skip
    bad = BadRows("quarantine")
    movies, facts = read_generic_items(params, bad)
    assert movies.schema == MOVIES_SCHEMA
    assert [(row.line, row.reason) for row in bad.rows] == [
        (4, "expected every item once; found '0155061224' again"),
        (5, "expected 6 fields; found 2"),
    ]
    by_id = {row["external_id"]: row for row in movies.to_pylist()}
    book = by_id["034545104X"]
    assert (book["title"], book["overview"], book["year"]) == ('Flesh; "Tones"', "Müller Sad", 1996)
    assert (book["companies"], book["genres"], book["has_metadata"]) == (["B"], [], True)
    assert by_id["0155061224"]["year"] is None
    assert facts["coverage"]["overview"] == 2
    assert movies["movie_id"].to_pylist() == sorted(map(stable_id, by_id))
    found, counts = events(params, known=movies["movie_id"].to_numpy())
    assert found.user_id.tolist() == [276725, 276726]
    assert movies["external_id"].take(pa.array(found.item)).to_pylist() == ["034545104X", "0155061224"]
    assert found.code.tolist() == [1, 11]
    assert found.timestamp.tolist() == [0, 1]
    assert counts == {"rows": 3, "dropped_unknown_movie": 1}


def test_jokes_are_rounded_where_that_is_declared(tmp_path: Path) -> None:
    text = "u1,j1,-7.82\nu1,j2,10\nu2,j1,-10.0\nu2,j2,0.049\n"
    jokes = {
        "csv": {"header": False}, "user": "1", "item": "2", "rating": "3", "timestamp": None,
        "scale": {"lowest": -10, "highest": 10, "step": 0.1},
    }  # fmt: skip
    found, _ = events(source(tmp_path / "r.csv", text, round_to_scale=True, **jokes))
    scale = RatingScale(lowest=-10, highest=10, step=0.1)
    assert np.allclose(scale.rating_min + scale.step * found.code, [-7.8, 10, -10, 0])
    assert found.user_id.tolist() == [stable_id(user) for user in ("u1", "u1", "u2", "u2")]
    params = source(tmp_path / "r.csv", text + "u3,j1,99\n", **jokes)
    with pytest.raises(
        RatingsValueError, match=r"r.csv, line 1: expected 3 to be one of -10, -9.9 … 10; found '-7.82'"
    ):
        events(params, known=np.array([1]))
    bad = BadRows("quarantine")
    found, facts = events(params.model_copy(update={"round_to_scale": True}), bad)
    assert (len(found.item), facts["rows"]) == (4, 5)
    assert [row.line for row in bad.rows] == [5]


def test_events_without_an_order_get_one_that_the_file_does_not_decide(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{user},{item},{1 + (user + item) % 5}" for item in range(40) for user in range(30)]  # as goodbooks-10k
    order: list[dict[tuple[int, int], int]] = []
    for name, lines in (("by-item", rows), ("other", [rows[at] for at in rng.permutation(len(rows))])):
        text = "\n".join(("user,item,rating", *lines, "")) + "7,3,2\n"
        found, _ = events(source(tmp_path / name, text, timestamp=None, row_order="none"))
        order.append(
            dict(
                zip(
                    zip(found.user_id.tolist(), found.item.tolist(), strict=True), found.timestamp.tolist(), strict=True
                )
            )
        )
        again = np.flatnonzero((found.user_id == 7) & (found.item == 3))
        assert len(set(found.timestamp[again].tolist())) == 1, "a repeated rating is one event, and the first is kept"
    assert order[0] == order[1]
    times = np.array([[order[0][user, item] for item in range(40)] for user in range(30)])
    assert len(np.unique(times)) == times.size
    assert times.min() >= 0
    assert times.max() < LATEST_SECOND
    places = times.argsort(1).argsort(1)
    assert np.abs(places.mean(0) - 19.5).max() < 4 * np.sqrt(40**2 / 12 / 30), "no item comes early for all users"
    assert abs(np.corrcoef(places.ravel(), np.tile(np.arange(40), 30))[0, 1]) < 0.1


def test_a_time_and_no_order_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="Set timestamp to null, or leave row_order out"):
        source(tmp_path / "r.csv", row_order="none")


@pytest.mark.parametrize(
    ("unit", "cells", "seconds"),
    [
        ("s", ["0", "978300760", "1.9"], [0, 978300760, 1]),
        ("ms", ["978300760999", "1000", "999"], [978300760, 1, 0]),
        ("iso", ["2001-01-01", "2001-01-01 00:00:01.5", "1970-01-01T00:01:00"], [978307200, 978307201, 60]),
        ("iso", ["2001-01-01T00:00:00Z", "2001-01-01T01:00:00+01:00"], [978307200, 978307200]),
        ("iso", ["2001-01-01T00:00:00Z", "2001-01-01"], [978307200, 978307200]),
    ],
)
def test_times_are_in_the_declared_unit(tmp_path: Path, unit: str, cells: list[str], seconds: list[int]) -> None:
    text = "user,item,rating,timestamp\n" + "".join(f"u,i{place},3,{cell}\n" for place, cell in enumerate(cells))
    assert events(source(tmp_path / "r.csv", text, timestamp_unit=unit))[0].timestamp.tolist() == seconds


@pytest.mark.parametrize(
    "times",
    [
        pa.array([0, 978307200], pa.int64()),
        pa.array([dt.datetime(1970, 1, 1), dt.datetime(2001, 1, 1)], pa.timestamp("ns")),
        pa.array([0, 978307200000], pa.timestamp("ms", "Europe/Berlin")),
        pa.array([dt.date(1970, 1, 1), dt.date(2001, 1, 1)]),
    ],
)
def test_parquet_with_its_own_types(tmp_path: Path, times: pa.Array) -> None:
    users = pa.array(["N1", "N2"]).dictionary_encode()
    table = pa.table(
        {"user": users, "item": pa.array([5.0, 7.0]), "rating": pa.array([1, 5], pa.float32()), "timestamp": times}
    )
    pq.write_table(table, tmp_path / "r.parquet")
    found, _ = events(source(tmp_path / "r.parquet"))
    assert found.timestamp.tolist() == [0, 978307200]
    assert found.user_id.tolist() == [stable_id("N1"), stable_id("N2")]
    assert read_generic_items(source(tmp_path / "r.parquet"), BadRows())[0]["title"].to_pylist() == ["5", "7"]
    spoiled = table.set_column(2, "rating", pa.array([1.0, None]))
    pq.write_table(spoiled, tmp_path / "r.parquet")
    with pytest.raises(RatingsValueError, match=r"r.parquet, line 2: expected rating to be one of"):
        events(source(tmp_path / "r.parquet"), known=np.array([5, 7]))
    (tmp_path / "r.parquet").write_bytes((tmp_path / "r.parquet").read_bytes()[:-9])
    with pytest.raises(SourceError, match="expected a whole Parquet file"):
        events(source(tmp_path / "r.parquet"), known=np.array([5, 7]))


def test_parquet_columns_in_any_order_under_any_name(tmp_path: Path) -> None:
    names = {"timestamp": "when", "rating": "stars", "item": "book", "user": "reader"}
    rows = [
        {"when": 5, "note": None, "stars": 4, "book": "b", "reader": "r"},
        {"when": 9, "stars": 1, "book": "c", "reader": "r"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    found, _ = events(source(tmp_path / "r.parquet", **names))
    text = "user,item,rating,timestamp\nr,b,4,5\nr,c,1,9\n"
    expected, _ = events(source(tmp_path / "r.csv", text))
    assert [column.tolist() for column in found] == [column.tolist() for column in expected]


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


def test_items_of_another_world_and_missing_files(tmp_path: Path) -> None:
    params = source(tmp_path / "r.csv", "user,item,rating,timestamp\nu,i,3,1\n")
    with pytest.raises(SourceError, match="Do their ids agree"):
        events(params, known=np.array([1, 2, 3]))
    with pytest.raises(SourceError, match="expected a readable file"):
        events(source(tmp_path / "absent.csv"))
    with pytest.raises(ValidationError, match="expected different columns"):
        source(tmp_path / "r.csv", user="item")
    with pytest.raises(ValidationError, match="found pages"):
        source(tmp_path / "r.csv", items={"path": tmp_path, "id": "i", "columns": {"pages": "n"}})
    items = source(tmp_path / "r.csv", items={"path": tmp_path / "i.jsonl", "id": "i", "categories": "tags"})
    (tmp_path / "i.jsonl").write_text(json.dumps({"i": "N1", "tags": ["a", "b"]}) + "\n" + json.dumps({"tags": []}))
    bad = BadRows("quarantine")
    (movie,) = read_generic_items(items, bad)[0].to_pylist()
    assert (movie["external_id"], movie["title"], movie["genres"]) == ("N1", "N1", ["a", "b"])
    assert [row.line for row in bad.rows] == [2]


def test_good_files_are_converted_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("looked at row by row")

    monkeypatch.setattr(generic_ratings, "convert_rows", refuse)
    text = 'user,item,rating,timestamp,note\r\n"u,1","i\n1",5,10,"a"\r\n u2 ,i2,1.0,20,\r\n\r\n'
    found, _ = events(source(tmp_path / "r.csv", text))
    assert found.user_id.tolist() == [stable_id("u,1"), stable_id("u2")]
    assert found.code.tolist() == [5, 1]


cell = st.one_of(
    st.sampled_from(["u", "7", "007", "3", "3.0", "6", "", " 3 ", "é", '"q"', '"a,b"', '"x\ny"', '"', '""', 'a"b', "1e0", "+3", "0x3",
                     "-0", "NaN", "\r", "1_0", "2001-01-01", "2001-01-01T00:00:00Z", "1e3", "9999999999"]),
    st.text(max_size=3),
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(cell, min_size=3, max_size=5), min_size=1, max_size=5),
    unit=st.sampled_from(("s", "ms", "iso")),
    rounded=st.booleans(),
    block=st.sampled_from((40, 100, 1 << 20)),
)
def test_blocks_say_what_rows_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[list[str]], unit: str, rounded: bool, block: int
) -> None:
    """Columns at once and row by row accept the same, whatever the cells; and nothing but typed errors comes out."""
    text = "user,item,rating,timestamp\n" + "".join(",".join(row) + "\n" for row in [["u", "i", "3", "2001"], *rows])
    params = source(
        tmp_path / "r.csv", text.encode("utf-8", "surrogatepass"), timestamp_unit=unit, round_to_scale=rounded,
        timestamp=None if len(rows) == 4 else "timestamp",
    )  # fmt: skip

    def outcome() -> Any:
        bad = BadRows("quarantine")
        try:
            blocks = list(generic_ratings.parsed_ratings(params, bad))
        except MarqueeError as error:
            return str(error)
        joined = [
            (user, item, code, second)
            for part in blocks
            for user, item, code, second in zip(
                part.user.to_pylist(), part.item.to_pylist(), part.code.tolist(), part.timestamp.tolist(), strict=True
            )
        ]
        return joined, bad.rows

    with monkeypatch.context() as patch:
        patch.setattr(generic_ratings, "_parse_block", lambda *_: None)
        by_rows = outcome()
    assert outcome() == by_rows
    with monkeypatch.context() as patch:
        patch.setattr(generic_ratings, "BLOCK_BYTES", block)
        outcome()


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
