"""Histories of users, the form in which events go into a dataset."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.dataset.scale import RatingScale
from storage.tables import EVENTS_SCHEMA


class EventBlock(NamedTuple):
    """Some events in file order."""

    user_id: NDArray[np.int64]  # (n,)
    item: NDArray[np.int32]  # (n,) place among the ascending movie ids
    code: NDArray[np.uint8]  # (n,) 1 … scale.codes
    timestamp: NDArray[np.int64]  # (n,) unix seconds, 1970 to 2100


class UserHistories(NamedTuple):
    """Whole histories of users in ascending order of id, each in time order; events of one second keep file order."""

    user_id: NDArray[np.int64]  # (u,)
    length: NDArray[np.int64]  # (u,) number of events of each user
    item: NDArray[np.int32]  # (n,) events of all users, one user after another
    code: NDArray[np.uint8]  # (n,)
    timestamp: NDArray[Any]  # (n,) int64; uint32 until they are sorted


def events_table(histories: UserHistories, known_movies: NDArray[np.int64], scale: RatingScale) -> pa.Table:
    """The histories in EVENTS_SCHEMA, one row per event.

    Args:
        histories: n events.
        known_movies: (I,) movie ids by item index.
        scale: of the codes.
    """
    rating = (scale.rating_min + scale.step * np.arange(scale.codes + 1)).astype(np.float32)
    columns = [
        np.repeat(histories.user_id, histories.length),
        np.take(known_movies, histories.item),
        np.take(rating, histories.code),
        histories.timestamp,
    ]
    return pa.table(columns, schema=EVENTS_SCHEMA)


def rows_of(first: NDArray[Any], number: NDArray[Any]) -> NDArray[np.int64]:
    """The rows of runs, one run after another, (sum of number,): first, first + 1 … first + number - 1 of each.

    Args:
        first: (r,) first row of each run.
        number: (r,) number of its rows.
    """
    ends = np.cumsum(number, dtype=np.int64)
    rows = np.repeat(first - (ends - number), number)
    rows += np.arange(len(rows))
    return rows
