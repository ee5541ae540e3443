"""Summarise tables by one row per user or item, so that a suite validates 140,000 rows instead of 20 million."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from storage.dataset.event_table import of_whole_users
from storage.dataset.format import SPLIT_NAMES
from storage.dataset.item_index import ItemIndex
from storage.dataset.scale import RatingScale
from storage.threads import in_order

PIECE_USERS = 1 << 12  # users that a thread summarises at a time
PIECE_ROWS = 1 << 18  # intermediate columns of this length stay in a core's cache
COLUMNS = ("user_id", "movie_id", "rating", "timestamp")


def profile_events(
    tables: Iterable[pa.Table], known_movies: NDArray[np.int64], scale: RatingScale, unknown_share: float
) -> pd.DataFrame:
    """Summarise events: one row per run of equal user ids, with its size, the ranges of its values and counts of faults.

    Args:
        tables: consecutive parts of one events table, in EVENTS_SCHEMA, of any size; only a few are in memory at a time.
        known_movies: (I,) the ids of all movies.
        scale: the ratings that are possible.
        unknown_share: the share of all ratings that is not in `tables` because their movie is unknown; in every row.
    """
    known = np.unique(known_movies)

    def profile(table: pa.Table) -> pd.DataFrame:
        user, movie, rating, timestamp = (table[name].to_numpy() for name in COLUMNS)
        return _profile_events(user, movie, rating, timestamp, known, scale)

    pieces = (table.slice(row, PIECE_ROWS) for table in tables for row in range(0, table.num_rows, PIECE_ROWS))
    profiles = list(in_order(profile, of_whole_users(pieces)))
    if not profiles:
        return pd.DataFrame()
    profiled = pd.concat(profiles, ignore_index=True)
    profiled["first_row"] = profiled["events"].cumsum() - profiled["events"]
    profiled["unknown_share"] = unknown_share
    return profiled


def _profile_events(
    user: NDArray[np.int64],
    movie: NDArray[np.int64],
    rating: NDArray[np.float32],
    timestamp: NDArray[np.int64],
    known: NDArray[np.int64],
    scale: RatingScale,
) -> pd.DataFrame:
    begins = np.concatenate(([True], user[1:] != user[:-1]))[: len(user)]
    starts = np.flatnonzero(begins)

    def per_user(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Count flags by user; they are rare."""
        places = np.flatnonzero(flags)
        return np.bincount(np.searchsorted(starts, places, side="right") - 1, minlength=len(starts))

    step = np.diff(timestamp, prepend=timestamp[:1])
    place = (rating.astype(np.float64) - scale.lowest) / scale.step
    return pd.DataFrame(
        {
            "user_id": user[starts],
            "first_row": starts,
            "events": np.diff(starts, append=len(user)),
            "rating_min": np.minimum.reduceat(rating, starts),
            "rating_max": np.maximum.reduceat(rating, starts),
            "off_grid": per_user(~(np.abs(place - np.rint(place)) < 1e-3)),
            "first_timestamp": np.minimum.reduceat(timestamp, starts),
            "last_timestamp": np.maximum.reduceat(timestamp, starts),
            "out_of_order": per_user((step < 0) & ~begins),
            "repeated": per_user(_repeated((step == 0) & ~begins, movie)),
            "unknown_movies": per_user(ItemIndex(known).of(movie) < 0),
        }
    )


def _repeated(same_second: NDArray[np.bool_], movie: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark events, (N,), that repeat the movie of another event of the same user and second; one of each group is not marked.

    Args:
        same_second: (N,) whether an event has the user and second of the event before it.
        movie: (N,) movie ids.
    """
    # Only events that share their second with another can be repeats. They are few, and sorting is the slow part.
    in_group = same_second.copy()
    in_group[:-1] |= same_second[1:]
    rows = np.flatnonzero(in_group)
    group = np.cumsum(~same_second[rows])
    movies = movie[rows]
    if len(rows):
        movies = movies - movies.min()
        if int(movies.max()) >= np.iinfo(np.int64).max // (len(rows) + 1) or movies.min() < 0:
            movies = np.unique(movie[rows], return_inverse=True)[1]
    width = int(movies.max(initial=0)) + 1
    key = np.sort(group * width + movies)
    twice = key[1:][key[1:] == key[:-1]] // width
    # Which event of a group is marked does not matter, since the marks are counted by user.
    repeated = np.zeros(len(movie), dtype=bool)
    firsts = np.searchsorted(group, twice)
    nth = np.arange(len(twice)) - np.searchsorted(twice, twice)
    repeated[rows[firsts + nth]] = True
    return repeated


def profile_items(items: pa.Table) -> pd.DataFrame:
    """Summarise items: one row per item, with its ids, flags, the norm of its embedding and the count of its NaNs."""
    column = items["embedding"].combine_chunks()
    embedding = np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(-1, column.type.list_size)
    identity = items.select(["item_index", "movie_id", "title", "has_text", "has_metadata"]).to_pandas()
    return identity.assign(
        embedding_norm=np.linalg.norm(np.nan_to_num(embedding), axis=1),
        not_finite=(~np.isfinite(embedding)).sum(axis=1),
    )


def profile_transitions(
    *,
    items: NDArray[Any],
    codes: NDArray[np.uint8],
    timestamps: NDArray[np.int64],
    offsets: NDArray[np.int64],
    user_ids: NDArray[np.int64],
    split: NDArray[np.uint8],
    frame: int,
) -> pd.DataFrame:
    """Summarise a dataset of transitions: one row per user, with its events, its transitions and the ranges of their values."""
    events = np.diff(offsets)

    def profile(first: int) -> pd.DataFrame:
        last = min(first + PIECE_USERS, len(events))
        piece = slice(offsets[first], offsets[last])
        bounds = _bounds(items[piece], codes[piece], timestamps[piece], offsets[first : last + 1] - offsets[first])
        bounds.index += first
        return bounds

    bounds = pd.concat(
        [
            _bounds(items[:0], codes[:0], timestamps[:0], offsets[:1]),
            *in_order(profile, range(0, len(events), PIECE_USERS)),
        ]
    )
    return bounds.reindex(range(len(user_ids))).assign(
        user_id=user_ids,
        split=[SPLIT_NAMES[code] if code < len(SPLIT_NAMES) else f"code {code}" for code in split],
        events=events,
        transitions=np.maximum(events - frame, 0),
    )


def _bounds(
    items: NDArray[Any], codes: NDArray[np.uint8], timestamps: NDArray[np.int64], offsets: NDArray[np.int64]
) -> pd.DataFrame:
    """The ranges of the events of every user who has events, indexed by the user's position."""
    some = np.flatnonzero(np.diff(offsets))
    starts = offsets[some]
    falls = np.zeros(len(items), dtype=bool)
    falls[1:] = timestamps[1:] < timestamps[:-1]
    falls[starts] = False
    places = np.searchsorted(starts, np.flatnonzero(falls), side="right") - 1
    kinds = ((items, "item"), (codes, "code")) if len(some) else ()
    extremes = {
        f"{name}_{end}": find.reduceat(values, starts)
        for values, name in kinds
        for end, find in (("min", np.minimum), ("max", np.maximum))
    }
    return pd.DataFrame(extremes | {"out_of_order": np.bincount(places, minlength=len(some))}, index=some)
