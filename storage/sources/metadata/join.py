"""Joins metadata sources to movies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.sources.metadata.fields import source_table
from storage.tables import METADATA_SCHEMA, MOVIES_SCHEMA, SOURCE_SCHEMA


def join_metadata(movies: pa.Table, sources: Sequence[tuple[str, pa.Table]]) -> tuple[pa.Table, dict[str, Any]]:
    """Join sources to movies by TMDB id, else by IMDb id; a field comes from the first source that knows it.

    Args:
        movies: (M rows) in IDENTITY_SCHEMA.
        sources: (name, table in SOURCE_SCHEMA) of each, the most trusted first.

    Returns: a table in MOVIES_SCHEMA, and the number of movies that each source and each field covers.
    """
    number = movies.num_rows
    # The rows of all sources in one table; row 0 knows nothing and stands for movies that no source has.
    stacked, rows, disagreeing, height = [source_table([{}])], [], 0, 1
    for _, table in sources:
        found, conflicts = _match(movies, table)
        disagreeing += conflicts
        used = np.unique(found[found >= 0])
        stacked.append(table.select(SOURCE_SCHEMA.names).take(pa.array(used)).cast(SOURCE_SCHEMA))
        rows.append(np.where(found >= 0, height + np.searchsorted(used, found), 0))
        height += len(used)
    known = pa.concat_tables(stacked).combine_chunks()
    columns: dict[str, Any] = {name: movies[name] for name in movies.schema.names}
    coverage: dict[str, int] = {}
    for field in METADATA_SCHEMA:
        known_rows = is_known(known[field.name])
        chosen = np.zeros(number, dtype=np.int64)
        for place in reversed(rows):
            chosen = np.where(known_rows[place], place, chosen)
        coverage[field.name] = int((chosen > 0).sum())
        columns[field.name] = known[field.name].take(pa.array(chosen))
    covered = np.array(rows, dtype=np.int64).reshape(len(sources), number) > 0
    columns["has_metadata"] = covered.any(axis=0)
    columns["metadata_source"] = _names_of([name for name, _ in sources], covered)
    facts = {
        "covered": int(covered.any(axis=0).sum()),
        "covered_by": {name: int(row.sum()) for (name, _), row in zip(sources, covered, strict=True)},
        "coverage": coverage,
        "joined_by_tmdb_id_against_imdb_id": disagreeing,
    }
    return pa.table([columns[name] for name in MOVIES_SCHEMA.names], schema=MOVIES_SCHEMA), facts


def _match(movies: pa.Table, source: pa.Table) -> tuple[NDArray[np.int64], int]:
    """The source's row for every movie, (M,) int64, -1 for none; and the number of joins by TMDB id whose IMDb ids differ."""
    by_tmdb = _index_in(movies["tmdb_id"], source["tmdb_id"].cast(pa.int64()))
    by_imdb = _index_in(movies["imdb_id"], source["imdb_id"].cast(pa.string()))
    joined = np.flatnonzero(by_tmdb >= 0)
    ours = movies["imdb_id"].take(pa.array(joined))
    theirs = source["imdb_id"].take(pa.array(by_tmdb[joined]))
    conflicts = pc.sum(pc.not_equal(ours, theirs)).as_py() or 0
    return np.where(by_tmdb >= 0, by_tmdb, by_imdb), int(conflicts)


def _index_in(values: pa.ChunkedArray, among: pa.ChunkedArray) -> NDArray[np.int64]:
    found = pc.index_in(values, value_set=among.combine_chunks(), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def is_known(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Whether each value of a column is known, (n,) bool: not null, and not an empty list."""
    if pa.types.is_list(column.type):
        return np.asarray(pc.fill_null(pc.greater(pc.list_value_length(column), 0), False).to_numpy(), dtype=bool)
    return np.asarray(pc.is_valid(column).to_numpy(), dtype=bool)


def _names_of(names: list[str], covered: NDArray[np.bool_]) -> list[str | None]:
    """For every movie the names of the sources that cover it, joined by +; None if there are none."""
    kinds, of_movie = np.unique(covered, axis=1, return_inverse=True)
    texts = ["+".join(name for name, has in zip(names, kind, strict=True) if has) or None for kind in kinds.T]
    return [texts[kind] for kind in of_movie.reshape(-1)]
