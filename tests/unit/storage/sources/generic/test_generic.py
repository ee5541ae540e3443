import datetime as dt
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
from unit.storage.sources.generic.generic_support import events, source

from storage.dataset.scale import RatingScale
from storage.errors import MarqueeError, RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.generic import ratings as generic_ratings
from storage.sources.generic.ids import stable_id
from storage.sources.generic.items import read_generic_items
from storage.tables import LATEST_SECOND, MOVIES_SCHEMA


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


def test_items_of_another_world_and_missing_files(tmp_path: Path) -> None:
    params = source(tmp_path / "r.csv", "user,item,rating,timestamp\nu,i,3,1\n")
    with pytest.raises(SourceError, match="Check that both have the same ids"):
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
