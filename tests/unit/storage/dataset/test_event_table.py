from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.dataset.event_table import read_histories
from storage.dataset.scale import RatingScale
from storage.errors import DatasetError
from storage.tables import EVENTS_SCHEMA

MOVIES = np.array([3, 5, 8])


def write(path: Path, rows_per_group: int, **change: list[float]) -> None:
    columns = {
        "user_id": [1, 1, 1, 4, 9, 9], "movie_id": [5, 3, 8, 8, 3, 5], "rating": [0.5, 5, 3.5, 4, 1, 2],
        "timestamp": [1, 2, 3, 1, 1, 9],
    } | change  # fmt: skip
    pq.write_table(pa.table(columns, schema=EVENTS_SCHEMA), path, row_group_size=rows_per_group)


@pytest.mark.parametrize("rows_per_group", [1, 2, 4, 100])
def test_histories_are_whole_whatever_the_row_groups(tmp_path: Path, rows_per_group: int) -> None:
    write(tmp_path / "e.parquet", rows_per_group)
    blocks = list(read_histories(tmp_path / "e.parquet", MOVIES, RatingScale()))
    user, length, item, code, timestamp = (np.concatenate(column).tolist() for column in zip(*blocks, strict=True))
    assert user == [1, 4, 9]
    assert length == [3, 1, 2]
    assert item == [1, 0, 2, 2, 0, 1]
    assert code == [1, 10, 7, 8, 2, 4]
    assert timestamp == [1, 2, 3, 1, 1, 9]


def test_another_scale(tmp_path: Path) -> None:
    write(tmp_path / "e.parquet", 9, rating=[-10, -9.9, 10, 0, 0.1, -0.1])
    blocks = read_histories(tmp_path / "e.parquet", MOVIES, RatingScale(lowest=-10, highest=10, step=0.1))
    assert np.concatenate([block.code for block in blocks]).tolist() == [1, 2, 201, 101, 102, 100]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"movie_id": [5, 3, 8, 8, 3, 9]}, r"found \[9\]"),
        ({"movie_id": [5, 3, 8, 8, 3, 4]}, r"found \[4\]"),
        ({"rating": [0.5, 5, 3.5, 4, 1, 2.2]}, "found .2.2"),
        ({"rating": [0.5, 5, 3.5, 4, 1, float("nan")]}, "found .nan"),
        ({"rating": [0.5, 5, 3.5, 4, 1, 5.5]}, r"expected ratings 0.5, 1 … 5; found \[5.5\]"),
    ],
)
def test_what_the_dataset_cannot_hold_is_refused(tmp_path: Path, change: dict[str, list[float]], message: str) -> None:
    write(tmp_path / "e.parquet", 9, **change)
    with pytest.raises(DatasetError, match=message):
        list(read_histories(tmp_path / "e.parquet", MOVIES, RatingScale()))


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    write(path, 9)
    whole, table = path.read_bytes(), pq.read_table(path)

    def refused(message: str) -> None:
        with pytest.raises(DatasetError, match=message):
            list(read_histories(path, MOVIES, RatingScale()))

    path.write_bytes(whole[:-9])
    refused("expected a whole events table")
    path.unlink()
    refused("expected a whole events table")
    pq.write_table(table.rename_columns(["user", "movie_id", "rating", "timestamp"]), path)
    refused("expected the columns of events; found user int64")
    pq.write_table(table.set_column(2, "rating", table["rating"].cast(pa.float64())), path)
    refused("rating double")
    pq.write_table(table.set_column(3, "timestamp", pa.array([1, 2, None, 1, 1, 9])), path)
    refused(r"without nulls; found some in \['timestamp'\]")
