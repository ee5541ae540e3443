"""Rows of a metadata file parsed into a table, chunk by chunk; the first row of an id stays."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.fields import MAX_TEXT_CHARS, Movie, source_table
from storage.sources.records import Records

CHUNK_ROWS = 20_000  # rows held as Python objects at a time


def parse_rows(
    path: Path, records: Records, parse: Callable[[dict[str, Any]], Movie], bad: BadRows
) -> tuple[pa.Table, dict[str, Any]]:
    """Parse rows into a table in SOURCE_SCHEMA; the first row of an id stays.

    Args:
        path: of the file, for errors.
        records: its rows.
        parse: a row as a movie; raises ValueError (expected …; found …) for a broken one.
        bad: takes the broken rows.

    Raises:
        MetadataError: no row could be read, or (if `bad` rejects) one could not.
    """
    tally = {"rows": 0, "dropped_repeated": 0, "texts_cut": 0}
    before = len(bad.rows)
    chunks = [source_table(chunk) for chunk in _chunks(_movies(records, parse, bad, tally))]
    broken = len(bad.rows) - before
    if not chunks:
        raise MetadataError(
            f"{path}: expected movies; found {tally['rows'] + broken} rows, none readable. Fetch it again."
        )
    return pa.concat_tables(chunks), {"member": records.name, **tally, "dropped_broken": broken}


def _movies(
    records: Records, parse: Callable[[dict[str, Any]], Movie], bad: BadRows, tally: dict[str, int]
) -> Iterator[Movie]:
    seen: set[int | str] = set()
    for line, values in records.rows:
        tally["rows"] += 1
        try:
            movie = parse(values)
            identity = movie.get("tmdb_id") or movie.get("imdb_id")
            if identity is None:
                raise ValueError("expected a TMDB or IMDb id; found neither")
        except (ValueError, RecursionError) as error:
            bad.add(records.name, line, str(error), _shown(values), MetadataError)
            continue
        if identity in seen:
            tally["dropped_repeated"] += 1
            continue
        seen.add(identity)
        overview = values.get("overview")
        tally["texts_cut"] += isinstance(overview, str) and len(overview) > MAX_TEXT_CHARS
        yield movie


def _shown(values: dict[str, Any]) -> str:
    return " | ".join(f"{name}: {str(value)[:40]}" for name, value in list(values.items())[:10])


def _chunks(movies: Iterator[Movie]) -> Iterator[list[Movie]]:
    chunk: list[Movie] = []
    for movie in movies:
        chunk.append(movie)
        if len(chunk) == CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
