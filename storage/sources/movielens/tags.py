"""Reads the tags that users gave to movies."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage.dataset.item_index import ItemIndex
from storage.errors import RatingsValueError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.releases import Release
from storage.sources.movielens.text_tables import read_rows, read_table_bytes, whole_number
from storage.tables import LATEST_SECOND, TAGS_SCHEMA

TAG_COLUMNS = ("userId", "movieId", "tag", "timestamp")
# A whole well-formed tags.csv; possessive quantifiers, so one pass without backtracking.
PLAIN_TAGS = re.compile(
    rb'userId,movieId,tag,timestamp\r?\n'
    rb'(?:\d{1,18}+,\d{1,18}+,(?:[^",\r\n\0]*+|"(?:[^"\0]++|"")*+"),\d{1,18}+(?:\r?\n|\Z))*+\Z'
)  # fmt: skip


class _Columns(NamedTuple):
    """N rows of a tags table as they were read."""

    user: NDArray[np.int64]  # (N,)
    movie: NDArray[np.int64]  # (N,)
    tag: pa.Array  # (N,) string
    timestamp: NDArray[np.int64]  # (N,)


def read_tags(release: Release, known_movies: NDArray[np.int64], bad: BadRows) -> tuple[pa.Table, dict[str, Any]]:
    """Read the tags of a release in file order, normalised: case folded, and blanks stripped and made single.

    Dropped and counted: tags of movies that the release does not have, empty tags, and a tag that the same user gave
    the same movie before. A release without tags gives an empty table.

    Args:
        release: of any kind.
        known_movies: (M,) ids, ascending.
        bad: takes rows whose ids are not whole numbers, with seconds outside 1970 … 2100, or with other fields.

    Returns: a table in TAGS_SCHEMA, and counts.

    Raises:
        SourceError, RatingsSchemaError: the file is not a tags table, or `bad` rejects a row.
    """
    path = release.files["tags"]
    if path is None:
        return TAGS_SCHEMA.empty_table(), {"rows": 0, "tags": "absent"}
    read = _plain_tags(path) if release.kind == "csv" else None
    if read is None:  # another layout, or a bad row: the strict reader finds and names it
        read = _strict_tags(release, path, bad)
    codes, names = _normalised(read.tag)
    known = ItemIndex(known_movies).of(read.movie) >= 0
    named = codes >= 0
    rows = np.flatnonzero(known & named)
    order = rows[np.lexsort((read.timestamp[rows], codes[rows], read.user[rows], read.movie[rows]))]
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (np.diff(read.movie[order]) == 0) & (np.diff(read.user[order]) == 0) & (np.diff(codes[order]) == 0)
    keep = np.sort(order[~again])
    tags = pa.DictionaryArray.from_arrays(pa.array(codes[keep]), pa.array(names, pa.string())).cast(pa.string())
    table = pa.table([read.user[keep], read.movie[keep], tags, read.timestamp[keep]], schema=TAGS_SCHEMA)
    return table, {
        "rows": len(read.movie),
        "tags": table.num_rows,
        "dropped_unknown_movie": int((~known).sum()),
        "dropped_empty": int((known & ~named).sum()),
        "dropped_repeated": int(again.sum()),
        "distinct": len(np.unique(codes[keep])),
        "tagged_movies": len(np.unique(read.movie[keep])),
        "users": len(np.unique(read.user[keep])),
    }


def _plain_tags(path: Path) -> _Columns | None:
    """The columns of a tags.csv, read by Arrow if all of it is well-formed; else None."""
    data = read_table_bytes(path)
    if PLAIN_TAGS.match(data) is None:
        return None
    types = dict(zip(TAG_COLUMNS, (pa.int64(), pa.int64(), pa.string(), pa.int64()), strict=True))
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            parse_options=pacsv.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=pacsv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=False),
        )
    except pa.ArrowInvalid:  # not UTF-8
        return None
    user, movie, timestamp = (table[name].to_numpy() for name in ("userId", "movieId", "timestamp"))
    if len(timestamp) and timestamp.max() >= LATEST_SECOND:
        return None
    return _Columns(user, movie, table["tag"].combine_chunks(), timestamp)


def _strict_tags(release: Release, path: Path, bad: BadRows) -> _Columns:
    users, movies, tags, timestamps = [], [], [], []
    for row in read_rows(path, TAG_COLUMNS, bad, release.dialect(free=2)):
        user, movie, timestamp = (whole_number(row.fields[place]) for place in (0, 1, 3))
        if user is None or movie is None:
            reason = (
                f"expected userId and movieId as whole numbers; found {row.fields[0][:40]!r}, {row.fields[1][:40]!r}"
            )
            bad.add(path.name, row.line, reason, row.text, RatingsValueError)
        elif timestamp is None or timestamp >= LATEST_SECOND:
            reason = f"expected timestamp to be unix seconds from 1970 to 2100; found {row.fields[3][:40]!r}"
            bad.add(path.name, row.line, reason, row.text, RatingsValueError)
        else:
            users.append(user)
            movies.append(movie)
            tags.append(row.fields[2])
            timestamps.append(timestamp)
    user_ids, movie_ids, seconds = (np.array(column, dtype=np.int64) for column in (users, movies, timestamps))
    return _Columns(user_ids, movie_ids, pa.array(tags, pa.string()), seconds)


def _normalised(tags: pa.Array) -> tuple[NDArray[np.int32], list[str]]:
    """The distinct normalised tags, and for each of N tags its index among them, (N,) int32, -1 for an empty tag."""
    encoded = tags.dictionary_encode()
    places: dict[str, int] = {}
    distinct = (" ".join(text.casefold().split()) for text in encoded.dictionary.to_pylist())
    code = np.array([places.setdefault(text, len(places)) if text else -1 for text in distinct], dtype=np.int32)
    return code[encoded.indices.to_numpy()] if len(code) else np.zeros(0, np.int32), list(places)
