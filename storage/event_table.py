"""events.parquet read as histories, a row group at a time."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import DatasetError
from storage.histories import Histories
from storage.scale import RatingScale


def read_histories(path: Path, movie_ids: NDArray[np.int64], scale: RatingScale) -> Iterator[Histories]:
    """The histories of an events table (EVENTS_SCHEMA, grouped by user, in time order), in blocks of whole users.

    Args:
        path: the table.
        movie_ids: (I,) ascending; an event's item is the place of its movie.
        scale: of the ratings.

    Raises:
        DatasetError: a movie is not among `movie_ids`, or a rating is not on the scale.
    """
    held: list[pa.Table] = []
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            user = table["user_id"].to_numpy()
            # The last user of a row group may go on in the next one.
            last = int(np.searchsorted(user, user[-1])) if len(user) else 0
            if last:
                yield _histories(pa.concat_tables([*held, table.slice(0, last)]), movie_ids, scale)
                held = []
            held.append(table.slice(last))
    if held and (rest := pa.concat_tables(held)).num_rows:
        yield _histories(rest, movie_ids, scale)


def _histories(events: pa.Table, movie_ids: NDArray[np.int64], scale: RatingScale) -> Histories:
    user, movie, rating, timestamp = (
        events[name].to_numpy() for name in ("user_id", "movie_id", "rating", "timestamp")
    )
    item = np.searchsorted(movie_ids, movie)
    unknown = movie_ids.take(item, mode="clip") != movie
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
    return Histories(
        user_id=user[first],
        length=np.diff(np.append(first, len(user))),
        item=item.astype(np.int32),
        code=whole.astype(np.uint8),
        timestamp=timestamp,
    )
