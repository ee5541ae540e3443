"""Items tables that somebody else has made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import checked_tables
from storage.dataset.item_table import read_item_embeddings, read_item_ids
from storage.errors import DatasetError

Change = Callable[[Path], object]
TWICE = ["movie_id", "movie_id", "embedding"]
EMBEDDING = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)


def vectors(values: Any, width: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(values, np.float32).reshape(-1)), width)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    columns = {"movie_id": np.arange(20) * 7, "title": ["x"] * 20, "embedding": vectors(EMBEDDING, 4)}
    pq.write_table(pa.table(columns), tmp_path / "items.parquet")
    return tmp_path / "items.parquet"


def test_ids_and_embeddings_come_back(path: Path) -> None:
    ids, embedding = read_item_embeddings(path)
    assert ids.tolist() == read_item_ids(path).tolist() == list(range(0, 140, 7))
    assert np.array_equal(embedding, EMBEDDING)


def table(**columns: Any) -> Change:
    def apply(path: Path) -> None:
        whole = pq.read_table(path)
        for name, value in columns.items():
            place = whole.schema.get_field_index(name)
            whole = whole.remove_column(place) if value is None else whole.set_column(place, name, value)
        pq.write_table(whole, path)

    return apply


TABLES: dict[str, tuple[Change, str]] = {
    "ids in another order": (table(movie_id=pa.array(np.arange(20)[::-1])), "ascending movie ids"),
    "an id twice": (table(movie_id=pa.array(np.zeros(20, np.int64))), "ascending movie ids"),
    "ids as text": (table(movie_id=pa.array(list(map(str, range(20))))), "movie_id int64"),
    "a number missing": (table(embedding=pa.array([[1.0, None]] * 20, pa.list_(pa.float32(), 2))), "finite embeddings"),
    "a list missing": (table(embedding=pa.array([None] * 20, pa.list_(pa.float32(), 2))), "no nulls"),
    "no rows": (lambda path: pq.write_table(pq.read_table(path).slice(0, 0), path), "ascending movie ids; found"),
    "a column twice": (
        lambda path: pq.write_table(pq.read_table(path).rename_columns(TWICE), path),
        "movie_id missing",
    ),
    "torn": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "a whole Parquet table"),
    "absent": (Path.unlink, "a whole Parquet table"),
    "a null": (table(movie_id=pa.array([None, *range(19)], pa.int64())), "no nulls"),
    "no embedding": (table(embedding=None), "embedding missing"),
    "NaN": (table(embedding=vectors(np.full((20, 4), np.nan), 4)), "finite embeddings"),
    "lists of any length": (table(embedding=pa.array([[1.0]] * 20, pa.list_(pa.float32()))), "columns"),
    "doubles": (table(embedding=pa.array([[1.0] * 4] * 20, pa.list_(pa.float64(), 4))), "columns"),
    "wide": (table(embedding=vectors(np.zeros((20, 5000)), 5000)), "1 … 4096 numbers"),
}


@pytest.mark.parametrize("name", TABLES)
def test_an_invalid_table_is_refused_with_a_message(path: Path, name: str) -> None:
    TABLES[name][0](path)
    with pytest.raises(DatasetError, match=rf"expected .*{TABLES[name][1]}"):
        read_item_embeddings(path)


def test_a_table_that_declares_too_many_values_is_refused_before_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_tables, "MAX_CELLS", 99)
    with pytest.raises(DatasetError, match="at most 99 values; found 100"):
        read_item_embeddings(path)
