"""Write histories to events.parquet and read them, a row group at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.dataset.histories import UserHistories, events_table
from storage.dataset.item_index import ItemIndex
from storage.dataset.scale import RatingScale
from storage.errors import DatasetError
from storage.tables import EVENTS_SCHEMA
from storage.threads import in_order


def write_events(
    path: Path, histories: Iterable[UserHistories], movie_ids: NDArray[np.int64], scale: RatingScale
) -> None:
    """Write histories as an events table, one row group per block.

    Columns are stored as differences, which are small in sorted columns, and ratings as a dictionary. The table is then small
    without compression.

    Args:
        path: the table.
        histories: users ascending.
        movie_ids: (I,) movie ids by item index.
        scale: of the codes.
    """
    columns = ("user_id", "movie_id", "timestamp")
    with pq.ParquetWriter(
        path,
        EVENTS_SCHEMA,
        compression="none",
        use_dictionary=["rating"],
        column_encoding=dict.fromkeys(columns, "DELTA_BINARY_PACKED"),
        write_statistics=False,
    ) as writer:
        for block in histories:
            writer.write_table(events_table(block, movie_ids, scale))


def read_histories(path: Path, movie_ids: NDArray[np.int64], scale: RatingScale) -> Iterator[UserHistories]:
    """The histories of an events table (EVENTS_SCHEMA, grouped by user, in time order), in blocks of whole users.

    Args:
        path: the table.
        movie_ids: (I,) ascending; the item index of a movie is its place here.
        scale: of the ratings.

    Raises:
        DatasetError: see `row_groups`; or a movie is not among `movie_ids`, or a rating is not on the scale.
    """
    items = ItemIndex(movie_ids)
    yield from in_order(lambda table: _histories(table, items, scale), of_whole_users(row_groups(path)))


def row_groups(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of an events table, or some of their columns, one at a time.

    Raises:
        DatasetError: the file is missing or damaged, has other columns than EVENTS_SCHEMA, or has nulls.
    """
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(EVENTS_SCHEMA):
                found = ", ".join(f"{field.name} {field.type}" for field in file.schema_arrow)
                raise DatasetError(f"{path}: expected the columns of events; found {found[:500]}. Make it again.")
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                if nulls := [name for name in table.column_names if table[name].null_count]:
                    raise DatasetError(f"{path}: expected events without nulls; found some in {nulls}. Make it again.")
                yield table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: expected a whole events table; found {error}. Make it again.") from error


@dataclass(frozen=True)
class Column:
    """One column of an events table, read a row group at a time in each iteration."""

    path: Path
    name: str

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for table in row_groups(self.path, [self.name]):
            yield table[self.name].to_numpy()


def of_whole_users(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables that end where the events of a user end."""
    held: list[pa.Table] = []
    for table in tables:
        user = table["user_id"].to_numpy()
        changes = np.flatnonzero(user[1:] != user[:-1])
        if held and len(user) and held[-1]["user_id"][-1].as_py() != user[0]:
            yield pa.concat_tables(held)
            held = []
        if len(changes):
            last = int(changes[-1]) + 1
            yield pa.concat_tables([*held, table.slice(0, last)])
            held, table = [], table.slice(last)  # noqa: PLW2901
        if table.num_rows:
            held.append(table)
    if held:
        yield pa.concat_tables(held)


def _histories(events: pa.Table, items: ItemIndex, scale: RatingScale) -> UserHistories:
    user, movie, rating, timestamp = (
        events[name].to_numpy() for name in ("user_id", "movie_id", "rating", "timestamp")
    )
    item = items.of(movie)
    unknown = item < 0
    if unknown.any():
        raise DatasetError(
            f"events: expected movies of the items table; found {np.unique(movie[unknown])[:3].tolist()}. See the events gate."
        )
    code = (rating.astype(np.float64) - scale.rating_min) / scale.step
    whole = np.rint(code)
    off = ~((np.abs(code - whole) < 1e-3) & (whole >= 1) & (whole <= scale.codes))
    if off.any():
        raise DatasetError(f"events: expected ratings {scale}; found {rating[off][:3].tolist()}. See the events gate.")
    first = np.flatnonzero(np.concatenate(([True], user[1:] != user[:-1])))
    return UserHistories(
        user_id=user[first],
        length=np.diff(np.append(first, len(user))),
        item=item,
        code=whole.astype(np.uint8),
        timestamp=timestamp,
    )
