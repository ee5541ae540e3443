"""Ratings in Parquet give the same histories and messages as the same ratings in text."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ratings_support import HEADER, events_of, read, written

from storage.errors import RatingsSchemaError, RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens import ratings_parquet

ROWS: dict[str, list[Any]] = {
    "userId": [2, 1, 1, 1], "movieId": [1, 3, 1, 2], "rating": [4.0, 5.0, 0.5, 3.5], "timestamp": [20, 10, 10, 5],
}  # fmt: skip
TEXT = HEADER + "2,1,4.0,20\n1,3,5.0,10\n1,1,0.5,10\n1,2,3.5,5\n"


def parquet(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "ratings.parquet")
    return folder / "ratings.parquet"


@pytest.mark.parametrize("batch_rows", [1, 3, 1 << 17])
def test_any_order_of_columns_under_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int) -> None:
    monkeypatch.setattr(ratings_parquet, "BATCH_ROWS", batch_rows)
    expected, facts = read(written(tmp_path, TEXT))
    order = ("timestamp", "rating", "movieId", "userId")
    histories, found_facts = read(parquet(tmp_path, {name: ROWS[name] for name in order}))
    assert (events_of(histories), found_facts) == (events_of(expected), facts)
    names = ("when", "stars", "film", "who")
    columns = {new: ROWS[name] for new, name in zip(names, order, strict=True)} | {"note": ["a", "b", None, "d"]}
    histories, _ = read(parquet(tmp_path, columns), columns=tuple(reversed(names)))
    assert events_of(histories) == events_of(expected)


@pytest.mark.parametrize(
    "columns",
    [
        {"userId": pa.array([2, 1, 1, 1], pa.uint16()), "rating": pa.array(ROWS["rating"], pa.float32())},
        {"movieId": pa.array([1.0, 3.0, 1.0, 2.0]), "rating": pa.array(ROWS["rating"]).cast(pa.decimal128(3, 1))},
        {"timestamp": pa.array([20, 10, 10, 5], pa.timestamp("s"))},
        {"timestamp": pa.array([20_999, 10_000, 10_001, 5_000], pa.timestamp("ms", "Europe/Berlin"))},
        {"timestamp": pa.array([dt.datetime(1970, 1, 1, 0, 0, second) for second in (20, 10, 10, 5)])},
    ],
)  # fmt: skip
def test_types_of_columns(tmp_path: Path, columns: dict[str, Any]) -> None:
    expected, _ = read(written(tmp_path, TEXT))
    assert events_of(read(parquet(tmp_path, ROWS | columns))[0]) == events_of(expected)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("rating", 7.0, "expected rating to be 0.5, 1 … 5; found 7"),
        ("rating", None, "expected rating to be 0.5, 1 … 5; found nothing"),
        ("rating", float("nan"), "expected rating to be 0.5, 1 … 5; found 'nan'"),
        ("userId", None, "expected userId to be a whole number of at most 18 digits; found nothing"),
        ("timestamp", -1, "expected timestamp to be unix seconds from 1970 to 2100; found -1"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, column: str, value: Any, reason: str) -> None:
    path = parquet(tmp_path, ROWS | {column: [*ROWS[column][:2], value, ROWS[column][3]]})
    with pytest.raises(RatingsValueError, match=f"ratings.parquet, line 3: {reason}"):
        read(path)
    bad = BadRows("quarantine")
    histories, facts = read(path, bad=bad)
    assert (len(histories.item), facts["rows"], [row.line for row in bad.rows]) == (3, 4, [3])


def test_what_is_no_ratings_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RatingsSchemaError, match="expected columns userId,movieId,rating,timestamp, each once; found who"
    ):
        read(parquet(tmp_path, {"who": [1]}))
    with pytest.raises(RatingsSchemaError, match="expected numbers in column userId; found string"):
        read(parquet(tmp_path, ROWS | {"userId": ["a", "b", "c", "d"]}))
    with pytest.raises(SourceError, match="expected ratings; found"):
        read(parquet(tmp_path, {name: pa.array([], pa.int64()) for name in ROWS}))
    path = parquet(tmp_path, {name: np.repeat(values, 1000) for name, values in ROWS.items()})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SourceError, match="expected a whole Parquet file"):
        read(path)
